//! Child processes: more peers on this machine, as `demo` runs them.
//!
//! Owns the processes, the pipes from their stdout and the signals that end a whole group. What a child says is the
//! command line's business.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use socket2::{Domain, Protocol, Socket, Type};

use crate::shell::signals::outlive_large_files;

/// The most a group waits before it looks whether a signal came.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// What the variables begin with that children do not inherit.
const OWN_VARIABLES: &str = "CHUNKCAST_";

/// What came from a group.
#[derive(Debug, PartialEq, Eq)]
pub enum FromGroup {
    /// A child wrote a line to stdout.
    Line(usize, String),
    /// A child closed stdout: it has ended, or is about to.
    Closed(usize),
    /// A signal asks this process to end.
    Signal(i32),
    /// The time is over.
    TimedOut,
}

/// Copies of this program, numbered from 0 in the order of their start. They end when the group is dropped.
#[derive(Debug)]
pub struct Group {
    children: Vec<Child>,
    receiver: Receiver<FromGroup>,
    sender: Sender<FromGroup>,
    signal: Arc<AtomicUsize>,
}

impl Group {
    /// An empty group. From here on SIGINT, SIGTERM and SIGHUP no longer end this process: they come as
    /// [`FromGroup::Signal`].
    pub fn new() -> io::Result<Group> {
        let (sender, receiver) = channel();
        let signal = Arc::new(AtomicUsize::new(0));
        outlive_large_files()?;
        for number in [Signal::INT, Signal::TERM, Signal::HUP].map(Signal::as_raw) {
            let value = usize::try_from(number).unwrap_or_default();
            signal_hook::flag::register_usize(number, Arc::clone(&signal), value)?;
        }
        Ok(Group { children: Vec::new(), receiver, sender, signal })
    }

    /// Starts this program with `args`; returns its number. It inherits no variable of chunkcast's own, and what it
    /// says on stderr goes nowhere: it is to say what matters on stdout.
    pub fn spawn(&mut self, args: &[impl AsRef<OsStr>]) -> io::Result<usize> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(OWN_VARIABLES) {
                command.env_remove(name);
            }
        }
        let mut child = command.spawn()?;
        let number = self.children.len();
        if let Some(stdout) = child.stdout.take() {
            let sender = self.sender.clone();
            std::thread::spawn(move || send_lines(number, stdout, &sender));
        }
        self.children.push(child);
        Ok(number)
    }

    /// Whether a signal asks this process to end; [`Group::next`] will say which.
    pub fn is_signalled(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }

    /// The next thing that comes, at the latest at `until`.
    pub fn next(&mut self, until: Instant) -> FromGroup {
        loop {
            let signal = self.signal.swap(0, Ordering::Relaxed);
            if signal != 0 {
                return FromGroup::Signal(i32::try_from(signal).unwrap_or_default());
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.receiver.recv_timeout(left.min(LOOK_INTERVAL)) {
                Ok(event) => return event,
                Err(RecvTimeoutError::Timeout) if !left.is_zero() => {}
                Err(_) => return FromGroup::TimedOut,
            }
        }
    }

    /// Asks every child to end; returns whether all had ended well within `grace`. Those that had not are killed.
    pub fn end(&mut self, grace: Duration) -> bool {
        for child in &self.children {
            let _ = kill_process(Pid::from_child(child), Signal::TERM);
        }
        let until = Instant::now() + grace;
        let mut open = self.children.len();
        while open > 0 {
            match self.receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(FromGroup::Closed(_)) => open -= 1,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        true
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for child in &mut self.children {
            // A child that ended meanwhile cannot be killed, and need not be.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A UDP port that nobody uses and, as long as this lives, nobody who asks the system for one is given.
#[derive(Debug)]
pub struct DrawnPort {
    socket: Socket,
}

impl DrawnPort {
    /// Draws a port on loopback. Peers that share their discovery port can still bind it.
    pub fn draw() -> io::Result<DrawnPort> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
        Ok(DrawnPort { socket })
    }

    /// Its number; 0 when the system does not say.
    pub fn port(&self) -> u16 {
        let addr = self.socket.local_addr().ok().and_then(|addr| addr.as_socket());
        addr.map_or(0, |addr| addr.port())
    }
}

/// Lets this process end when the one that started it does, where the system can.
pub fn end_with_parent() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::TERM)) {
        log::debug!("this process will not end with its parent: {error}");
    }
}

fn send_lines(number: usize, stdout: ChildStdout, sender: &Sender<FromGroup>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if sender.send(FromGroup::Line(number, line)).is_err() {
            return;
        }
    }
    // Nobody listens to a group that is gone.
    let _ = sender.send(FromGroup::Closed(number));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawn_port_can_be_bound_by_those_who_share_it_only() {
        let port = DrawnPort::draw().unwrap();
        let addr = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port.port()));
        assert!(std::net::UdpSocket::bind(addr).is_err());
        let peer = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        peer.set_reuse_address(true).unwrap();
        peer.bind(&addr.into()).unwrap();
    }

    #[test]
    fn an_empty_group_times_out_and_ends() {
        let mut group = Group::new().unwrap();
        assert_eq!(group.next(Instant::now()), FromGroup::TimedOut);
        assert!(group.end(Duration::from_secs(1)));
    }
}
