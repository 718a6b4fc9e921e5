//! A peer inside of another program: it shares a file, or gets one, and the program does its own work between the turns.
//!
//! ```text
//! cargo run --example embed -- share FILE
//! cargo run --example embed -- get NAME FOLDER
//! ```
//!
//! Both stay on this machine. `--lan` as the first word lets them out.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chunkcast::{Command, Config, Event, Layout, Reactor, ShareEvent, ShellEvent, Wanted};

fn main() -> Result<(), Box<dyn Error>> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let on_lan = words.first().is_some_and(|word| word == "--lan");
    words.drain(..usize::from(on_lan));
    let config = |folder: &Path| {
        let config = Config::new("embed", folder.join(".chunkcast"), folder);
        if on_lan { config } else { config.on_loopback() }
    };
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["share", file] => {
            let own = std::env::temp_dir().join("chunkcast-embed");
            let mut peer = share(config(&own), Path::new(file))?;
            println!("shared; Ctrl-C ends");
            while !turn(&mut peer, None)?.iter().any(|event| matches!(event, ShellEvent::Signal(_))) {}
        }
        ["get", name, folder] => {
            let mut peer = Reactor::new(config(Path::new(folder)))?;
            println!("{}", get(&mut peer, name, || Ok(()))?.display());
        }
        _ => return Err("usage: embed [--lan] share FILE | embed [--lan] get NAME FOLDER".into()),
    }
    Ok(())
}

/// A peer that shares a file, once that is hashed.
pub(crate) fn share(config: Config, file: &Path) -> Result<Reactor, Box<dyn Error>> {
    let mut peer = Reactor::new(config)?;
    peer.share(file).map_err(|fault| fault.text)?;
    loop {
        for event in turn(&mut peer, None)? {
            match event {
                ShellEvent::Share(ShareEvent::ScanDone { .. }) => return Ok(peer),
                ShellEvent::Share(ShareEvent::Skipped { why, .. }) => return Err(why.into()),
                _ => {}
            }
        }
    }
}

/// Gets a file by its name; returns where it is. The program does its own work between two turns.
pub(crate) fn get(
    peer: &mut Reactor,
    name: &str,
    mut own_work: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<PathBuf, Box<dyn Error>> {
    peer.command(Command::Get {
        ticket: 1,
        wanted: Wanted::Name(name.to_owned()),
        at: None,
        layout: Layout::Flat,
        wait: Duration::from_secs(10),
        stall: Duration::from_secs(30),
    });
    loop {
        for event in turn(peer, Some(Instant::now() + Duration::from_millis(10)))? {
            match event {
                ShellEvent::Core(Event::Finished { path, .. }) => return Ok(path),
                ShellEvent::Core(Event::Failed { reason, .. } | Event::SearchFailed { reason, .. }) => {
                    return Err(format!("{name} does not come: {reason:?}").into());
                }
                ShellEvent::Signal(_) => return Err("interrupted".into()),
                _ => {}
            }
        }
        own_work()?;
    }
}

/// One turn of a peer's loop, and what happened in it.
pub(crate) fn turn(peer: &mut Reactor, until: Option<Instant>) -> Result<Vec<ShellEvent>, chunkcast::Error> {
    peer.turn(until)?;
    Ok(std::iter::from_fn(|| peer.next_event()).collect())
}
