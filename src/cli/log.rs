//! `log`: prints the transfer log, or the entries that match.

mod entry;
mod text;
pub(crate) mod writer;

use chrono::{DateTime, FixedOffset, Local, NaiveDate, NaiveTime};
use clap::Args;

use crate::cli::exit::Exit;
use crate::cli::global::Global;
use crate::cli::log::entry::Entry;
use crate::cli::output::Output;
use crate::cli::units::parse_duration;
use crate::cli::{Outcome, human, wanted};
use crate::store::transfer_log;
use crate::types::ContentId;
use crate::types::name::printable;
use crate::wire::message::Wanted;

const EXAMPLES: &str = "\
Examples:
  chunkcast log --since 1h                    the last hour
  chunkcast log --since 2026-11-20            since that day
  chunkcast log --peer lab-7 --name '*.mkv'   films from or to lab-7
  chunkcast log --json | jq .                 as JSON lines";

/// Print the log of transfers
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LogArgs {
    /// Print only later entries: 1h (ago), 2026-11-20, 2026-11-20T16:00:00+03:00 [default: all]
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<DateTime<FixedOffset>>,
    // The next two have the names of global flags, which they hide here: `args::try_parse` knows.
    /// Print only entries about this peer: its user name or its address [default: all]
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub(crate) peer: Vec<String>,
    /// Print only entries about this file: its name or a pattern [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

pub(crate) fn run(args: &LogArgs, global: &Global, out: &mut Output) -> Result<Outcome, Exit> {
    let path = global.log_file().map_err(|why| out.refuse(Exit::Storage, &why, None))?;
    let name = args.name.as_deref().map(wanted::wanted).transpose();
    let name = name.map_err(|why| out.refuse(Exit::Usage, &why, None))?;
    let mut lines = 0;
    transfer_log::read(&path, |line| {
        // A line that does not read back was torn by a full disk or written by somebody else.
        if let Some(entry) = Entry::parse(line).filter(|entry| args.asks_for(name.as_ref(), entry)) {
            lines += 1;
            if out.is_json() {
                out.json_at(&entry, &entry.ts());
            } else if line.starts_with('{') {
                out.result(&entry.to_string());
            } else {
                out.result(&printable_line(line));
            }
        }
        out.ended().is_none()
    })
    .map_err(|fault| out.refuse(Exit::of_fault(&fault), &fault.text, None))?;
    if lines == 0 {
        let shown = human::quoted_path(&path);
        out.note(&match path.exists() {
            true => format!("no transfers in {shown} match"),
            false => format!("no transfers logged yet in {shown}"),
        });
    }
    Ok(Outcome { exit: Exit::Ok, done: lines, failed: 0, bytes: 0 })
}

impl LogArgs {
    fn asks_for(&self, name: Option<&Wanted>, entry: &Entry) -> bool {
        let id = || entry.id.unwrap_or(ContentId([0; 32]));
        let peer = |asked: &String| {
            let addr = entry.peer.as_deref().unwrap_or_default();
            let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
            [Some(addr), Some(host), entry.user()].contains(&Some(asked.as_str()))
        };
        self.since.is_none_or(|since| entry.stamp >= since)
            && (self.peer.is_empty() || self.peer.iter().any(peer))
            && name.is_none_or(|name| name.matches(&entry.name, &id()))
    }
}

/// Reads a moment: a duration ago, a day, or a full time stamp.
fn parse_since(text: &str) -> Result<DateTime<FixedOffset>, String> {
    let text = text.trim();
    if let Ok(ago) = parse_duration(text) {
        let ago = chrono::TimeDelta::from_std(ago).map_err(|_| "that is too long ago".to_owned())?;
        let then = Local::now().checked_sub_signed(ago).ok_or_else(|| "that is too long ago".to_owned())?;
        return Ok(then.fixed_offset());
    }
    if let Ok(day) = text.parse::<NaiveDate>() {
        let midnight = day.and_time(NaiveTime::MIN).and_local_timezone(Local);
        return midnight
            .earliest()
            .map(|then| then.fixed_offset())
            .ok_or_else(|| "there is no such day".to_owned());
    }
    DateTime::parse_from_rfc3339(text)
        .map_err(|_| "write for example 1h, 2026-11-20 or 2026-11-20T16:00:00+03:00".to_owned())
}

/// A line of an earlier version: one of ours holds nothing a terminal could mistake; a file may hold anything.
fn printable_line(line: &str) -> String {
    if line.chars().any(char::is_control) { printable(line) } else { line.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    const DOWN: &str = "2026-11-20T16:02:11.482+03:00 DOWN chunk 12/2048 \"a/talk.mkv\" bytes=524288 \
                        peer=192.168.1.27:7117 user=lab-7 dur=0.006 ok";

    fn asks(args: LogArgs) -> bool {
        let name = args.name.as_deref().map(|name| wanted::wanted(name).unwrap());
        args.asks_for(name.as_ref(), &Entry::parse(DOWN).unwrap())
    }

    fn args() -> LogArgs {
        LogArgs { since: None, peer: vec![], name: None }
    }

    #[test]
    fn filters() {
        assert!(asks(args()));
        for (peer, found) in
            [("lab-7", true), ("192.168.1.27", true), ("192.168.1.27:7117", true), ("lab", false)]
        {
            assert_eq!(asks(LogArgs { peer: vec![peer.into()], ..args() }), found, "{peer}");
        }
        for (name, found) in [("talk.mkv", true), ("*.mkv", true), ("a/*", true), ("*.txt", false)] {
            assert_eq!(asks(LogArgs { name: Some(name.into()), ..args() }), found, "{name}");
        }
        for (since, found) in [("2026-11-20T16:02:11+03:00", true), ("2026-11-20T16:02:12+03:00", false)] {
            assert_eq!(
                asks(LogArgs { since: Some(parse_since(since).unwrap()), ..args() }),
                found,
                "{since}"
            );
        }
    }

    #[test]
    fn moments() {
        let then = parse_since("2h").unwrap();
        assert_eq!((Local::now().fixed_offset() - then).num_minutes(), 120);
        assert!(parse_since("2026-11-20").is_ok());
        for bad in ["", "yesterday", "2026-13-01", "99999999999d"] {
            assert!(parse_since(bad).is_err(), "{bad}");
        }
    }
}
