//! Fixed seeds: everything holds and everything has happened, one seed is one run, and each planted bug is noticed.

use std::ops::Range;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use simulation::{Bug, Happening, Happenings, Outcome, Scenario, run, run_in, timed_in};

/// Seeds in which everything must hold.
const SEEDS: Range<u64> = 1..33;

/// And those that once found something that nothing else holds: an uncommitted record that a sweep had spared was
/// counted off; an issue stayed open whose end no webhook told; more calls than the plan allows arrived within a minute,
/// or were made by whoever verified a relink; the row of an earlier exchange outlived its account.
const FOUND: [u64; 5] = [1074, 1354, 1414, 1_795_741_579_000_055, 8160];

/// Worlds in which each planted bug is looked for, one after the other.
const PLANTED: Range<u64> = 1..5;

/// So soon, in processor time, must each of them be found: nobody waits for a check that takes longer.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

static OUTCOMES: LazyLock<Vec<Outcome>> = LazyLock::new(|| {
    let seeds: Vec<u64> = SEEDS.chain(FOUND).collect();
    each(0..seeds.len() as u64, |number| run(seeds[number as usize], false))
});

/// Elsewhere a worker stops in time.
static SLUGGISH: LazyLock<Outcome> = LazyLock::new(|| run_in(1, false, Scenario::sluggish));

/// What one sync of Merge's brings vanishes with the next, minutes later.
static FLEETING: LazyLock<Outcome> = LazyLock::new(|| {
    let chaos = Duration::from_secs(180);
    run_in(1, false, |scenario| Scenario {
        fleeting: true,
        chaos,
        records: 3,
        plan_limit: 600,
        webhooks: true,
        other: "accounting",
        pace: 15,
        deletes: false,
        removals: false,
        ..scenario.calm()
    })
});

/// Does a piece of work for each number, on every core.
fn each<T: Send>(numbers: Range<u64>, work: impl Fn(u64) -> T + Sync) -> Vec<T> {
    let next = AtomicU64::new(numbers.start);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let run = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers.end {
                return done;
            }
            done.push(work(number));
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(run)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no run panics")).collect()
    })
}

#[test]
fn everything_holds_after_every_seed() {
    let broken: Vec<_> = OUTCOMES.iter().filter(|outcome| !outcome.broken.is_empty()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

/// A fault that never fires is a check that cannot fail.
#[test]
fn everything_has_happened_in_some_seed() {
    let mut happenings = Happenings::default();
    OUTCOMES.iter().chain([&*SLUGGISH, &*FLEETING]).for_each(|outcome| happenings.add(&outcome.happenings));
    let unseen: Vec<&str> = happenings.unseen().into_iter().map(Happening::words).collect();
    assert!(unseen.is_empty(), "never: {unseen:#?}\n{happenings}");
}

/// Deleted within minutes of its last change, a record is too new to be missed by the full read that looks for it. No
/// further request is made, and a day does not pass: Merge's next sync must do.
#[test]
fn what_was_too_new_to_be_missed_goes_with_the_next_sync() {
    assert!(FLEETING.broken.is_empty(), "{:#?}", *FLEETING);
    assert!(FLEETING.happenings.of(Happening::Spared) > 0, "{}", FLEETING.happenings);
}

#[test]
fn everything_holds_where_workers_are_ended_at_their_timeout() {
    assert!(SLUGGISH.broken.is_empty(), "{:#?}", *SLUGGISH);
    assert!(SLUGGISH.happenings.of(Happening::EndedAtTimeout) > 0, "{}", SLUGGISH.happenings);
}

/// Reservations, epochs and deletions rest on conditions, not on whose clock is right: with clocks up to ten minutes off
/// nobody writes over another, nothing is taken for expired that is not, and whatever is asked for is done.
#[test]
fn checklist_45_everything_holds_with_clocks_ten_minutes_off() {
    let chaos = Duration::from_secs(20 * 60);
    let off = |scenario| Scenario { skew: 600, chaos, users: 3, pace: 30, deletes: true, relinks: true, ..scenario };
    let outcomes = each(101..105, |seed| run_in(seed, false, off));
    assert!(outcomes.iter().all(|outcome| outcome.broken.is_empty()), "{outcomes:#?}");
    for happened in [Happening::ConnectedAgain, Happening::RelinkedDuringSync, Happening::Takeover] {
        assert!(outcomes.iter().any(|outcome| outcome.happenings.of(happened) > 0), "never: {}", happened.words());
    }
}

#[test]
fn everything_holds_where_nothing_goes_wrong() {
    let calm = run_in(1, false, Scenario::calm);
    assert!(calm.broken.is_empty(), "{calm:#?}");
    assert!(calm.lines > 500, "something happened: {calm:?}");
    assert_eq!(calm.happenings.of(Happening::Takeover), 0, "{}", calm.happenings);
    // What makes a sync quick: the next page is on its way while this one is written, and models are read side by side.
    for quick in [Happening::PageAhead, Happening::ModelsAtOnce] {
        assert!(calm.happenings.of(quick) > 0, "never: {}", quick.words());
    }
}

#[test]
fn one_seed_is_one_run() {
    let (once, again) = (run(7, false), run(7, false));
    assert_eq!(once, again);
    assert_ne!(once.fingerprint, run(8, false).fingerprint);
}

/// A watch that sees nothing would let everything hold: each mistake is made for the worker and must be noticed, soon.
#[test]
fn each_planted_bug_is_noticed() {
    let unnoticed: Vec<String> = each(0..Bug::ALL.len() as u64, |number| {
        let bug = Bug::ALL[number as usize];
        let mut taken = Duration::ZERO;
        let noticed = PLANTED.into_iter().any(|seed| {
            let (outcome, time) = timed_in(seed, false, |scenario| scenario.planted(bug));
            taken += time.unwrap_or_default();
            !outcome.broken.is_empty()
        });
        println!("{bug:?}: noticed: {noticed}, after {taken:.1?} of processor time");
        (!noticed || taken > NOTICED_WITHIN).then(|| format!("{bug:?}: {noticed}, {taken:.1?}"))
    })
    .into_iter()
    .flatten()
    .collect();
    assert!(unnoticed.is_empty(), "went unnoticed, or for too long: {unnoticed:?}");
}

/// The worlds in which mistakes are made break nothing by themselves.
#[test]
fn without_a_mistake_the_same_worlds_hold() {
    let worlds = [Bug::TagByNumber, Bug::NoFencing, Bug::OlderOverNewer, Bug::UnfinishedGeneration, Bug::StaleSweep];
    let outcomes = each(0..worlds.len() as u64, |number| {
        let bug = worlds[number as usize];
        run_in(PLANTED.start, false, |scenario| Scenario { bug: None, ..scenario.planted(bug) })
    });
    assert!(outcomes.iter().all(|outcome| outcome.broken.is_empty()), "{outcomes:#?}");
}
