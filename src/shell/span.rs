//! Bytes of a file into a socket: within the kernel where that can be done, else through memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use mio::net::TcpStream;
use rustix::net::SendFlags;

use crate::core::SpanFault;

/// What came of an attempt to send.
#[derive(Debug)]
pub(super) enum Sent {
    /// So many bytes are in the kernel, at least one.
    Bytes(u64),
    /// The socket is full for now.
    Full,
    /// The file is not as promised.
    Fault(SpanFault),
    /// The connection broke.
    Broken(io::Error),
}

/// Sends up to `len` bytes of `file` from `offset` on; `scratch` serves where the kernel cannot do it alone.
pub(super) fn send_span(stream: &TcpStream, file: &File, offset: u64, len: u64, scratch: &mut [u8]) -> Sent {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    match within_kernel(stream, file, offset, len) {
        // Some file systems cannot.
        Sent::Broken(error) if is_unsupported(&error) => {}
        sent => return sent,
    }
    through_memory(stream, file, offset, len, scratch)
}

/// Sends bytes from memory. `more`: others follow at once.
pub(super) fn send_bytes(stream: &TcpStream, bytes: &[u8], more: bool) -> Sent {
    let mut flags = SendFlags::NOSIGNAL;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    flags.set(SendFlags::MORE, more);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = more;
    loop {
        match rustix::net::send(stream, bytes, flags) {
            Ok(count) => return Sent::Bytes(count as u64),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) if io::Error::from(error).kind() == io::ErrorKind::WouldBlock => return Sent::Full,
            Err(error) => return Sent::Broken(error.into()),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn within_kernel(stream: &TcpStream, file: &File, offset: u64, len: u64) -> Sent {
    use rustix::io::Errno;
    let mut at = offset;
    let count = usize::try_from(len).unwrap_or(usize::MAX);
    loop {
        match rustix::fs::sendfile(stream, file, Some(&mut at), count) {
            // Where bytes should be, there is the end.
            Ok(0) => return Sent::Fault(SpanFault::Changed),
            Ok(count) => return Sent::Bytes(count as u64),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Sent::Full,
            Err(Errno::IO | Errno::STALE | Errno::OVERFLOW | Errno::ISDIR | Errno::BADF) => {
                return Sent::Fault(SpanFault::Unreadable);
            }
            Err(error) => return Sent::Broken(error.into()),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_unsupported(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let unsupported = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP];
    unsupported.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Sends up to `len` bytes of `file` from `offset` on, in one write of as much as `scratch` holds.
pub(super) fn through_memory(
    stream: &TcpStream,
    file: &File,
    offset: u64,
    len: u64,
    scratch: &mut [u8],
) -> Sent {
    let room = usize::try_from(len).unwrap_or(usize::MAX).min(scratch.len());
    let count = loop {
        match file.read_at(&mut scratch[..room], offset) {
            Ok(0) => return Sent::Fault(SpanFault::Changed),
            Ok(count) => break count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Sent::Fault(SpanFault::Unreadable),
        }
    };
    send_bytes(stream, &scratch[..count], (count as u64) < len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpListener};

    fn pair() -> (TcpStream, std::net::TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let far = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (near, _) = listener.accept().unwrap();
        near.set_nonblocking(true).unwrap();
        (TcpStream::from_std(near), far)
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    type Way = fn(&TcpStream, &File, u64, u64) -> Sent;

    /// Both ways of moving a span.
    fn ways() -> Vec<Way> {
        vec![
            |stream, file, offset, len| send_span(stream, file, offset, len, &mut [0; 1000]),
            |stream, file, offset, len| through_memory(stream, file, offset, len, &mut [0; 1000]),
        ]
    }

    #[test]
    fn a_span_arrives_as_it_stands_in_the_file() {
        let bytes: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
        let file = file(&bytes);
        for way in ways() {
            let (near, mut far) = pair();
            let (first, last) = (1_001u64, 299_999u64);
            let mut at = first;
            let mut received = Vec::new();
            let mut piece = [0; 65_536];
            while at < last {
                match way(&near, &file, at, last - at) {
                    Sent::Bytes(count) => at += count,
                    Sent::Full => {
                        let count = far.read(&mut piece).unwrap();
                        received.extend_from_slice(&piece[..count]);
                    }
                    other => unreachable!("{other:?}"),
                }
            }
            drop(near);
            far.read_to_end(&mut received).unwrap();
            assert!(received == bytes[first as usize..last as usize]);
        }
    }

    #[test]
    fn a_file_that_shrank_is_told_from_a_broken_connection() {
        let file = file(&[1; 100]);
        for way in ways() {
            let (near, far) = pair();
            assert!(matches!(way(&near, &file, 40, 100), Sent::Bytes(60)));
            assert!(matches!(way(&near, &file, 100, 40), Sent::Fault(SpanFault::Changed)));
            drop(far);
            let broken = (0..1000).find_map(|_| match way(&near, &file, 0, 100) {
                Sent::Broken(error) => Some(error),
                _ => {
                    std::thread::yield_now();
                    None
                }
            });
            assert!(broken.is_some());
        }
    }
}
