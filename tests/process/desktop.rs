//! A desktop for one test: programs that pretend to show dialogs, in a folder that is the whole `PATH`; and a real
//! display without a screen.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

use crate::child::{Launch, PATIENCE};

/// The programs that are tried, in their order.
pub(crate) const HELPERS: [&str; 5] = ["kdialog", "zenity", "yad", "xmessage", "notify-send"];

/// Behind what programs said until then.
const LAST_LINE: &str = "so far";

/// A folder of programs that pretend to show dialogs.
#[derive(Debug)]
pub(crate) struct Fakes {
    folder: PathBuf,
    said: Receiver<String>,
}

/// One start of such a program.
#[derive(Debug)]
pub(crate) struct Call {
    /// Its name.
    pub(crate) program: String,
    /// Its arguments, and what it read on stdin.
    pub(crate) words: Vec<String>,
    pid: Pid,
    /// The process that started it.
    pub(crate) by: Pid,
}

impl Fakes {
    /// A folder without any program.
    pub(crate) fn new(folder: PathBuf) -> Fakes {
        let fifo = folder.join("said");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        mknodat(CWD, folder.join("closed"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let (tell, said) = channel();
        std::thread::spawn(move || {
            // Open for both, so that neither opening nor reading ends with a writer.
            let fifo = OpenOptions::new().read(true).write(true).open(fifo).unwrap();
            for line in BufReader::new(fifo).lines().map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Fakes { folder, said }
    }

    /// Adds a program that says that it was called, and how, and goes on with `script`.
    pub(crate) fn add(&self, program: &str, script: &str) -> &Fakes {
        let folder = self.folder.display();
        let text = format!(
            "#!/bin/sh\n\
             for word; do printf '%s\\0' \"$word\"; done > '{folder}'/words-$$\n\
             test {program} = xmessage && /bin/cat >> '{folder}'/words-$$\n\
             echo {program} $$ $PPID > '{folder}'/said\n\
             {script}\n"
        );
        let path = self.folder.join(program);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Adds a program that shows its text until [`Fakes::close`].
    pub(crate) fn add_shown(&self, program: &str) -> &Fakes {
        let folder = self.folder.display();
        self.add(program, &format!("read word < '{folder}'/closed"))
    }

    /// Lets a process find these programs and no others.
    pub(crate) fn found_by(&self, launch: Launch) -> Launch {
        launch.var("PATH", &self.folder)
    }

    /// The next call of a program.
    pub(crate) fn next_call(&self) -> Call {
        self.call(self.said.recv_timeout(PATIENCE).expect("a program that shows it"))
    }

    /// The calls of programs that have ended, and were not taken yet.
    pub(crate) fn other_calls(&self) -> Vec<Call> {
        // Whoever has ended said so before this line, which the reading thread may still have to come to.
        let mut fifo = OpenOptions::new().write(true).open(self.folder.join("said")).unwrap();
        fifo.write_all(format!("{LAST_LINE}\n").as_bytes()).unwrap();
        let lines = || self.said.recv_timeout(PATIENCE).expect("a line that was written");
        std::iter::repeat_with(lines)
            .take_while(|line| line != LAST_LINE)
            .map(|line| self.call(line))
            .collect()
    }

    /// Lets one program that shows its text end, as when somebody has read it.
    pub(crate) fn close(&self) {
        let mut fifo = OpenOptions::new().write(true).open(self.folder.join("closed")).unwrap();
        fifo.write_all(b"so\n").unwrap();
    }

    fn call(&self, line: String) -> Call {
        let parts: Vec<&str> = line.split(' ').collect();
        let [program, pid, by] = parts[..] else { panic!("{line}") };
        let words = fs::read_to_string(self.folder.join(format!("words-{pid}"))).unwrap();
        Call {
            program: program.to_owned(),
            words: words.split('\0').map(str::to_owned).collect(),
            pid: to_pid(pid),
            by: to_pid(by),
        }
    }
}

impl Call {
    /// Ends the program.
    pub(crate) fn kill(&self) {
        kill_process(self.pid, Signal::KILL).unwrap();
    }

    /// Everything it was told.
    pub(crate) fn text(&self) -> String {
        self.words.join("\n")
    }
}

/// Waits for the end of a process that is not this one's child.
pub(crate) fn wait_gone(pid: Pid) {
    // One that cannot be opened has gone.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    let limit = Timespec::try_from(PATIENCE).unwrap();
    let ready = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&limit)).unwrap();
    assert_eq!(ready, 1, "process {} did not end in {PATIENCE:?}", pid.as_raw_nonzero());
}

/// An X server without a screen, of this test alone. Dropping it ends it, and with it what it shows.
#[derive(Debug)]
pub(crate) struct Screen {
    server: Child,
    /// What `DISPLAY` is for it.
    pub(crate) display: String,
}

impl Screen {
    /// Starts one; `None` when that is not installed here.
    pub(crate) fn start() -> Option<Screen> {
        // Else it begins anew when its last client leaves, and loses who comes meanwhile.
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "800x600x24", "-nolisten", "tcp", "-noreset"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let (tell, told) = channel();
        let stdout = server.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(stdout).read_line(&mut line);
            let _ = tell.send(line);
        });
        let mut screen = Screen { server, display: String::new() };
        let number = told.recv_timeout(PATIENCE).unwrap();
        screen.display = format!(":{}", number.trim().parse::<u32>().expect("a display's number"));
        Some(screen)
    }

    /// How many pixels of a screenshot differ from its first; `None` when none can be taken here.
    pub(crate) fn drawn_pixels(&self) -> Option<usize> {
        let shot = Command::new("xwd")
            .args(["-root", "-silent", "-display", &self.display])
            .stdin(Stdio::null())
            .output()
            .ok()?;
        assert!(shot.status.success(), "{shot:?}");
        let word = |at: usize| u32::from_be_bytes(shot.stdout[at..at + 4].try_into().unwrap()) as usize;
        // The header's size, and the number of colours that follow it, twelve bytes each.
        let pixels = &shot.stdout[word(0) + 12 * word(76)..];
        assert_eq!(pixels.len(), 4 * 800 * 600);
        Some(pixels.chunks(4).filter(|pixel| *pixel != &pixels[..4]).count())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The path of a program that is installed here.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The session of a process.
pub(crate) fn session_of(pid: Pid) -> Pid {
    rustix::process::getsid(Some(pid)).unwrap()
}

/// A file whose first read waits for a writer, read beside the test.
pub(crate) fn lines_of(path: &Path) -> Receiver<String> {
    let (tell, told) = channel();
    let path = path.to_owned();
    std::thread::spawn(move || {
        for line in BufReader::new(File::open(path).unwrap()).lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    told
}

/// Makes a pipe with a name.
pub(crate) fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
}

/// The longest a line is waited for.
pub(crate) fn patience() -> Duration {
    PATIENCE
}

fn to_pid(text: &str) -> Pid {
    Pid::from_raw(text.parse().unwrap()).unwrap()
}
