//! A failed download is shown: by a dialog, a framed message, a command of the user's; and nobody waits for that.

use std::io::Write;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::child::{Launch, skip};
use crate::desktop::{Fakes, HELPERS, Screen, fifo, installed, lines_of, patience, session_of, wait_gone};
use crate::lan::Lan;

/// Time enough for any program to fail, on any machine.
const LONG_GRACE: &str = "10m";
/// Time for no program to fail.
const NO_GRACE: &str = "0s";

/// `get` of what nobody offers.
fn get(lan: &Lan, names: &[&str], args: &[&str]) -> Launch {
    let folder = lan.folder("got");
    let target = ["-o".as_ref(), folder.as_os_str()];
    lan.launch("getter", &["get", "--wait", "200ms"]).args(&target).args(args).args(names)
}

/// Runs the process that shows dialogs with one failure; returns its exit code and what it says.
fn show(fakes: &Fakes, lan: &Lan, grace: &str) -> (i32, String) {
    let report = lan.path("report.json");
    std::fs::write(&report, "{\"number\":1,\"title\":\"x was not fetched\",\"happened\":\"why\"}\n").unwrap();
    let shell = ["/bin/sh", "-c", "exec \"$@\" < \"$0\""].map(str::as_ref);
    let launch = Launch::new("dialog").through(&[shell[0], shell[1], shell[2], report.as_os_str()]);
    let ended = fakes.found_by(launch.args(&["show-failures", "-v", "--grace", grace])).run();
    (ended.code.unwrap(), ended.stderr)
}

fn programs(fakes: &Fakes) -> Vec<String> {
    fakes.other_calls().into_iter().map(|call| call.program).collect()
}

#[test]
fn several_failures_make_one_dialog_that_outlives_the_run() {
    let lan = Lan::new();
    let fakes = Fakes::new(lan.folder("bin"));
    fakes.add_shown("zenity");
    let names = ["talk.mkv", "-- <b>&\u{1b}[2J", "notes.pdf"];
    // A desktop and no terminal: a dialog.
    let launch = fakes.found_by(get(&lan, &[], &["--dialog=auto", "--"]).args(&names));
    let launch = launch.var("DISPLAY", ":4711").var("SSH_CONNECTION", "").var("SSH_CLIENT", "");
    // It ends although the dialog does not.
    let ended = launch.var("SSH_TTY", "").run().expect(3);
    assert!(ended.stderr.contains("\"talk.mkv\" was not fetched"), "{}", ended.stderr);
    let call = fakes.next_call();
    let text = call.text();
    for part in [
        "3 downloads failed.",
        "\"talk.mkv\" was",
        "<b>&\\u{1b}[2J\" was",
        "\"notes.pdf\" was",
        "no peer answered on port",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(call.words.contains(&"--no-markup".to_owned()) && !text.contains('\u{1b}'), "{text}");
    assert!(call.words.iter().all(|word| !word.starts_with("-- ")), "{text}");
    assert_eq!(session_of(call.by), call.by);
    fakes.close();
    wait_gone(call.by);
    assert_eq!(programs(&fakes), [""; 0]);
    let log = lan.transfer_log("getter");
    assert_eq!(log.matches(" FAIL ").count(), 3, "{log}");
}

#[test]
fn a_program_that_fails_at_once_has_not_shown_it() {
    let lan = Lan::new();
    let fakes = Fakes::new(lan.folder("bin"));
    // zenity is missing.
    fakes
        .add("kdialog", "exit 1")
        .add("yad", "kill -9 $$")
        .add("xmessage", "exit 0")
        .add_shown("notify-send");
    let (exit, said) = show(&fakes, &lan, LONG_GRACE);
    assert_eq!(
        (exit, programs(&fakes)),
        (0, ["kdialog", "yad", "xmessage"].map(str::to_owned).to_vec()),
        "{said}"
    );
    assert!(said.contains("xmessage shows it") && said.contains("kdialog does not show it"), "{said}");
}

#[test]
fn a_program_that_is_slow_to_show_it_is_left_alone() {
    let lan = Lan::new();
    let fakes = Fakes::new(lan.folder("bin"));
    // It fails only when somebody closes it, long after the grace.
    fakes.add("zenity", "exit 0");
    let script = format!("read word < '{}'; exit 1", lan.path("bin/closed").display());
    fakes.add("kdialog", &script);
    let launch = fakes.found_by(get(&lan, &["talk.mkv"], &["--dialog=always"]));
    launch.var("CHUNKCAST_DIALOG_GRACE", NO_GRACE).run().expect(3);
    let call = fakes.next_call();
    assert_eq!(call.program, "kdialog");
    assert!(call.text().contains("A download failed."), "{}", call.text());
    fakes.close();
    wait_gone(call.by);
    assert_eq!(programs(&fakes), [""; 0]);
}

#[test]
fn a_program_that_hangs_keeps_nobody() {
    let lan = Lan::new();
    let fakes = Fakes::new(lan.folder("bin"));
    fakes.add("kdialog", "exec /bin/sleep 100000").add("zenity", "exit 0");
    let launch = fakes.found_by(get(&lan, &["talk.mkv"], &["--dialog=always"]));
    launch.var("CHUNKCAST_DIALOG_GRACE", NO_GRACE).run().expect(3);
    let call = fakes.next_call();
    assert_eq!(call.program, "kdialog");
    call.kill();
    wait_gone(call.by);
    assert_eq!(programs(&fakes), [""; 0]);
}

#[test]
fn a_notification_counts_when_it_was_delivered() {
    let lan = Lan::new();
    let fakes = Fakes::new(lan.folder("bin"));
    fakes.add("notify-send", "exit 0");
    let (exit, said) = show(&fakes, &lan, NO_GRACE);
    assert_eq!((exit, programs(&fakes)), (0, vec!["notify-send".to_owned()]), "{said}");
    fakes.add("notify-send", "exit 1");
    // The grace is that of programs that stay.
    assert_eq!(show(&fakes, &lan, NO_GRACE).0, 5);
}

#[test]
fn where_nothing_shows_it_that_is_noticed() {
    let lan = Lan::new();
    let fakes = Fakes::new(lan.folder("bin"));
    let (exit, said) = show(&fakes, &lan, LONG_GRACE);
    assert_eq!((exit, said.matches("does not show it").count()), (5, 5), "{said}");
    for helper in HELPERS {
        fakes.add(helper, "exit 1");
    }
    assert_eq!(show(&fakes, &lan, LONG_GRACE).0, 5);
    assert_eq!(programs(&fakes), HELPERS);
    // The download fails as it would without a dialog; the frame is there instead.
    let empty = Fakes::new(lan.folder("empty"));
    let ended = empty.found_by(get(&lan, &["talk.mkv"], &["--dialog=always"])).run().expect(3);
    assert!(ended.stderr.contains("┌ \"talk.mkv\" was not fetched"), "{}", ended.stderr);
    assert!(ended.stderr.contains("│ happened  no peer answered on port"), "{}", ended.stderr);
    assert!(lan.transfer_log("getter").contains("FAIL \"talk.mkv\""));
}

#[test]
fn a_frame_or_a_plain_line_as_asked() {
    let lan = Lan::new();
    let framed = get(&lan, &["talk.mkv"], &["--dialog=terminal"]).run().expect(3).stderr;
    assert!(framed.contains("┌ \"talk.mkv\"") && framed.contains("│ next"), "{framed}");
    let plain = get(&lan, &["talk.mkv"], &[]).run().expect(3).stderr;
    assert!(
        plain.contains("chunkcast: \"talk.mkv\" was not fetched: no peer") && !plain.contains('┌'),
        "{plain}"
    );
    // What ends the whole command is shown like a download's failure.
    let whole = get(&lan, &["talk.mkv"], &["--bind=192.0.2.1", "--dialog=terminal"]).run().expect(4).stderr;
    assert!(whole.contains("┌ the download failed") && whole.contains("192.0.2.1"), "{whole}");
}

#[test]
fn the_command_of_on_error_is_told_of_each_failure() {
    let lan = Lan::new();
    let told = lan.path("told");
    let names = "NAME REASON PATH EXIT KIND NEXT ID KEPT";
    let command = format!(
        "echo out; for name in {names}; do eval \"echo $name=\\\"\\$CHUNKCAST_ERROR_$name\\\"\"; done >> '{}'; \
         echo again=$CHUNKCAST_ON_ERROR >> '{0}'; test $CHUNKCAST_ERROR_NAME = talk.mkv",
        told.display()
    );
    let names = ["talk.mkv", "notes.pdf"];
    let ended = get(&lan, &names, &["--json"]).var("CHUNKCAST_ON_ERROR", &command).run().expect(3);
    let told = std::fs::read_to_string(told).unwrap();
    let path = lan.folder("got");
    for name in names {
        let part =
            format!("NAME={name}\nREASON=no peer answered on port {} within 0.2 s (asked on lo)", lan.port);
        assert!(told.contains(&part), "{part} is not in {told}");
    }
    let path = format!("PATH={}\nEXIT=3\nKIND=nobody-offers\nNEXT=README, Trouble", path.display());
    assert_eq!(told.matches(&path).count(), 2, "{told}");
    assert_eq!(told.matches("ID=\nKEPT=\nagain=\n").count(), 2, "{told}");
    // Results are not mixed with what it says, and its own failure is told.
    assert!(!ended.stdout.contains("out") && ended.stderr.contains("out\n"), "{}", ended.text());
    let complaint = "the command of --on-error ended with exit status: 1";
    assert_eq!(ended.stderr.matches(complaint).count(), 1, "{}", ended.stderr);
}

#[test]
fn a_command_of_on_error_that_hangs_is_left_by_a_signal() {
    let lan = Lan::new();
    let began = lan.path("began");
    fifo(&began);
    let lines = lines_of(&began);
    let command = format!("echo $$ > '{}'; exec sleep 100000", began.display());
    let getter = get(&lan, &["talk.mkv"], &["--on-error", &command]).start();
    lines.recv_timeout(patience()).unwrap();
    getter.signal(Signal::INT);
    let ended = getter.end();
    // The signal comes before or after the download has ended by itself.
    assert!(matches!(ended.code, Some(3 | 130)), "{:?}", ended.code);
    assert!(ended.stderr.contains("the command of --on-error was ended after"), "{}", ended.stderr);
}

#[test]
fn xmessage_shows_it_for_real() {
    let Some(xmessage) = installed("xmessage") else { return skip("xmessage", "no real dialog was shown") };
    let Some(screen) = Screen::start() else { return skip("Xvfb", "no real dialog was shown") };
    let Some(empty) = screen.drawn_pixels() else { return skip("xwd", "no real dialog was shown") };
    assert_eq!(empty, 0);
    let lan = Lan::new();
    let fakes = Fakes::new(lan.folder("bin"));
    fakes.add("kdialog", "exit 1");
    std::os::unix::fs::symlink(xmessage, lan.path("bin/xmessage")).unwrap();
    let launch = fakes.found_by(get(&lan, &["talk.mkv"], &["--dialog=always"]));
    launch.var("DISPLAY", &screen.display).run().expect(3);
    let dialog = fakes.next_call().by;
    let began = std::time::Instant::now();
    // A window with some lines of text: not a few stray pixels, nor all of the screen.
    while !(5_000..470_000).contains(&screen.drawn_pixels().unwrap()) {
        assert!(began.elapsed() < patience(), "nothing was drawn");
    }
    drop(screen);
    wait_gone(dialog);
}

#[test]
fn on_a_terminal_the_message_is_framed_and_no_dialog_comes() {
    let Some(script) = installed("script") else { return skip("script", "no terminal can be made") };
    let lan = Lan::new();
    let folder = lan.folder("got");
    let command = format!(
        "exec '{}' get talk.mkv --wait 200ms -o '{}' --port {} --broadcast {} --state-dir '{}'",
        env!("CARGO_BIN_EXE_chunkcast"),
        folder.display(),
        lan.port,
        crate::lan::BROADCAST,
        lan.state("getter").display()
    );
    let mut terminal = Command::new(script)
        .args(["-qec", &command, "/dev/null"])
        .env_remove("CHUNKCAST_DIALOG")
        .env("DISPLAY", ":4711")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    terminal.stdin.take().unwrap().flush().unwrap();
    let output = terminal.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("┌ \"talk.mkv\" was not fetched"), "{said}");
    assert_eq!(output.status.code(), Some(3), "{said}");
}
