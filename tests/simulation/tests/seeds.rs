//! Fixed seeds: everything holds, one seed is one run, and each planted bug is noticed.

use std::sync::atomic::{AtomicU64, Ordering};

use simulation::{Bug, Outcome, Scenario, run, run_in};

/// Runs seeds on every core.
fn each(seeds: impl Iterator<Item = u64>, work: impl Fn(u64) -> Outcome + Sync) -> Vec<Outcome> {
    let seeds: Vec<u64> = seeds.collect();
    let next = AtomicU64::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let run = || {
        let mut outcomes = Vec::new();
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            outcomes.push(work(*seed));
        }
        outcomes
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(run)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no run panics")).collect()
    })
}

#[test]
fn everything_holds_after_every_seed() {
    let broken: Vec<Outcome> =
        each(1..17, |seed| run(seed, false)).into_iter().filter(|o| !o.broken.is_empty()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// Reservations, epochs and deletions rest on conditions, not on whose clock is right: with clocks up to ten minutes
/// apart nobody writes over another, and nothing is taken for expired or current that is not.
#[test]
fn checklist_45_everything_holds_with_clocks_ten_minutes_off() {
    let off = |seed| run_in(seed, false, |scenario| Scenario { skew: 600, ..scenario });
    let broken: Vec<Outcome> = each(101..105, off).into_iter().filter(|o| !o.broken.is_empty()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn everything_holds_where_nothing_goes_wrong() {
    let calm = run_in(1, false, Scenario::calm);
    assert!(calm.broken.is_empty(), "{calm:#?}");
    assert!(calm.lines > 500, "something happened: {calm:?}");
}

#[test]
fn one_seed_is_one_run() {
    let (once, again) = (run(7, false), run(7, false));
    assert_eq!(once, again);
    assert_ne!(once.fingerprint, run(8, false).fingerprint);
}

/// A watch that sees nothing would let everything hold: each mistake is made for the worker and must be noticed.
#[test]
fn each_planted_bug_is_noticed() {
    let unnoticed = each(0..NOTICED.len() as u64, |bug| {
        let bug = NOTICED[bug as usize];
        let runs = SEEDS.map(|seed| move || run_in(seed, false, |scenario| scenario.planted(bug)));
        let mut outcome = runs[0]();
        for run in &runs[1..] {
            if outcome.broken.is_empty() {
                outcome = run();
            }
        }
        Outcome { seed: NOTICED.iter().position(|other| *other == bug).map_or(0, |place| place as u64), ..outcome }
    });
    let unnoticed: Vec<Bug> =
        unnoticed.iter().filter(|o| o.broken.is_empty()).map(|o| NOTICED[o.seed as usize]).collect();
    assert!(unnoticed.is_empty(), "went unnoticed: {unnoticed:?}");
}

/// The worlds in which mistakes are made break nothing by themselves.
#[test]
fn without_a_mistake_the_same_worlds_hold() {
    let bugs = [Bug::TagByNumber, Bug::NoFencing];
    let outcomes = each(0..bugs.len() as u64, |bug| {
        run_in(SEEDS[0], false, |scenario| Scenario { bug: None, ..scenario.planted(bugs[bug as usize]) })
    });
    assert!(outcomes.iter().all(|outcome| outcome.broken.is_empty()), "{outcomes:#?}");
}

/// Worlds in which each planted bug is looked for.
const SEEDS: [u64; 4] = [1, 2, 3, 4];

/// `OlderOverNewer` needs two workers with two versions of one record at the same moment, which no short seed has shown
/// yet; the condition it takes away is held by the store's own tests.
const NOTICED: [Bug; 6] = [
    Bug::CheckpointBeforeData,
    Bug::OurClock,
    Bug::NoFencing,
    Bug::TagByNumber,
    Bug::UnfinishedGeneration,
    Bug::CompletedBeforeFetch,
];
