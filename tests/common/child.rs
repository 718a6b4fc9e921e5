//! A chunkcast process: how it is started, what it says, how it ends.

#![allow(dead_code, reason = "each suite uses a part of it")]

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;

/// How long a test waits for what must come before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// What happens when a process has told of so many bytes of chunks, before its next line is read.
///
/// The process can be ahead of that line by what a pipe and a read buffer hold, some 250 lines. A transfer of 2,048
/// chunks that is caught before its 1,600th is certainly not complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trap {
    /// Nothing.
    None,
    /// Its output is left unread until [`Child::release`], once it has received so many.
    Hold(u64),
    /// The same, once it has sent so many.
    HoldServing(u64),
    /// It is killed, once it has received so many.
    Kill(u64),
}

/// A process about to be started.
#[derive(Debug)]
pub(crate) struct Launch {
    name: String,
    wrapper: Vec<OsString>,
    args: Vec<OsString>,
    vars: Vec<(OsString, OsString)>,
    trap: Trap,
}

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Child {
    /// What the test calls it.
    pub(crate) name: String,
    process: std::process::Child,
    said: Receiver<Said>,
    readers: Vec<JoinHandle<()>>,
    gate: Arc<Gate>,
    lines: Vec<Value>,
    stdout: String,
    stderr: String,
    /// Standard output, standard error and the process itself, as far as they have not ended.
    alive: u8,
    ended: bool,
}

/// What a process left.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// The objects on its standard output, in order.
    pub(crate) lines: Vec<Value>,
    /// Its standard output as text.
    pub(crate) stdout: String,
    /// Its standard error.
    pub(crate) stderr: String,
}

#[derive(Debug)]
enum Said {
    Out(String),
    Err(String),
    Trapped,
    /// One of the three that [`Child::alive`] counts.
    End,
}

/// Holds back the reader of a process's output.
#[derive(Debug, Default)]
struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

/// The binary, started through other words, if there are some, and with nothing of the environment that it would read.
pub(crate) fn chunkcast(wrapper: &[OsString]) -> Command {
    let binary = OsString::from(env!("CARGO_BIN_EXE_chunkcast"));
    let mut words = wrapper.iter().chain([&binary]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdin(Stdio::null());
    for (key, _) in std::env::vars_os() {
        if key.to_string_lossy().starts_with("CHUNKCAST_") || key == "RUST_LOG" {
            command.env_remove(key);
        }
    }
    // Who runs the tests on a desktop is not to be shown what they make fail.
    command.env("CHUNKCAST_DIALOG", "never");
    command
}

impl Launch {
    /// The binary without any argument.
    pub(crate) fn new(name: &str) -> Launch {
        let (wrapper, args, vars) = (Vec::new(), Vec::new(), Vec::new());
        Launch { name: name.to_owned(), wrapper, args, vars, trap: Trap::None }
    }

    /// Adds arguments.
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: &[A]) -> Launch {
        self.args.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of its environment.
    pub(crate) fn var(mut self, name: &str, value: impl AsRef<OsStr>) -> Launch {
        self.vars.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// JSON lines, one for each chunk too.
    pub(crate) fn json_chunks(self) -> Launch {
        self.args(&["--json=chunks"])
    }

    /// Sets the trap.
    pub(crate) fn trap(mut self, trap: Trap) -> Launch {
        self.trap = trap;
        self
    }

    /// Starts the binary through another program, which gets it and its arguments appended.
    pub(crate) fn through<A: AsRef<OsStr>>(mut self, wrapper: &[A]) -> Launch {
        self.wrapper = wrapper.iter().map(|word| word.as_ref().to_owned()).collect();
        self
    }

    /// Starts it.
    pub(crate) fn start(self) -> Child {
        let mut command = chunkcast(&self.wrapper);
        command.args(self.args).stdout(Stdio::piped()).stderr(Stdio::piped()).envs(self.vars);
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let pid = Pid::from_child(&process);
        let gate = Arc::new(Gate::default());
        let (tell, said) = channel();
        let out = BufReader::new(process.stdout.take().unwrap());
        let err = process.stderr.take().unwrap();
        let readers = vec![
            spawn(&tell, {
                let gate = Arc::clone(&gate);
                move |tell| read_out(out, tell, self.trap, pid, &gate)
            }),
            spawn(&tell, move |tell| read_err(err, tell)),
            // Leaves the process to be reaped by its owner, so that its pid stays its own until then.
            spawn(&tell, move |_| {
                let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            }),
        ];
        Child {
            name: self.name,
            process,
            said,
            readers,
            gate,
            lines: Vec::new(),
            stdout: String::new(),
            stderr: String::new(),
            alive: 3,
            ended: false,
        }
    }

    /// Starts it and waits for its end.
    pub(crate) fn run(self) -> Ended {
        self.start().end()
    }
}

impl Child {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits for a JSON line, said already or still to come, of which `found` makes something.
    pub(crate) fn wait_json<T>(&mut self, what: &str, mut found: impl FnMut(&Value) -> Option<T>) -> T {
        let mut seen = 0;
        self.wait(what, move |child| {
            let result = child.lines[seen..].iter().find_map(&mut found);
            seen = child.lines.len();
            result
        })
    }

    /// Waits until its standard error contains one of these texts.
    pub(crate) fn wait_stderr(&mut self, texts: &[&str]) {
        self.wait(&format!("{texts:?} on stderr"), |child| {
            texts.iter().any(|text| child.stderr.contains(text)).then_some(())
        });
    }

    /// Waits until its standard output contains this text.
    pub(crate) fn wait_stdout(&mut self, text: &str) {
        self.wait(&format!("{text:?} on stdout"), |child| child.stdout.contains(text).then_some(()));
    }

    /// Waits until its standard output contains this text behind the first `before`.
    pub(crate) fn wait_stdout_after(&mut self, before: &str, text: &str) {
        self.wait(&format!("{text:?} on stdout after {before:?}"), |child| {
            let (_, after) = child.stdout.split_once(before)?;
            after.contains(text).then_some(())
        });
    }

    /// Waits until its trap has sprung.
    pub(crate) fn wait_trapped(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.next(deadline, "the trap") {
                Some(Said::Trapped) => return,
                Some(said) => self.note(said),
                None => self.fail("it ended before its trap sprang"),
            }
        }
    }

    /// Reads its output on, after [`Trap::Hold`].
    pub(crate) fn release(&self) {
        *self.gate.open.lock().unwrap() = true;
        self.gate.opened.notify_all();
    }

    /// How many chunks came so far.
    pub(crate) fn chunks_so_far(&self) -> usize {
        chunk_lines(&self.lines).count()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Kills it and waits for its end.
    pub(crate) fn kill(mut self) -> Ended {
        self.process.kill().unwrap();
        self.end()
    }

    /// Asks it to end, as Ctrl-C does, and waits for that.
    pub(crate) fn interrupt(self) -> Ended {
        self.signal(Signal::INT);
        self.end()
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        self.release();
        self.wait("its end", |child| (child.alive == 0).then_some(()));
        self.ended = true;
        let code = self.process.wait().unwrap().code();
        Ended {
            code,
            lines: std::mem::take(&mut self.lines),
            stdout: std::mem::take(&mut self.stdout),
            stderr: std::mem::take(&mut self.stderr),
        }
    }

    /// The most memory it ever had resident, in bytes.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        1024 * line.trim().trim_end_matches("kB").trim().parse::<u64>().unwrap()
    }

    fn wait<T>(&mut self, what: &str, mut found: impl FnMut(&Child) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(result) = found(self) {
                return result;
            }
            match self.next(deadline, what) {
                Some(said) => self.note(said),
                None => self.fail(&format!("it ended before {what}")),
            }
        }
    }

    fn next(&mut self, deadline: Instant, what: &str) -> Option<Said> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.said.recv_timeout(left) {
            Ok(said) => Some(said),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => self.fail(&format!("no sign of {what} in {PATIENCE:?}")),
        }
    }

    fn note(&mut self, said: Said) {
        match said {
            Said::Out(line) => {
                if let Ok(value) = serde_json::from_str(&line) {
                    self.lines.push(value);
                }
                self.stdout += &line;
                self.stdout.push('\n');
            }
            Said::Err(text) => self.stderr += &text,
            Said::Trapped => {}
            Said::End => self.alive -= 1,
        }
    }

    fn fail(&self, why: &str) -> ! {
        let all: Vec<&str> = self.stdout.lines().collect();
        let first = all.iter().take(10).copied().collect::<Vec<_>>().join("\n");
        let last =
            all[10.min(all.len())..].iter().rev().take(15).rev().copied().collect::<Vec<_>>().join("\n");
        panic!(
            "{}: {why}\n--- stdout, {} lines\n{first}\n...\n{last}\n--- stderr\n{}",
            self.name,
            all.len(),
            self.stderr
        )
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.release();
        if !self.ended {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Ended {
    /// Fails unless it ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "{}\n--- stderr\n{}", tail(&self.stdout), self.stderr);
        self
    }

    /// The lines of type `t`.
    pub(crate) fn of_type(&self, t: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["t"] == t).collect()
    }

    /// What it said, on both streams.
    pub(crate) fn text(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// The indices of the chunks that came, in order.
    pub(crate) fn chunks(&self) -> Vec<u64> {
        chunk_lines(&self.lines).map(|line| line["index"].as_u64().expect("index")).collect()
    }
}

/// The lines among these that tell of a chunk that came and is written.
pub(crate) fn chunk_lines(lines: &[Value]) -> impl Iterator<Item = &Value> {
    lines.iter().filter(|line| chunk_bytes(line, "down").is_some())
}

/// The bytes of the chunk that this line says went in this direction.
fn chunk_bytes(line: &Value, direction: &str) -> Option<u64> {
    let went = line["t"] == "chunk" && line["dir"] == direction && line["ok"] == true;
    line["bytes"].as_u64().filter(|_| went)
}

/// The programs and rights without which a test fails instead of being skipped: a list of words, set by `.ci/run`.
const REQUIRED: &str = "CHUNKCAST_TESTS_REQUIRE";

/// Says, past the test's own capture, that a test was skipped because a program or a right is missing.
///
/// # Panics
///
/// Panics when [`REQUIRED`] lists what is missing.
pub(crate) fn skip(missing: &str, consequence: &str) {
    use std::io::Write;
    let required = std::env::var(REQUIRED).unwrap_or_default();
    assert!(!lists(&required, missing), "{REQUIRED} lists {missing}, which is missing: {consequence}");
    let _ = writeln!(std::io::stderr(), "SKIPPED: {missing} is missing: {consequence}");
}

/// Whether a list of words, separated by spaces, has this one.
fn lists(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|each| each == word)
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

fn spawn(tell: &Sender<Said>, read: impl FnOnce(&Sender<Said>) + Send + 'static) -> JoinHandle<()> {
    let tell = tell.clone();
    std::thread::spawn(move || {
        read(&tell);
        let _ = tell.send(Said::End);
    })
}

fn read_out(out: impl BufRead, tell: &Sender<Said>, trap: Trap, pid: Pid, gate: &Gate) {
    let (direction, at) = match trap {
        Trap::None => ("", u64::MAX),
        Trap::Hold(at) | Trap::Kill(at) => ("down", at),
        Trap::HoldServing(at) => ("up", at),
    };
    let mut bytes = 0;
    for line in out.lines() {
        let Ok(line) = line else { return };
        let before = bytes;
        if before < at
            && trap != Trap::None
            && let Ok(value) = serde_json::from_str(&line)
        {
            bytes += chunk_bytes(&value, direction).unwrap_or(0);
        }
        let _ = tell.send(Said::Out(line));
        if before < at && bytes >= at {
            spring(trap, pid, tell, gate);
        }
    }
}

fn spring(trap: Trap, pid: Pid, tell: &Sender<Said>, gate: &Gate) {
    if let Trap::Kill(_) = trap {
        // The process is reaped only after its output has ended, so the pid is still its own.
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = tell.send(Said::Trapped);
    if let Trap::Hold(_) | Trap::HoldServing(_) = trap {
        let open = gate.open.lock().unwrap();
        drop(gate.opened.wait_while(open, |open| !*open).unwrap());
    }
}

fn read_err(mut err: impl Read, tell: &Sender<Said>) {
    let mut bytes = [0; 4096];
    while let Ok(len) = err.read(&mut bytes) {
        if len == 0 {
            return;
        }
        let _ = tell.send(Said::Err(String::from_utf8_lossy(&bytes[..len]).into_owned()));
    }
}

#[test]
fn what_is_required_is_listed_as_a_whole_word() {
    assert!(lists("b3sum  Xvfb", "Xvfb") && lists("b3sum", "b3sum"));
    assert!(!lists("", "b3sum") && !lists("b3sum2", "b3sum"));
}
