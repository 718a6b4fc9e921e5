//! Addresses of this machine alone: 127.0.0.0/8.

use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, Protocol, Socket, Type};

/// The directed broadcast address of the loopback interface.
pub(crate) const BROADCAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

/// An address that no other test uses, in this process or another, so that the fixed ports are free on it.
pub(crate) fn own_address() -> Ipv4Addr {
    const HOSTS: u32 = 254;
    const NETS: u32 = 256;
    const REGIONS: u32 = 200;
    static DRAWN: AtomicU32 = AtomicU32::new(0);
    let drawn = DRAWN.fetch_add(1, Ordering::Relaxed);
    let number = std::process::id().wrapping_mul(256).wrapping_add(drawn) % (HOSTS * NETS * REGIONS);
    let part = |number: u32| u8::try_from(number).unwrap();
    Ipv4Addr::new(
        127,
        16 + part(number / HOSTS / NETS),
        part(number / HOSTS % NETS),
        1 + part(number % HOSTS),
    )
}

/// A UDP socket that may share its port: several programs of the field listen on one machine.
pub(crate) fn shared_udp(at: SocketAddrV4) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&at.into()).unwrap_or_else(|e| panic!("udp {at}: {e}"));
    UdpSocket::from(socket)
}

/// Fails when something was to leave this machine.
#[track_caller]
pub(crate) fn assert_loopback(address: Ipv4Addr) {
    assert!(address.is_loopback(), "{address} is not of 127.0.0.0/8");
}
