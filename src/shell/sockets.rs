//! How each kind of socket is made: its options, and what it is bound to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// How many ports above the preferred one are tried before any free one is taken.
pub(super) const FALLBACK_PORTS: u16 = 16;
/// Connections that the kernel keeps for us until they are accepted.
const BACKLOG: i32 = 1024;
/// Bytes of datagrams that the kernel keeps until they are read, if it can.
const DATAGRAM_BUFFER_BYTES: usize = 1 << 20;
/// Bytes that the kernel takes of an answer to a classic peer, if it can.
const ANSWER_BUFFER_BYTES: usize = 1 << 20;

/// A socket that takes connections in.
pub(super) fn listening(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // So that the port is ours again at once after a restart. Of two that bind the same port before either
    // listens, the second fails to listen, which counts as taken like a failure to bind.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

/// A socket for nothing: it holds a descriptor.
pub(super) fn idle() -> io::Result<Socket> {
    Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))
}

/// A socket that begins to connect, from `bind` when that is of the same family.
pub(super) fn dialing(to: SocketAddr, bind: Option<IpAddr>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if let Some(ip) = bind.filter(|ip| ip.is_ipv4() == to.is_ipv4()) {
        socket.bind(&SocketAddr::new(ip, 0).into())?;
    }
    match socket.connect(&to.into()) {
        Err(error) if !is_under_way(&error) => Err(error),
        _ => Ok(socket),
    }
}

/// Lets a socket reset its connection when it is closed, whatever was sent and is still on its way.
pub(super) fn reset_when_closed(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// The socket that hears broadcasts, on the port that all peers of this host share.
pub(super) fn hearing(port: u16) -> io::Result<Socket> {
    hearing_at(Ipv4Addr::UNSPECIFIED, port)
}

/// A socket that hears what is sent to this address and port, which it shares.
pub(super) fn hearing_at(address: Ipv4Addr, port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    // Elsewhere than on Linux the same takes this; on Linux it would deal broadcasts out to one of us each.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    socket.set_reuse_port(true)?;
    hold_a_flood(&socket);
    socket.bind(&SocketAddr::from((address, port)).into())?;
    Ok(socket)
}

/// The socket to send from in one network: on a port of the range that one firewall rule opens, else on any. Not
/// shared, so that an answer reaches exactly this peer.
pub(super) fn sending(addr: Ipv4Addr, base_port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_broadcast(true)?;
    hold_a_flood(&socket);
    let range = base_port.saturating_add(1)..=base_port.saturating_add(FALLBACK_PORTS);
    for port in range.chain([0]).filter(|&port| port != base_port) {
        match socket.bind(&SocketAddr::from((addr, port)).into()) {
            Ok(()) => return Ok(socket),
            Err(error) if port == 0 || error.kind() == io::ErrorKind::AddrNotAvailable => return Err(error),
            Err(_) => {}
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Options only make it faster, so a system without one does without.
pub(super) fn tune(stream: &TcpStream) {
    note(&[SockRef::from(stream).set_tcp_nodelay(true)]);
}

/// Once so many bytes wait in the kernel unsent, it says that the socket is full.
pub(super) fn bound_unsent(stream: &TcpStream, bytes: u32) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    note(&[SockRef::from(stream).set_tcp_notsent_lowat(bytes)]);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (stream, bytes);
}

/// Lets what does not fill a segment wait for what follows (the kernel bounds that to 200 ms), or sends it.
pub(super) fn cork(stream: &TcpStream, corked: bool) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    note(&[SockRef::from(stream).set_tcp_cork(corked)]);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (stream, corked);
}

/// Connections that this listener accepts take a whole answer at once: who asks may read only once.
pub(super) fn tune_for_whole_answers(listener: &TcpListener) {
    note(&[SockRef::from(listener).set_send_buffer_size(ANSWER_BUFFER_BYTES)]);
}

/// Has the kernel keep more of what comes while the loop is elsewhere, as far as the system lets it.
fn hold_a_flood(socket: &Socket) {
    note(&[socket.set_recv_buffer_size(DATAGRAM_BUFFER_BYTES)]);
}

fn note(results: &[io::Result<()>]) {
    for error in results.iter().filter_map(|result| result.as_ref().err()) {
        log::trace!("a socket option is not to be had: {error}");
    }
}

fn is_under_way(error: &io::Error) -> bool {
    let in_progress = rustix::io::Errno::INPROGRESS.raw_os_error();
    error.raw_os_error() == Some(in_progress) || error.kind() == io::ErrorKind::WouldBlock
}
