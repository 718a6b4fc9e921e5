//! What the system says about a TCP port that cannot be bound.
//!
//! A port whose last owner did not share it stays taken while the owner's connections end, for up to a minute, though
//! nobody listens. A connection to it would tell, but some programs that do listen die of one without a request. So the
//! system's table of connections is read; where there is none, the port counts as another program's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where Linux lists TCP connections and listeners.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// The state of a listener there.
const LISTEN: &str = "0A";

/// Whether a program listens on a port, or connections alone hold it; `None`: the system tells of nobody there.
pub(super) fn is_listened_on(ip: IpAddr, port: u16) -> Option<bool> {
    let tables: Vec<String> = TABLES.iter().filter_map(|table| std::fs::read_to_string(table).ok()).collect();
    let mut listens: Vec<bool> = Vec::new();
    for line in tables.iter().flat_map(|table| table.lines()) {
        listens.extend(row(line).filter(|row| row.is_in_the_way(ip, port)).map(|row| row.listens));
    }
    listens.into_iter().max()
}

/// A line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    ip: IpAddr,
    port: u16,
    listens: bool,
}

impl Row {
    fn is_in_the_way(&self, ip: IpAddr, port: u16) -> bool {
        self.port == port && (self.ip == ip || self.ip.is_unspecified() || ip.is_unspecified())
    }
}

/// Reads `0: 0100007F:1F40 00000000:0000 0A ...`: number, local and remote address, state.
fn row(line: &str) -> Option<Row> {
    let mut words = line.split_whitespace().skip(1);
    let (ip, port) = words.next()?.split_once(':')?;
    let listens = words.nth(1)? == LISTEN;
    // Each group of four bytes is written as one number of this machine.
    let group = |at: usize| Some(u32::from_str_radix(ip.get(8 * at..8 * at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = if ip.len() == 8 {
        Ipv4Addr::from(group(0)?).into()
    } else {
        let bytes = [group(0)?, group(1)?, group(2)?, group(3)?].concat();
        IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)).to_canonical()
    };
    Some(Row { ip, port: u16::from_str_radix(port, 16).ok()?, listens })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn lines_of_the_table_are_read() {
        let four = "   1: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  0  0 7 1";
        let known = Row { ip: Ipv4Addr::LOCALHOST.into(), port: 8000, listens: true };
        if cfg!(target_endian = "little") {
            assert_eq!(row(four), Some(known));
            let mapped =
                "2: 0000000000000000FFFF00000100007F:1F40 00000000000000000000000000000000:0000 06 x";
            let known = Row { ip: Ipv4Addr::LOCALHOST.into(), port: 8000, listens: false };
            assert_eq!(row(mapped), Some(known));
        }
        for text in [
            "",
            "  sl  local_address rem_address   st",
            "1: 0100:1F40 0:0 0A",
            "1: 0100007F 0:0 0A",
            "1: é:é",
        ] {
            assert_eq!(row(text), None, "{text}");
        }
    }

    #[test]
    fn a_port_whose_owner_ended_is_told_from_one_with_a_listener() {
        let ip = Ipv4Addr::new(127, 82, 6, 1);
        // Unlike the library's, it does not share its port.
        let owner = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        owner.bind(&std::net::SocketAddrV4::new(ip, 0).into()).unwrap();
        owner.listen(1).unwrap();
        let owner = TcpListener::from(owner);
        let port = owner.local_addr().unwrap().port();
        let mut client = TcpStream::connect((ip, port)).unwrap();
        let (served, _) = owner.accept().unwrap();
        for place in [ip.into(), IpAddr::from(Ipv4Addr::UNSPECIFIED)] {
            assert_eq!(is_listened_on(place, port), Some(true));
        }
        // Who closes first keeps the connection for a minute.
        drop(served);
        assert_eq!(std::io::Read::read(&mut client, &mut [0]).unwrap(), 0);
        drop((client, owner));
        assert!(TcpListener::bind((ip, port)).is_err());
        for place in [ip.into(), IpAddr::from(Ipv4Addr::UNSPECIFIED)] {
            assert_eq!(is_listened_on(place, port), Some(false));
        }
        assert_eq!(is_listened_on(Ipv4Addr::new(127, 82, 6, 2).into(), port), None);
    }
}
