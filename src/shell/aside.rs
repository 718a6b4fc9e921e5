//! Processes beside this one: a copy of this program that goes on by itself, programs that are waited for only so long, and
//! a command that is run for each of several things, one after the other.
//!
//! Owns these processes and the threads that wait for them; nothing here keeps a loop waiting, except for
//! [`CommandQueue::finish`] at the end. What is run, and why, is the command line's business.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, setsid, waitid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The most a wait goes on before it looks whether it is still wanted.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Commands that wait for their turn; more are dropped.
const QUEUED_MAX: usize = 256;
/// Lines that [`lines_of_stdin`] reads ahead.
const LINES_AHEAD: usize = 64;
/// The longest line that is written or read here, in bytes: what a pipe takes whole or not at all (`PIPE_BUF`).
pub const LINE_BYTES_MAX: usize = 4096;

/// A copy of this program that is told lines on its stdin and outlives this process.
#[derive(Debug)]
pub struct Detached {
    child: Child,
    stdin: ChildStdin,
}

/// A program in a process group of its own that is waited for only so long. It is not ended when this is dropped.
#[derive(Debug)]
pub struct Watched {
    child: Child,
    ended: Receiver<()>,
}

/// Runs one shell command for each of several things, one after the other, beside the loop.
#[derive(Debug)]
pub struct CommandQueue {
    sender: SyncSender<Vec<(&'static str, OsString)>>,
    receiver: Receiver<String>,
    stop: Arc<AtomicBool>,
    dropped: usize,
}

impl Detached {
    /// Starts this program with `args`, apart from any folder or pipe of this process; by [`leave_session`] it leaves
    /// the terminal too.
    pub fn start(args: &[impl AsRef<OsStr>]) -> io::Result<Detached> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let stdin = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        // Whoever reads too slowly is told less; this process does not wait.
        rustix::io::ioctl_fionbio(&stdin, true)?;
        Ok(Detached { child, stdin })
    }

    /// Tells it a line of at most [`LINE_BYTES_MAX`] bytes with its end: all of it or, with an error, nothing.
    pub fn send(&mut self, line: &[u8]) -> io::Result<()> {
        self.stdin.write_all(line)
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

impl Watched {
    /// Starts a program that reads `stdin` and says nothing.
    pub fn start(program: &str, args: &[impl AsRef<OsStr>], stdin: &str) -> io::Result<Watched> {
        let mut command = Command::new(program);
        command.args(args).stdout(Stdio::null()).stderr(Stdio::null());
        command.stdin(if stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
        let mut watched = Watched::of(&mut command)?;
        if let Some(pipe) = watched.child.stdin.take() {
            let text = stdin.to_owned();
            // A program that does not read must not keep anybody waiting.
            std::thread::spawn(move || {
                let mut pipe = pipe;
                let _ = pipe.write_all(text.as_bytes());
            });
        }
        Ok(watched)
    }

    fn of(command: &mut Command) -> io::Result<Watched> {
        let child = command.process_group(0).spawn()?;
        let (pid, (sender, ended)) = (Pid::from_child(&child), channel());
        std::thread::spawn(move || {
            // Left to be reaped by its owner, so that its id stays its own until then.
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let _ = sender.send(());
        });
        Ok(Watched { child, ended })
    }

    /// How it ended; `None` when it still runs after `within`, or when `stop` says so meanwhile.
    pub fn wait(&mut self, within: Duration, stop: impl Fn() -> bool) -> Option<io::Result<ExitStatus>> {
        let began = Instant::now();
        loop {
            let left = within.saturating_sub(began.elapsed());
            match self.ended.recv_timeout(left.min(LOOK_INTERVAL)) {
                Err(RecvTimeoutError::Timeout) if left.is_zero() || stop() => return None,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return Some(self.child.wait()),
            }
        }
    }

    /// Ends it and what it started in its group.
    pub fn end(mut self) {
        // Not reaped yet, so that the group's id cannot be another's.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Starts a program that goes its own way: it outlives this process, reads and says nothing, and is waited for by nobody
/// but a thread that reaps it.
pub fn start_alone(program: &str, args: &[impl AsRef<OsStr>]) -> io::Result<()> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.process_group(0).spawn()?;
    std::thread::spawn(move || {
        let _ = child.wait();
    });
    Ok(())
}

impl CommandQueue {
    /// A queue that runs `command` by the shell, each time for at most `limit`. What goes wrong is told by
    /// [`CommandQueue::complaints`], as a clause about the command.
    pub fn new(command: String, limit: Duration) -> CommandQueue {
        let (sender, things) = sync_channel::<Vec<_>>(QUEUED_MAX);
        let (complain, receiver) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || run_all(&command, limit, &things, &complain, &stopped));
        CommandQueue { sender, receiver, stop, dropped: 0 }
    }

    /// Runs it once more, with these variables in its environment, as soon as those before it are through.
    pub fn run(&mut self, variables: Vec<(&'static str, OsString)>) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.sender.try_send(variables) {
            self.dropped += 1;
        }
    }

    /// What went wrong since the last call.
    pub fn complaints(&mut self) -> Vec<String> {
        self.receiver.try_iter().collect()
    }

    /// Waits until all are through: at most `within`, and not beyond a signal that asks this process to end. Then what
    /// still runs is ended. Returns what went wrong.
    pub fn finish(self, within: Duration) -> Vec<String> {
        let CommandQueue { sender, receiver, stop, dropped } = self;
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // Where that fails a signal ends the process, or waits as long as this does.
            let _ = signal_hook::flag::register(signal, Arc::clone(&signalled));
        }
        drop(sender);
        let (mut complaints, until) = (Vec::new(), Instant::now() + within);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || signalled.load(Ordering::Relaxed) {
                stop.store(true, Ordering::Relaxed);
            }
            match receiver.recv_timeout(LOOK_INTERVAL) {
                Ok(complaint) => complaints.push(complaint),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if dropped > 0 {
            complaints.push(format!("was not run {dropped} times, because too many waited for it"));
        }
        complaints
    }
}

/// Makes this process one of its own session, so that no terminal ends it.
pub fn leave_session() {
    // The leader of a group cannot, as when a shell started it; that one is apart enough.
    if let Err(error) = setsid() {
        log::debug!("this process stays in its session: {error}");
    }
}

/// The lines of stdin, read beside whoever takes them. What is longer than [`LINE_BYTES_MAX`] ends them.
pub fn lines_of_stdin() -> Receiver<String> {
    let (sender, receiver) = sync_channel(LINES_AHEAD);
    std::thread::spawn(move || {
        let mut stdin = io::BufReader::new(io::stdin());
        loop {
            let mut line = String::new();
            let limit = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
            let read = io::BufRead::read_line(&mut Read::take(&mut stdin, limit), &mut line);
            if !read.is_ok_and(|bytes| bytes > 0) || !line.ends_with('\n') || sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Runs the command for each thing until there are no more, or `stop` says so.
fn run_all(
    command: &str,
    limit: Duration,
    things: &Receiver<Vec<(&'static str, OsString)>>,
    complain: &Sender<String>,
    stop: &AtomicBool,
) {
    let stopped = || stop.load(Ordering::Relaxed);
    let mut left_out = 0;
    for variables in things {
        if stopped() {
            left_out += 1;
        } else if let Some(complaint) = run_one(command, limit, variables, stopped) {
            // Nobody listens any more: nothing is left to do.
            if complain.send(complaint).is_err() {
                return;
            }
        }
    }
    if left_out > 0 {
        let _ = complain.send(format!("was not run {left_out} times, because this process ends"));
    }
}

fn run_one(
    command: &str,
    limit: Duration,
    variables: Vec<(&'static str, OsString)>,
    stopped: impl Fn() -> bool,
) -> Option<String> {
    let mut shell = Command::new("/bin/sh");
    // stdout carries the results of this process and nothing else.
    shell.arg("-c").arg(command).stdin(Stdio::null()).stdout(io::stderr()).stderr(Stdio::inherit());
    for (name, value) in variables {
        if value.is_empty() {
            shell.env_remove(name)
        } else {
            shell.env(name, value)
        };
    }
    let mut running = match Watched::of(&mut shell) {
        Ok(running) => running,
        Err(error) => return Some(format!("could not be started: {error}")),
    };
    let began = Instant::now();
    match running.wait(limit, stopped) {
        Some(Ok(status)) if status.success() => None,
        Some(Ok(status)) => Some(format!("ended with {status}")),
        Some(Err(error)) => Some(format!("cannot be waited for: {error}")),
        None => {
            running.end();
            Some(format!("was ended after {:.1} s", began.elapsed().as_secs_f64()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn sh(script: &str) -> Watched {
        Watched::start("/bin/sh", &["-c", script], "").unwrap()
    }

    #[test]
    fn a_program_is_waited_for_only_so_long() {
        assert_eq!(sh("exit 3").wait(LONG, || false).unwrap().unwrap().code(), Some(3));
        let mut endless = sh("exec sleep 1000");
        assert!(endless.wait(Duration::ZERO, || false).is_none());
        assert!(endless.wait(LONG, || true).is_none());
        endless.end();
        let mut reader =
            Watched::start("/bin/sh", &["-c", "read word; test \"$word\" = so"], "so\n").unwrap();
        assert!(reader.wait(LONG, || false).unwrap().unwrap().success());
        let missing = Watched::start("a-program-that-is-not-there", &[""; 0], "");
        assert_eq!(missing.unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_command_is_run_for_each_and_complaints_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let script = "echo \"$WORD\" >> \"$FOLDER/words\"; test \"$WORD\" = two && exit 3; true";
        let mut queue = CommandQueue::new(script.to_owned(), LONG);
        for word in ["one", "two", "three"] {
            queue.run(vec![("WORD", word.into()), ("FOLDER", folder.path().into())]);
        }
        let complaints = queue.finish(LONG);
        assert_eq!(complaints, ["ended with exit status: 3"]);
        assert_eq!(std::fs::read_to_string(folder.path().join("words")).unwrap(), "one\ntwo\nthree\n");
    }

    #[test]
    fn a_command_that_hangs_is_ended_and_the_rest_left_out() {
        let mut queue = CommandQueue::new("exec sleep 1000".to_owned(), LONG);
        queue.run(Vec::new());
        queue.run(Vec::new());
        let complaints = queue.finish(Duration::ZERO);
        let all = complaints.join("\n");
        assert!(all.contains("was not run") && all.contains("this process ends"), "{all}");
        let mut queue = CommandQueue::new("exec sleep 1000".to_owned(), Duration::ZERO);
        queue.run(Vec::new());
        let complaints = queue.finish(LONG);
        assert!(complaints[0].starts_with("was ended after"), "{complaints:?}");
    }
}
