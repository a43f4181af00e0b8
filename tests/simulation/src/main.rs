//! `cargo sim`: runs seeds, prints those that fail and what happened in all, or replays one with its trace.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use simulation::{Bug, Happenings, Outcome, Scenario, run_in};

/// Runs the production handlers under seeded faults and looks at what must hold. Without arguments: fresh seeds for a
/// minute.
#[derive(Parser)]
struct Arguments {
    /// Replays one seed and prints everything that happens.
    #[arg(long, conflicts_with_all = ["seeds", "minutes"])]
    seed: Option<u64>,
    /// With --seed: prints only what came of it.
    #[arg(long, requires = "seed")]
    quiet: bool,
    /// Runs these seeds, for example 1..1001 (the end is not one of them).
    #[arg(long, value_parser = range)]
    seeds: Option<(u64, u64)>,
    /// Runs fresh seeds for so many minutes.
    #[arg(long)]
    minutes: Option<f64>,
    /// Makes a mistake for the worker, which must be noticed: CheckpointBeforeData, OurClock, NoFencing, TagByNumber,
    /// UnfinishedGeneration, CompletedBeforeFetch, OlderOverNewer or StaleSweep.
    #[arg(long, value_parser = bug)]
    plant: Option<Bug>,
    /// With --plant: lives in that mistake's world without making it.
    #[arg(long, requires = "plant")]
    unplanted: bool,
    /// How far the clock of a process may be off, in seconds.
    #[arg(long)]
    skew: Option<u64>,
    /// Goes on after a failure.
    #[arg(long)]
    all: bool,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
    parts.ok_or_else(|| "two numbers with .. between them".to_owned())
}

fn bug(name: &str) -> Result<Bug, String> {
    Bug::named(name).ok_or_else(|| "no such mistake".to_owned())
}

fn main() -> ExitCode {
    // The alias ends its own options with `--` already.
    let arguments = Arguments::parse_from(std::env::args().filter(|argument| argument != "--"));
    let failed = match arguments.seed {
        Some(seed) => {
            let outcome = one(seed, !arguments.quiet, &arguments);
            report(&outcome);
            !outcome.broken.is_empty()
        }
        None => many(&arguments),
    };
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn one(seed: u64, shown: bool, arguments: &Arguments) -> Outcome {
    run_in(seed, shown, |scenario| {
        let scenario = match arguments.plant {
            Some(bug) if arguments.unplanted => Scenario { bug: None, ..scenario.planted(bug) },
            Some(bug) => scenario.planted(bug),
            None => scenario,
        };
        Scenario { skew: arguments.skew.unwrap_or(scenario.skew), ..scenario }
    })
}

/// Thousands of seeds take an hour: how far they are is said after so many.
const SAID_EVERY: u64 = 500;

/// What came of the seeds so far.
#[derive(Default)]
struct Sum {
    seeds: u64,
    broken: u64,
    happenings: Happenings,
}

/// Runs seeds on every core until one fails; whether one did.
fn many(arguments: &Arguments) -> bool {
    let started = Instant::now();
    let fresh = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() * 1_000_000);
    let (from, to) = arguments.seeds.unwrap_or_else(|| (fresh(), u64::MAX));
    let minutes = arguments.minutes.or(arguments.seeds.is_none().then_some(1.0));
    let until = minutes.map(|minutes| started + Duration::from_secs_f64(minutes * 60.0));
    println!("seeds from {from}");
    let (next, failed, sum) = (AtomicU64::new(from), AtomicBool::new(false), Mutex::new(Sum::default()));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let over = until.is_some_and(|until| Instant::now() >= until);
            if seed >= to || over || (failed.load(Ordering::Relaxed) && !arguments.all) {
                return;
            }
            let outcome = one(seed, false, arguments);
            if !outcome.broken.is_empty() {
                report(&outcome);
                failed.store(true, Ordering::Relaxed);
            }
            if let Ok(mut sum) = sum.lock() {
                sum.seeds += 1;
                sum.broken += u64::from(!outcome.broken.is_empty());
                sum.happenings.add(&outcome.happenings);
                if sum.seeds.is_multiple_of(SAID_EVERY) {
                    println!("{} seeds so far, {} broken", sum.seeds, sum.broken);
                }
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    let Ok(Sum { seeds, broken, happenings }) = sum.into_inner() else { return true };
    let seconds = started.elapsed().as_secs_f64();
    print!("{happenings}");
    println!("{seeds} seeds in {seconds:.0} s ({:.2} a second), {broken} broken", seeds as f64 / seconds);
    failed.load(Ordering::Relaxed)
}

fn report(outcome: &Outcome) {
    let Outcome { seed, broken, fingerprint, lines, .. } = outcome;
    if broken.is_empty() {
        println!("seed {seed}: holds ({lines} lines, {fingerprint:016x})");
        return;
    }
    // What overflows does so in the build that checks it.
    let replay = if cfg!(debug_assertions) { "cargo run --bin simulation --" } else { "cargo sim" };
    println!("seed {seed}: BROKEN ({lines} lines). Replay: {replay} --seed {seed}");
    for what in broken {
        println!("  {what}");
    }
}
