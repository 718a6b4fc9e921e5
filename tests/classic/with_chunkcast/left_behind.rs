//! Ports that connections of an earlier program hold, though nobody listens there any more.

use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::field::Field;
use super::four::program;
use crate::child::Child;
use crate::reference::dialect::Dialect;
use crate::reference::downloader::Downloader;
use crate::reference::life::{LOOK, Life, PATIENCE};
use crate::reference::loopback::own_address;
use crate::reference::split;

/// A connection whose listener is gone.
struct LeftBehind(TcpStream);

impl LeftBehind {
    /// As of a program that does not share its port.
    fn at(at: SocketAddrV4) -> LeftBehind {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&at.into()).unwrap();
        listener.listen(1).unwrap();
        let listener = TcpListener::from(listener);
        let _client = TcpStream::connect(at).unwrap();
        LeftBehind(listener.accept().unwrap().0)
    }

    /// Ends it at once, instead of a minute later.
    fn end(self) {
        let socket = Socket::from(self.0);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Waits until the port is there and the file comes from it.
#[track_caller]
fn fetch(field: &Field, at: SocketAddrV4) {
    let (life, deadline) = (Life::default(), Instant::now() + PATIENCE);
    let downloader = Downloader::new(Dialect::B, own_address());
    loop {
        match downloader.file(at, &field.file()) {
            Ok(got) => return assert!(got == field.content),
            Err(why) => assert!(Instant::now() < deadline, "{why}"),
        }
        life.pause(LOOK);
    }
}

fn wait_told(child: &mut Child, port: u16) {
    child.wait_stderr(&[&format!("TCP port {port} of")]);
    child.wait_stderr(&["of a program that has ended; it is tried again for up to a minute"]);
}

#[test]
fn an_uploader_waits_for_its_port() {
    let (field, owner) = (Field::new(1003), own_address());
    let at = SocketAddrV4::new(owner, Dialect::B.tcp_port());
    let here = field.folder("owner");
    split::write(&here, &field.chunks(Dialect::B));
    let held = LeftBehind::at(at);
    let mut upload = program(&field, owner, "upload", &[], &here);
    wait_told(&mut upload, at.port());
    held.end();
    fetch(&field, at);
    upload.interrupt().expect(0);
}

#[test]
fn a_native_command_goes_on_meanwhile_and_ctrl_c_ends_the_wait() {
    let (field, owner) = (Field::new(1003), own_address());
    let at = SocketAddrV4::new(owner, Dialect::B.tcp_port());
    let held = LeftBehind::at(at);
    let mut sharer = field.share(owner);
    wait_told(&mut sharer, at.port());
    let elsewhere = SocketAddrV4::new(owner, Dialect::C.tcp_port());
    assert!(
        Downloader::new(Dialect::C, own_address()).file(elsewhere, &field.file()).unwrap() == field.content
    );
    held.end();
    fetch(&field, at);
    sharer.interrupt().expect(0);

    // The connections of the first are left behind in turn, so another address is taken.
    let owner = own_address();
    let _held = LeftBehind::at(SocketAddrV4::new(owner, at.port()));
    let mut upload = program(&field, owner, "upload", &["--dialect", "B"], &field.folder("owner"));
    wait_told(&mut upload, at.port());
    upload.interrupt().expect(0);
}
