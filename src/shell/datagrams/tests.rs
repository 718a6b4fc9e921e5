use super::*;
use std::time::Duration;

const LOOPBACK_BROADCAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

fn speech(port: u16, broadcasts: bool) -> Speech {
    Speech { port, native: true, broadcasts }
}

/// Discovery that stays on loopback, on `port`.
fn loopback(poll: &mio::Poll, port: u16, fixed: &[IpAddr]) -> Discovery {
    let choice = Choice { broadcast: Some(LOOPBACK_BROADCAST), ..Choice::default() };
    let fixed = fixed.iter().copied().collect();
    let mut discovery = Discovery::new(choice, speech(port, true), fixed, Token(0));
    discovery.refresh(poll.registry());
    discovery
}

/// A UDP port that the system gave, held by a socket that lets others share it.
fn port() -> (Socket, u16) {
    let socket = sockets::hearing(0).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

/// Polls until a datagram that counts is there.
fn wait(poll: &mut mio::Poll, discovery: &mut Discovery) -> (IfaceId, SocketAddr, Vec<u8>) {
    let mut events = mio::Events::with_capacity(16);
    let mut bytes = [0; 2048];
    for _ in 0..50 {
        while discovery.is_ready() {
            if let Received::Datagram { iface, from, len } = discovery.receive(&mut bytes) {
                return (iface, from, bytes[..len].to_vec());
            }
        }
        poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
        events.iter().for_each(|event| discovery.set_ready(event.token()));
    }
    unreachable!("no datagram came")
}

#[test]
fn all_on_one_port_hear_and_the_asker_alone_is_answered() {
    let (_held, port) = port();
    let mut polls = [mio::Poll::new().unwrap(), mio::Poll::new().unwrap(), mio::Poll::new().unwrap()];
    let mut peers: Vec<Discovery> = polls.iter().map(|poll| loopback(poll, port, &[])).collect();
    assert!(peers.iter().all(|peer| peer.networks() == 1 && peer.hears()));

    peers[0].send(DatagramTo::Everybody, b"who has it?");
    let mut asker = None;
    for (poll, peer) in polls.iter_mut().zip(&mut peers) {
        let (_, from, bytes) = wait(poll, peer);
        assert_eq!(bytes, b"who has it?");
        asker = Some(from);
    }

    let asker = asker.unwrap();
    assert_ne!(asker.port(), port);
    peers[1].send(DatagramTo::One { iface: None, addr: asker }, b"I have");
    let (_, from, bytes) = wait(&mut polls[0], &mut peers[0]);
    assert_eq!((from.ip(), bytes.as_slice()), (asker.ip(), b"I have".as_slice()));
}

#[test]
fn networks_in_use_outlast_a_list_that_cannot_be_had() {
    let poll = mio::Poll::new().unwrap();
    let (_held, port) = port();
    let mut discovery = loopback(&poll, port, &[]);
    let address = discovery.own[0].endpoint.socket.local_addr().unwrap();
    discovery.adopt(poll.registry(), Err(rustix::io::Errno::MFILE.into()));
    assert_eq!(discovery.networks(), 1);
    assert_eq!(discovery.own[0].endpoint.socket.local_addr().unwrap(), address);
    discovery.adopt(poll.registry(), Ok(Vec::new()));
    assert_eq!(discovery.networks(), 0);
}

#[test]
fn sources_that_cannot_be_peers_are_dropped() {
    let poll = mio::Poll::new().unwrap();
    let (_held, port) = port();
    let outside = IpAddr::from([203, 0, 113, 5]);
    let mut discovery = loopback(&poll, port, &[outside]);
    for from in ["127.255.255.255:9", "0.0.0.0:9", "224.0.0.1:9", "192.0.2.2:9", "127.0.0.2:0", "[::1]:9"] {
        assert_eq!(discovery.judge(from.parse().unwrap(), 30), Received::Dropped, "{from}");
    }
    assert_eq!(discovery.foreign, 6);
    assert_ne!(discovery.judge("127.0.0.2:9".parse().unwrap(), 30), Received::Dropped);
    // Named or not: with an explicit broadcast address everything from outside its network is ignored.
    assert_eq!(discovery.judge(SocketAddr::new(outside, 9), 30), Received::Dropped);
    assert!(!discovery.admits(outside) && discovery.admits([127, 0, 0, 9].into()));
    discovery.choice.broadcast = None;
    assert_ne!(discovery.judge(SocketAddr::new(outside, 9), 30), Received::Dropped);
}

#[test]
fn without_broadcast_only_own_sockets() {
    let poll = mio::Poll::new().unwrap();
    let choice = Choice { bind: Some(Ipv4Addr::LOCALHOST.into()), ..Choice::default() };
    let (_held, port) = port();
    let mut discovery = Discovery::new(choice, speech(port, false), BTreeSet::new(), Token(0));
    discovery.refresh(poll.registry());
    assert!(discovery.shared.is_none() && discovery.hears());
    assert_eq!(discovery.networks(), 1);
    discovery.send(DatagramTo::Everybody, b"nobody hears this");
    assert_eq!(discovery.unsent, 0);
}

#[test]
fn without_native_speech_only_classic_broadcasts_leave() {
    let poll = mio::Poll::new().unwrap();
    let choice = Choice { broadcast: Some(LOOPBACK_BROADCAST), ..Choice::default() };
    let (native, classic) = (sockets::hearing(0).unwrap(), sockets::hearing(0).unwrap());
    let port_of = |socket: &Socket| socket.local_addr().unwrap().as_socket().unwrap().port();
    let speech = Speech { port: port_of(&native), native: false, broadcasts: true };
    let mut discovery = Discovery::new(choice, speech, BTreeSet::new(), Token(0));
    discovery.refresh(poll.registry());
    assert!(discovery.shared.is_none() && discovery.hears() && discovery.networks() == 1);
    discovery.send(DatagramTo::Everybody, b"native");
    discovery.send(DatagramTo::EverybodyAt { port: port_of(&classic) }, b"classic");
    // Both would have come by the same way, so the one that is there tells that the other never left.
    let [native, classic] = [native, classic].map(std::net::UdpSocket::from);
    classic.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    native.set_nonblocking(true).unwrap();
    let mut bytes = [0; 16];
    assert_eq!(classic.recv(&mut bytes).unwrap(), 7);
    assert!(native.recv(&mut bytes).is_err());
    // What comes to an own socket wakes nobody.
    discovery.set_ready(Token(1));
    assert!(!discovery.is_ready());
    discovery.speech.broadcasts = false;
    discovery.send(DatagramTo::EverybodyAt { port: port_of(&Socket::from(classic)) }, b"nobody");
    assert_eq!(discovery.unsent, 0);
}

#[test]
fn a_second_look_keeps_the_sockets_of_networks_that_stayed() {
    let poll = mio::Poll::new().unwrap();
    let (_held, port) = port();
    let mut discovery = loopback(&poll, port, &[]);
    let before = discovery.own[0].endpoint.socket.local_addr().unwrap();
    discovery.refresh(poll.registry());
    assert_eq!(discovery.own[0].endpoint.socket.local_addr().unwrap(), before);
    assert_eq!(discovery.own[0].id, IfaceId(0));
    // A network that went and came is a new one.
    discovery.own[0].network.addr = Ipv4Addr::new(127, 0, 0, 77);
    discovery.refresh(poll.registry());
    assert_eq!((discovery.networks(), discovery.own[0].id), (1, IfaceId(1)));
}
