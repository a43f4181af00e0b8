//! `cargo bench-tether`: what starting, answering and syncing cost, in time, instructions, memory, bytes and money, beside the
//! floor of the platform and beside the same backend in Python. It builds the contenders, measures, keeps the results in
//! `tests/results/performance.json`, and writes `docs/performance.md` and `docs/cost.md` from them.

mod budget;
mod chart;
mod contender;
mod cost;
mod deliveries;
mod instructions;
mod make;
mod platform;
mod report;
mod results;
mod serving;
mod size;
mod start;
mod sync;
mod system;
mod tls;
mod units;
mod usage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use contender::{Contender, FLOOR};
use make::Build;
use platform::Platform;
use results::Results;
use size::Size;

/// Measures the functions' release builds.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Also what takes very long: a million records
    #[arg(long)]
    long: bool,
    /// Syncs of no more records
    #[arg(long, default_value_t = 1_000_000)]
    most_records: u32,
    /// Measure what stands in target/release already
    #[arg(long)]
    no_build: bool,
    /// Guard the release build instead of the tests' own
    #[arg(long)]
    release: bool,
    /// Starts of each contender
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// What to do; everything but the guard if nothing is named
    suites: Vec<Suite>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Time and memory of a start
    Start,
    /// Instructions of a start and of a webhook, and bytes
    Instructions,
    /// The first call over TLS
    Tls,
    /// Latency and processor time of webhooks
    Serving,
    /// Records a second, and memory
    Sync,
    /// Requests and capacity units, hence money
    Units,
    /// Only write the pages again
    Report,
    /// Fails when webhook or link-token goes over its budget (tests/bench/budgets.json)
    Guard,
    /// Makes what the guard counts now the budget
    Budgets,
}

const EVERYTHING: [Suite; 6] =
    [Suite::Start, Suite::Instructions, Suite::Tls, Suite::Serving, Suite::Sync, Suite::Units];
const GUARDED: [&str; 2] = ["link-token", "webhook"];

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("bench: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), String> {
    local_stack::install_crypto();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().map_err(|error| error.to_string())?;
    let suites = if arguments.suites.is_empty() { &EVERYTHING[..] } else { &arguments.suites[..] };
    if suites.iter().any(|suite| matches!(suite, Suite::Guard | Suite::Budgets)) {
        let build = if arguments.release { Build::Release } else { Build::Tests };
        return guard(&root, build, suites.contains(&Suite::Budgets));
    }
    let kept = root.join("tests/results/performance.json");
    let mut results = Results::read(&kept)?;
    if suites != [Suite::Report] {
        results.machine = results::machine();
        let bench = Bench::prepare(&root, arguments.no_build)?;
        for suite in suites {
            eprintln!("bench: {suite:?}");
            bench.suite(*suite, arguments, &mut results)?;
            let day = jiff::Timestamp::now().strftime("%Y-%m-%d");
            results.taken.insert(format!("{suite:?}").to_lowercase(), format!("{} on {day}", make::commit(&root)));
            results.write(&kept)?;
        }
    }
    report::write(&root, &results)
}

/// Everything that a suite needs.
struct Bench {
    root: PathBuf,
    built: PathBuf,
    interpreter: PathBuf,
    platform: Platform,
    compiled: Vec<Contender>,
    python: Contender,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn prepare(root: &Path, no_build: bool) -> Result<Self, String> {
        let built = if no_build { make::built(root, Build::Release) } else { make::all(root)? };
        let interpreter = make::python(root)?;
        let platform = Platform::start().map_err(|error| error.to_string())?;
        let address = platform.address.to_string();
        Ok(Self {
            compiled: contender::compiled(root, &built, &address)?,
            python: contender::python(root, &interpreter, &address, "webhook"),
            runtime: tokio::runtime::Runtime::new().map_err(|error| error.to_string())?,
            root: root.to_owned(),
            built,
            interpreter,
            platform,
        })
    }

    fn suite(&self, suite: Suite, arguments: &Arguments, results: &mut Results) -> Result<(), String> {
        let everyone: Vec<Contender> = self.compiled.iter().chain([&self.python]).cloned().collect();
        let named = |names: &[&str]| {
            let found = everyone.iter().filter(|contender| names.contains(&contender.name.as_str()));
            found.cloned().collect::<Vec<_>>()
        };
        let (root, scratch) = (&self.root, self.root.join("target"));
        match suite {
            Suite::Start => results.start = start::measure(&self.platform, &everyone, arguments.rounds)?,
            Suite::Instructions => {
                results.sizes = sizes(&self.compiled)?;
                results.instructions = instructions::starts(&self.platform, &everyone, &scratch)?;
                let serving = named(&[FLOOR, "webhook"]);
                results.webhook_instructions = instructions::webhooks(&self.platform, &serving, &scratch)?;
            }
            Suite::Tls => {
                let first_call = self.built.join("first-call");
                let tls = tls::measure(&self.platform, &named(&GUARDED), &first_call, &scratch)?;
                let dearest = tls.hellos.iter().map(|hello| hello.adds).max().unwrap_or_default();
                results.tls = Some(tls.clone());
                if tls.adds() > tls::MOST || dearest > tls::MOST as i64 {
                    return Err(format!("a first call over TLS adds more than {}: {tls:?}", tls::MOST));
                }
            }
            Suite::Serving => {
                let serving = named(&[FLOOR, "webhook", contender::PYTHON]);
                results.serving = serving::measure(&self.platform, &serving, arguments.rounds.div_ceil(4))?;
            }
            Suite::Sync => {
                results.sync.clear();
                let functions = self.functions();
                for case in
                    sync::cases(arguments.long).into_iter().filter(|case| case.records <= arguments.most_records)
                {
                    eprintln!("bench: {case:?}");
                    let runs = sync::measure(root, &functions, &self.interpreter, case);
                    results.sync.extend(self.runtime.block_on(runs)?);
                }
            }
            Suite::Units => {
                results.units = self.runtime.block_on(units::count(root, &self.functions(), &self.interpreter))?;
            }
            Suite::Report | Suite::Guard | Suite::Budgets => {}
        }
        Ok(())
    }

    fn functions(&self) -> BTreeMap<String, PathBuf> {
        let binaries = self.compiled.iter().filter(|contender| contender.name != FLOOR);
        binaries.map(|contender| (contender.name.clone(), self.built.join(&contender.name))).collect()
    }
}

fn sizes(contenders: &[Contender]) -> Result<Vec<Size>, String> {
    let binaries = contenders.iter().filter_map(|contender| Some((contender, contender.binary()?)));
    binaries.map(|(contender, binary)| Size::of(&contender.name, binary)).collect()
}

/// Counts the two guarded functions, and compares them with their budgets or makes them the budgets.
fn guard(root: &Path, build: Build, update: bool) -> Result<(), String> {
    let built = make::guarded(root, build)?;
    let platform = Platform::start().map_err(|error| error.to_string())?;
    let mut guarded = contender::compiled(root, &built, &platform.address.to_string())?;
    guarded.retain(|contender| GUARDED.contains(&contender.name.as_str()));
    let costs = budget::measure(&platform, &guarded, &root.join("target"))?;
    for (name, cost) in &costs {
        println!("{name}, {}: {} and {} instructions, {} bytes", build.name(), cost.first, cost.next, cost.loaded);
    }
    let file = root.join("tests/bench/budgets.json");
    let mut budgets = budget::read(&file)?;
    if update {
        budgets.insert(build.name().to_owned(), costs);
        return budget::write(&file, &budgets);
    }
    let allowed = budgets.get(build.name()).ok_or_else(|| format!("no budgets of {}", build.name()))?;
    let over = budget::overdrawn(allowed, &costs);
    if over.is_empty() { Ok(()) } else { Err(over.join("; ")) }
}
