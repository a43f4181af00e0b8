//! `cargo bench-tether`: what starting, answering and syncing cost, in time, instructions, memory, bytes and money,
//! beside the floor of the platform and beside the same backend in Python. It builds the contenders, measures, keeps
//! the results in
//! `tests/results/performance.json`, and writes `docs/performance.md` and `docs/cost.md` from them.

mod answer;
mod budget;
mod chart;
mod contender;
mod cost;
mod deliveries;
mod goals;
mod instructions;
mod linking;
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

use answer::Over;
use contender::{Contender, FLOOR};
use make::Build;
use platform::Platform;
use results::Results;
use size::Size;
use tls::Secure;

/// Measures the functions' release builds.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Also what takes very long: a million records
    #[arg(long)]
    long: bool,
    /// A little of everything, with the tests' own binaries: whether it runs, not what it comes to. Results and pages
    /// go to target/bench-smoke
    #[arg(long, conflicts_with = "long")]
    smoke: bool,
    /// Syncs of no more records; larger ones are cut
    #[arg(long, default_value_t = 1_000_000)]
    most_records: u32,
    /// Measure what is built already
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
    /// The first call over TLS, in instructions, and the first answer, in time
    Tls,
    /// Latency and processor time of webhooks, link tokens and exchanges
    Serving,
    /// Records a second, and memory
    Sync,
    /// Requests and capacity units, hence money
    Units,
    /// Only write the pages again
    Report,
    /// Fails when webhook or link-token strays from its budget (tests/bench/budgets.json), or draws jitter entropy
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
    let place = if arguments.smoke { root.join("target/bench-smoke") } else { root.clone() };
    let kept = place.join("tests/results/performance.json");
    let mut results = Results::read(&kept)?;
    if suites != [Suite::Report] {
        results.machine = results::machine();
        let bench = Bench::prepare(&root, arguments)?;
        for suite in suites {
            eprintln!("bench: {suite:?}");
            bench.suite(*suite, &mut results)?;
            let day = jiff::Timestamp::now().strftime("%Y-%m-%d");
            results.taken.insert(format!("{suite:?}").to_lowercase(), format!("{} on {day}", make::commit(&root)));
            results.write(&kept)?;
        }
    }
    report::write(&root, &place.join("docs"), &results)
}

/// How much of each is measured.
#[derive(Clone, Copy)]
struct Extent {
    smoke: bool,
    long: bool,
    rounds: usize,
    most_records: u32,
    /// Webhooks of a round.
    webhooks: usize,
    /// Link tokens and exchanges of a round.
    links: usize,
    /// Records whose units are counted.
    counted: u32,
}

impl Extent {
    fn of(arguments: &Arguments) -> Self {
        if arguments.smoke {
            return Self {
                smoke: true,
                long: false,
                rounds: 2,
                most_records: 300,
                webhooks: 20,
                links: 3,
                counted: 200,
            };
        }
        let Arguments { long, rounds, most_records, .. } = *arguments;
        Self { smoke: false, long, rounds, most_records, webhooks: 500, links: 40, counted: 2_000 }
    }

    /// Of what takes long each time.
    fn few_rounds(self) -> usize {
        self.rounds.div_ceil(4)
    }
}

/// Everything that a suite needs.
struct Bench {
    root: PathBuf,
    extent: Extent,
    built: PathBuf,
    interpreter: PathBuf,
    platform: Platform,
    compiled: Vec<Contender>,
    python: Contender,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn prepare(root: &Path, arguments: &Arguments) -> Result<Self, String> {
        let build = if arguments.smoke { Build::Tests } else { Build::Release };
        let built = if arguments.no_build { make::built(root, build) } else { make::all(root, build)? };
        let interpreter = make::python(root)?;
        let platform = Platform::start().map_err(|error| error.to_string())?;
        let address = platform.address.to_string();
        Ok(Self {
            compiled: contender::compiled(root, &built, &address)?,
            python: contender::python(root, &interpreter, &address, "webhook"),
            runtime: tokio::runtime::Runtime::new().map_err(|error| error.to_string())?,
            root: root.to_owned(),
            extent: Extent::of(arguments),
            built,
            interpreter,
            platform,
        })
    }

    fn suite(&self, suite: Suite, results: &mut Results) -> Result<(), String> {
        let everyone: Vec<Contender> = self.compiled.iter().chain([&self.python]).cloned().collect();
        let named = |names: &[&str]| {
            let found = everyone.iter().filter(|contender| names.contains(&contender.name.as_str()));
            found.cloned().collect::<Vec<_>>()
        };
        let (root, scratch, extent) = (&self.root, self.root.join("target"), self.extent);
        match suite {
            Suite::Start => results.start = start::measure(&self.platform, &everyone, extent.rounds)?,
            Suite::Instructions => {
                // The tests' binaries are too large to be packed here, and Python's start too long.
                let (packed, counted) = match extent.smoke {
                    true => (named(&[FLOOR]), named(&[FLOOR, "link-token", "webhook"])),
                    false => (self.compiled.clone(), everyone.clone()),
                };
                results.sizes = sizes(&packed)?;
                results.instructions = instructions::starts(&self.platform, &counted, &scratch)?;
                let serving = named(&[FLOOR, "webhook"]);
                results.webhook_instructions = instructions::webhooks(&self.platform, &serving, &scratch)?;
            }
            Suite::Tls => self.tls(&named, results)?,
            Suite::Serving => {
                let (rounds, webhooks) = (extent.few_rounds(), named(&[FLOOR, "webhook", contender::PYTHON]));
                results.serving = serving::measure(&self.platform, &webhooks, rounds, extent.webhooks)?;
                let place = linking::Place {
                    root,
                    functions: &self.functions(),
                    interpreter: &self.interpreter,
                    platform: &self.platform,
                    runtime: &self.runtime,
                };
                results.serving.extend(linking::measure(&place, &self.compiled, rounds, extent.links)?);
            }
            Suite::Sync => {
                results.sync.clear();
                let functions = self.functions();
                for case in sync::cases(extent.long, extent.most_records) {
                    eprintln!("bench: {case:?}");
                    let runs = sync::measure(root, &functions, &self.interpreter, case);
                    results.sync.extend(self.runtime.block_on(runs)?);
                }
            }
            Suite::Units => {
                let functions = self.functions();
                let counted = units::count(root, &functions, &self.interpreter, extent.counted);
                results.units = self.runtime.block_on(counted)?;
            }
            Suite::Report | Suite::Guard | Suite::Budgets => {}
        }
        Ok(())
    }

    fn tls(&self, named: &dyn Fn(&[&str]) -> Vec<Contender>, results: &mut Results) -> Result<(), String> {
        let scratch = self.root.join("target");
        let secure = Secure::start(&scratch)?;
        let webhook = named(&["webhook"]).pop().ok_or("webhook was not built")?;
        let first_call = contender::first_call(&self.built, &webhook, &secure.root);
        let url = ("AWS_ENDPOINT_URL", secure.url.clone());
        let authorities = ("AWS_CA_BUNDLE", contender::text(&secure.root));
        let answering = [
            (named(&[FLOOR]).pop().ok_or("the floor was not built")?, Over::Nothing),
            (webhook, Over::Plain),
            (first_call.with(std::slice::from_ref(&url)), Over::Tls),
            (self.python.with(&[url, authorities]), Over::Tls),
        ];
        results.answers = answer::measure(&self.platform, &secure, &answering, self.extent.rounds)?;
        let tls = tls::measure(&self.platform, &secure, &first_call, &named(&GUARDED), &scratch)?;
        let too_dear = tls.too_dear();
        results.tls = Some(tls);
        if too_dear.is_empty() { Ok(()) } else { Err(too_dear.join("; ")) }
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
    let scratch = root.join("target");
    let costs = budget::measure(&platform, &guarded, &scratch)?;
    for (name, cost) in &costs {
        println!("{name}, {}: {} and {} instructions, {} bytes", build.name(), cost.first, cost.next, cost.loaded);
    }
    let mut faults = Vec::new();
    for contender in &guarded {
        let hello = tls::hello(&platform, contender, &scratch)?;
        println!("{}, {}: {} instructions more to its hello over TLS", hello.name, build.name(), hello.adds);
        faults.extend(hello.too_dear());
    }
    let file = root.join("tests/bench/budgets.json");
    let mut budgets = budget::read(&file)?;
    if update && faults.is_empty() {
        budgets.insert(build.name().to_owned(), costs);
        return budget::write(&file, &budgets);
    }
    let allowed = budgets.get(build.name()).ok_or_else(|| format!("no budgets of {}", build.name()))?;
    faults.extend(budget::strayed(allowed, &costs));
    if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
}
