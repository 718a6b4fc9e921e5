//! The field's senders and receivers, as scripts of the field do it: plain sockets, one step after the other.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a script waits for an answer, as the field does.
const WAIT: Duration = Duration::from_secs(60);

/// What a receiver in the field got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Got {
    /// What came before the file, one message after the other.
    pub(crate) said: Vec<Vec<u8>>,
    pub(crate) file: Vec<u8>,
}

/// A connection to a receiver.
pub(crate) fn dial(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(WAIT)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Whether exactly `OK` comes.
pub(crate) fn hears_ok(stream: &mut TcpStream) -> bool {
    let mut answer = [0; 2];
    stream.read_exact(&mut answer).is_ok() && answer == *b"OK"
}

/// Whether the other side closes, or resets, without another byte.
pub(crate) fn hears_end(stream: &mut TcpStream) -> bool {
    !matches!(stream.read(&mut [0; 1]), Ok(1..))
}

pub(crate) fn metadata(user: &str, name: &str, kind: &str) -> String {
    format!(r#"{{"name": "{user}", "fileName": "{name}", "fileType": "{kind}"}}"#)
}

/// Sends in the JSON form; whether the receiver let it come.
pub(crate) fn send_json(to: SocketAddr, metadata: &str, file: &[u8]) -> bool {
    let mut stream = dial(to);
    stream.write_all(metadata.as_bytes()).unwrap();
    if !hears_ok(&mut stream) {
        return false;
    }
    stream.write_all(file).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    hears_end(&mut stream)
}

/// Sends in the stepwise form, announcing `size` bytes; which of the four answers came.
pub(crate) fn send_steps(to: SocketAddr, extension: &str, name: &str, size: &str, file: &[u8]) -> usize {
    let mut stream = dial(to);
    for (step, message) in
        [extension.as_bytes(), name.as_bytes(), size.as_bytes(), file].into_iter().enumerate()
    {
        if stream.write_all(message).is_err() || !hears_ok(&mut stream) {
            return step;
        }
    }
    4
}

/// Sends in the short form; how many of the two answers came.
pub(crate) fn send_short(to: SocketAddr, size: &str, file: &[u8]) -> usize {
    let mut stream = dial(to);
    for (step, message) in [size.as_bytes(), file].into_iter().enumerate() {
        if stream.write_all(message).is_err() || !hears_ok(&mut stream) {
            return step;
        }
    }
    2
}

/// Sends in the named form.
pub(crate) fn send_named(to: SocketAddr, size: &str, file: &[u8], user: &str) {
    let mut stream = dial(to);
    for part in [size.as_bytes(), file, user.as_bytes()] {
        stream.write_all(part).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(hears_end(&mut stream));
}

/// A receiver of the field that takes one file.
pub(crate) fn receiver(
    script: impl FnOnce(TcpStream) -> Got + Send + 'static,
) -> (SocketAddr, JoinHandle<Got>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let at = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(WAIT)).unwrap();
        script(stream)
    });
    (at, thread)
}

/// One `recv`, as the field reads a message.
pub(crate) fn message(stream: &mut TcpStream) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let read = stream.read(&mut buffer).unwrap();
    buffer.truncate(read);
    buffer
}

pub(crate) fn take_json(mut stream: TcpStream) -> Got {
    let said = vec![message(&mut stream)];
    stream.write_all(b"OK").unwrap();
    let mut file = Vec::new();
    stream.read_to_end(&mut file).unwrap();
    Got { said, file }
}

pub(crate) fn take_steps(mut stream: TcpStream) -> Got {
    let mut said = Vec::new();
    for _ in 0..3 {
        said.push(message(&mut stream));
        stream.write_all(b"OK").unwrap();
    }
    let file = take_sized(&mut stream, &said[2]);
    Got { said, file }
}

pub(crate) fn take_short(mut stream: TcpStream) -> Got {
    let said = vec![message(&mut stream)];
    stream.write_all(b"OK").unwrap();
    let file = take_sized(&mut stream, &said[0]);
    Got { said, file }
}

pub(crate) fn take_named(mut stream: TcpStream) -> Got {
    let mut file = Vec::new();
    stream.read_to_end(&mut file).unwrap();
    Got { said: Vec::new(), file }
}

fn take_sized(stream: &mut TcpStream, size: &[u8]) -> Vec<u8> {
    let size: usize = std::str::from_utf8(size).unwrap().parse().unwrap();
    let mut file = vec![0; size];
    stream.read_exact(&mut file).unwrap();
    stream.write_all(b"OK").unwrap();
    file
}
