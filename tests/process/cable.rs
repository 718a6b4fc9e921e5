//! A cable between two processes that is cut, or falls silent, once it has carried so many bytes.

use std::io::Read;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::child::PATIENCE;

/// What happens when the bytes of whoever dialled first are through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// Both sides are disconnected.
    Cut,
    /// Nothing more comes through in that direction.
    Hold,
}

/// What is dialled at its address is carried to a port of this host and back; only the first connection breaks. Dropping
/// it ends all.
#[derive(Debug)]
pub(crate) struct Cable {
    /// Where to dial it.
    pub(crate) addr: SocketAddr,
    /// Both ends of each connection; `None`: it is no longer there.
    ends: Arc<Mutex<Option<Vec<TcpStream>>>>,
    broken: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Cable {
    /// To `port`, breaking after `bytes`.
    pub(crate) fn to(port: u16, bytes: u64, what: Break) -> Cable {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        let ends = Arc::new(Mutex::new(Some(Vec::new())));
        let (tell, broken) = channel();
        let held = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let mut limits = std::iter::once(bytes).chain(std::iter::repeat(u64::MAX));
            let mut carriers = Vec::new();
            while let Ok((near, _)) = listener.accept() {
                let far = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
                match (far, held.lock().unwrap().as_mut()) {
                    (Ok(far), Some(ends)) => {
                        ends.extend([near.try_clone().unwrap(), far.try_clone().unwrap()]);
                        let (limit, tell) = (limits.next().unwrap(), tell.clone());
                        carriers.push(std::thread::spawn(move || carry(&near, &far, limit, what, &tell)));
                    }
                    // Nobody is there any more: whoever dials sees it.
                    (Err(_), Some(_)) => {}
                    (_, None) => break,
                }
            }
            carriers.into_iter().for_each(|carrier| carrier.join().unwrap());
        });
        Cable { addr, ends, broken, thread: Some(thread) }
    }

    /// Waits until the first connection has broken.
    pub(crate) fn wait_broken(&self) {
        self.broken.recv_timeout(PATIENCE).expect("a cable that breaks");
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for end in self.ends.lock().unwrap().take().into_iter().flatten() {
            let _ = end.shutdown(Shutdown::Both);
        }
        // The accepting thread wakes from a connection of our own.
        let _ = TcpStream::connect(self.addr);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn carry(near: &TcpStream, far: &TcpStream, limit: u64, what: Break, tell: &Sender<()>) {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = std::io::copy(&mut &*far, &mut &*near);
            let _ = near.shutdown(Shutdown::Write);
        });
        let through = std::io::copy(&mut (&*near).take(limit), &mut &*far);
        let has_broken = through.is_ok_and(|bytes| bytes == limit);
        if has_broken && what == Break::Hold {
            let _ = tell.send(());
            return;
        }
        let _ = far.shutdown(if has_broken { Shutdown::Both } else { Shutdown::Write });
        if has_broken {
            let _ = near.shutdown(Shutdown::Both);
            let _ = tell.send(());
        }
    });
}
