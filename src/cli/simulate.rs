//! `simulate`: a swarm of peers that want one file, in virtual time, with the core and the frames of the real peer.

mod drawing;
mod policy;
mod stats;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::Outcome;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::progress::Live;
use crate::cli::units::{parse_duration, parse_interval, parse_rate, parse_size};
use crate::sim::{Churn, Join, Swarm, SwarmSpec};
use crate::store::drawing::write_file;
use policy::Choice;

/// So much happens between two looks at the clock.
const STRIDE: u64 = 4_096;

/// Simulate a swarm in virtual time: one peer has a file, N want it
#[derive(Debug, Args)]
#[command(after_help = policy::HELP)]
pub(crate) struct SimulateArgs {
    /// Number of peers that want the file; one more has it
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    peers: u16,
    /// Size of the file
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = parse_size)]
    size: u64,
    /// Size of a chunk [default: as `share` chooses it]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    chunk_size: Option<u64>,
    /// Rate of each uplink
    #[arg(long, value_name = "RATE", default_value = "100Mbit", value_parser = parse_rate)]
    up: u64,
    /// Rate of each downlink
    #[arg(long, value_name = "RATE", default_value = "100Mbit", value_parser = parse_rate)]
    down: u64,
    /// Delay between any two hosts
    #[arg(long, value_name = "TIME", default_value = "0.2ms", value_parser = parse_duration)]
    latency: Duration,
    /// Change the behaviour of the peers (with commas); the choices are below [default: none]
    #[arg(long, value_name = "CHOICE", value_delimiter = ',', value_parser = Choice::parse)]
    policy: Vec<Choice>,
    /// When the peers come: all at once (flash), evenly over a time (staggered:TIME), or every second one later (half:TIME)
    #[arg(long, value_name = "WHEN", default_value = "flash", value_parser = parse_join)]
    join: Join,
    /// This percentage of the peers crashes every TIME and returns after half of it [default: none]
    #[arg(long, value_name = "PERCENT:TIME", value_parser = parse_churn)]
    churn: Option<Churn>,
    /// Percentage of lost datagrams
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = parse_loss)]
    loss: u32,
    /// K of the peers have links of this rate (repeatable, or with commas) [default: none]
    #[arg(long, value_name = "K:RATE", value_delimiter = ',', value_parser = parse_slow)]
    slow: Vec<(u16, u64)>,
    /// Seed of the random numbers: the same seed gives the same run
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Write a drawing of how the chunks spread to this file [default: none]
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub(crate) fn run(args: &SimulateArgs, out: &mut Output) -> Result<Outcome, Exit> {
    let spec = spec_of(args).map_err(|why| out.refuse(Exit::Usage, &why, None))?;
    let next = Some("give another --chunk-size or --size");
    let mut swarm = Swarm::new(spec).map_err(|error| out.refuse(Exit::Usage, &error.to_string(), next))?;
    let (began, mut every) = (Instant::now(), Live::default());
    let next = Some("please report this with the command");
    while swarm.go_on(STRIDE).map_err(|failure| out.refuse(Exit::Bug, &failure.what, next))? {
        if out.is_live() && every.is_due(Instant::now()) {
            out.show(&stats::progress(&swarm, began.elapsed()));
        }
    }
    let (took, figures) = (began.elapsed(), swarm.figures());
    let (spec, chunks) = (swarm.spec(), swarm.spread().chunks());
    out.clear();
    out.json(&stats::Simulated { spec, figures: &figures, chunks, took });
    out.result(&stats::report(spec, &figures, chunks, took));
    if let Some(path) = &args.svg {
        let drawn = drawing::drawn(spec, swarm.spread());
        write_file(path, drawn.as_bytes())
            .map_err(|fault| out.refuse(Exit::of_fault(&fault), &fault.text, None))?;
    }
    let peers = usize::from(args.peers);
    if figures.complete < peers {
        let why = format!("only {} have the file in the end", figures.complete);
        out.error(Exit::Partial, &why, None);
    }
    Ok(Outcome {
        exit: if figures.complete == peers { Exit::Ok } else { Exit::Partial },
        done: figures.complete,
        failed: peers - figures.complete,
        bytes: figures.payload_bytes - figures.wasted_bytes,
    })
}

fn spec_of(args: &SimulateArgs) -> Result<SwarmSpec, String> {
    if args.size == 0 {
        return Err("there is nothing to spread in a file of 0 bytes".to_owned());
    }
    let chunk_bytes = args.chunk_size.map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
    let mut spec = SwarmSpec {
        seed: args.seed,
        peers: args.peers.into(),
        size: args.size,
        chunk_bytes,
        up: args.up,
        down: args.down,
        latency: args.latency,
        loss_ppm: args.loss,
        join: args.join,
        churn: args.churn,
        keeps_arrivals: args.svg.is_some(),
        ..SwarmSpec::default()
    };
    for choice in &args.policy {
        choice.apply(&mut spec.limits);
    }
    let mut next = 1;
    for (count, rate) in &args.slow {
        spec.slow.extend((next..).take((*count).into()).map(|peer| (peer, *rate)));
        next += usize::from(*count);
    }
    match next > spec.peers {
        true => Err("at least one peer has to be as fast as --up and --down say".to_owned()),
        false => Ok(spec),
    }
}

fn parse_join(text: &str) -> Result<Join, String> {
    match text.split_once(':') {
        None if text == "flash" => Ok(Join::Flash),
        Some(("staggered", over)) => parse_duration(over).map(Join::Staggered),
        Some(("half", later)) => parse_duration(later).map(Join::Half),
        _ => Err("write flash, or for example staggered:5s".to_owned()),
    }
}

fn parse_churn(text: &str) -> Result<Churn, String> {
    let wrong = || "write for example 50:10s: half of the peers crash every 10 s".to_owned();
    let (share, every) = text.split_once(':').ok_or_else(wrong)?;
    let share_percent = share.trim_end_matches('%').parse().map_err(|_| wrong())?;
    match share_percent {
        0..=100 => Ok(Churn { share_percent, every: parse_interval(every)? }),
        _ => Err(wrong()),
    }
}

fn parse_loss(text: &str) -> Result<u32, String> {
    let percent: f64 = text.trim_end_matches('%').parse().unwrap_or(f64::NAN);
    match (0.0..=100.0).contains(&percent) {
        // At most a million.
        true => Ok((percent * 10_000.0) as u32),
        false => Err("write a percentage, for example 1 or 0.5".to_owned()),
    }
}

fn parse_slow(text: &str) -> Result<(u16, u64), String> {
    let wrong = || "write for example 1:12.5Mbit: one peer on a link of that rate".to_owned();
    let (count, rate) = text.split_once(':').ok_or_else(wrong)?;
    Ok((count.parse().map_err(|_| wrong())?, parse_rate(rate)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read() {
        assert_eq!(parse_join("flash"), Ok(Join::Flash));
        assert_eq!(parse_join("staggered:2s"), Ok(Join::Staggered(Duration::from_secs(2))));
        assert_eq!(parse_join("half:500ms"), Ok(Join::Half(Duration::from_millis(500))));
        assert!(parse_join("now").is_err() && parse_join("staggered:").is_err());
        assert_eq!(parse_churn("50%:10s"), Ok(Churn { share_percent: 50, every: Duration::from_secs(10) }));
        assert!(parse_churn("101:10s").is_err() && parse_churn("5:0").is_err() && parse_churn("x").is_err());
        assert_eq!((parse_loss("1"), parse_loss("0.5%")), (Ok(10_000), Ok(5_000)));
        assert!(parse_loss("-1").is_err() && parse_loss("x").is_err());
        assert_eq!(parse_slow("2:8Mbit"), Ok((2, 1_000_000)));
        assert!(parse_slow("8Mbit").is_err());
    }
}
