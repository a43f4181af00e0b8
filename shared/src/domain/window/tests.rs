//! How windows follow one another, and what a checkpoint keeps of them.

use proptest::prelude::*;

use super::*;
use crate::domain::sync_status::SyncState;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn done(finished: i64) -> SyncStatus {
    SyncStatus {
        model_id: "hris.Employee".to_owned(),
        model_name: String::new(),
        status: SyncState::Done,
        last_sync_result: Some(SyncState::Done),
        last_sync_start: None,
        last_sync_finished: Some(at(finished)),
        next_sync_start: None,
        is_initial_sync: false,
    }
}

/// A change at Merge's side: when it was made, and how much later than that a sync may bring it.
#[derive(Debug, Clone, Copy)]
struct Made {
    at: i64,
    late: i64,
}

/// A look at the account: how many finished syncs behind its answer is, whether the window it works on is finished
/// by it, and whether everything is asked for.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: i64,
    behind: usize,
    finishes: bool,
    full: bool,
}

const OVERLAP: i64 = 5;

fn made() -> impl Strategy<Value = Made> {
    (0..300i64, 0..=OVERLAP).prop_map(|(at, late)| Made { at, late })
}

fn look() -> impl Strategy<Value = Look> {
    (0..350i64, 0..3usize, prop::bool::weighted(0.7), prop::bool::weighted(0.1))
        .prop_map(|(at, behind, finishes, full)| Look { at, behind, finishes, full })
}

proptest! {
    /// Changes, syncs, late webhooks and polls in any order, so close together that many fall on the same second;
    /// windows that stay open over several looks; full reads between them. Once a look follows the last sync, no
    /// change that it brought is outside all windows, whether Merge's bounds are inclusive or exclusive.
    #[test]
    fn windows_tile_time_whatever_the_interleaving(
        changes in prop::collection::vec(made(), 1..60),
        syncs in prop::collection::btree_set(1..300i64, 1..40),
        mut looks in prop::collection::vec(look(), 0..40),
        inclusive: bool,
    ) {
        let endpoint = Endpoint::by_slug("hris.employees").unwrap();
        let cadence = Cadence { overlap: SignedDuration::from_secs(OVERLAP), ..Cadence::default() };
        looks.sort_by_key(|look| look.at);
        // The last two find what is left: an open window, then what is newer.
        looks.extend([400, 401].map(|at| Look { at, behind: 0, finishes: true, full: false }));
        let mut checkpoint = Checkpoint::default();
        // Bounds, and the time of the read.
        let mut windows: Vec<(Option<Timestamp>, Option<Timestamp>, i64)> = Vec::new();
        for look in looks {
            let Some(finished) = syncs.range(..=look.at).rev().nth(look.behind) else { continue };
            let mode = if look.full { SyncMode::Full } else { SyncMode::Changes };
            let fresh = || next_window(endpoint, Some(&checkpoint), &done(*finished), mode, &cadence, at(look.at));
            let Some(open) = checkpoint.window.clone().or_else(fresh) else { continue };
            checkpoint = checkpoint.claimed(open.clone(), at(look.at));
            if look.finishes {
                windows.push((open.lower, open.modified_before(), look.at));
                checkpoint = checkpoint.advanced(Counts::default(), false, None);
                if checkpoint.window.is_some() {
                    checkpoint = checkpoint.swept(Counts::default(), false, Left::default(), None);
                }
            }
        }
        let last_sync = *syncs.last().unwrap();
        for made in changes {
            // The first sync that brings it.
            let Some(brought) = syncs.range(made.at + made.late..).next() else { continue };
            let change = at(made.at);
            let covered = windows.iter().any(|(lower, upper, read)| {
                let after = lower.is_none_or(|lower| if inclusive { change >= lower } else { change > lower });
                let before = upper.is_none_or(|upper| if inclusive { change <= upper } else { change < upper });
                // A window without an upper bound reads what Merge shows at the time.
                let shown = upper.map_or(*brought <= *read, |upper| at(*brought) <= upper);
                after && before && shown
            });
            // A change at the very end of the last window belongs to the next one, if the bound is exclusive.
            prop_assert!(covered || (!inclusive && made.at == last_sync), "{made:?} in {windows:?}");
        }
    }
}

#[test]
fn many_crashes_make_a_full_read_due_once_a_day() {
    let endpoint = Endpoint::by_slug("hris.employees").unwrap();
    let next = |crashes: u64, now| {
        let ends = Ends((0..crashes).map(|epoch| (epoch, 1)).collect());
        let have = Checkpoint { ends, upper: Some(at(10)), full_read_at: Some(at(10)), ..Checkpoint::default() };
        next_window(endpoint, Some(&have), &done(20), SyncMode::Changes, &Cadence::default(), at(now)).unwrap()
    };
    const MOST: u64 = MOST_ENDS as u64;
    const TOMORROW: i64 = 10 + 86_400;
    assert_eq!(next(MOST - 1, TOMORROW).kind, WindowKind::Changes);
    assert_eq!(next(MOST, TOMORROW - 1).kind, WindowKind::Changes);
    let full = next(MOST, TOMORROW);
    assert_eq!((full.kind, full.lower, full.upper), (WindowKind::Full, None, at(20)));
}

/// What was asked for is done when its window is finished; one that is given up is opened again.
#[test]
fn a_full_read_is_noted_by_its_number_when_it_is_finished() {
    let endpoint = Endpoint::by_slug("hris.employees").unwrap();
    let claimed = |have: &Checkpoint, mode| {
        let open = next_window(endpoint, Some(have), &done(20), mode, &Cadence::default(), at(20)).unwrap();
        have.claimed(OpenWindow { asked: Some(3), ..open }, at(20))
    };
    let have = Checkpoint { upper: Some(at(10)), full_read: Some(2), ..Checkpoint::default() };
    let full = claimed(&have, SyncMode::Full);
    assert_eq!(full.full_read, Some(2));
    assert_eq!(full.rewound(at(5)).unwrap().full_read, Some(2));
    let swept = full.advanced(Counts::default(), false, None).swept(Counts::default(), false, Left::default(), None);
    assert_eq!(swept.full_read, Some(3));
    let changes = claimed(&have, SyncMode::Changes).advanced(Counts::default(), false, None);
    assert_eq!((changes.upper, changes.full_read), (Some(at(20)), Some(2)));
    let first = claimed(&Checkpoint::default(), SyncMode::Full).advanced(Counts::default(), false, None);
    assert_eq!(first.full_read, Some(3), "the first window reads everything, too");
}

#[test]
fn an_epoch_that_left_on_a_commit_leaves_no_entry() {
    let endpoint = Endpoint::by_slug("hris.employees").unwrap();
    let open = next_window(endpoint, None, &done(100), SyncMode::Changes, &Cadence::default(), at(200)).unwrap();
    let first = Checkpoint::default().claimed(open.clone(), at(200));
    assert_eq!((first.epoch, first.n, first.ends.0.len()), (1, 0, 0));
    let page = first.advanced(Counts { added: 3, live: 3, ..Counts::default() }, true, Some("next".to_owned()));
    assert_eq!((page.n, page.records), (1, 3));
    let crashed = page.claimed(page.window.clone().unwrap(), at(201));
    assert_eq!(crashed.ends.0.get(&1), Some(&1));
    let rested = Checkpoint { rested: true, ..page.clone() };
    assert!(rested.claimed(page.window.clone().unwrap(), at(201)).ends.0.is_empty());
    let finished = page.advanced(Counts::default(), false, None);
    assert!(finished.window.is_none() && finished.initial_completed);
    assert_eq!(finished.upper, Some(at(100)));
    assert!(finished.claimed(open, at(202)).ends.0.is_empty());
}

#[test]
fn a_full_read_of_what_was_read_before_ends_with_a_sweep() {
    let terms = Endpoint::by_slug("accounting.payment-terms").unwrap();
    let read = |have: Option<&Checkpoint>, second| {
        let open = next_window(terms, have, &done(second), SyncMode::Full, &Cadence::default(), at(second)).unwrap();
        have.cloned().unwrap_or_default().claimed(open, at(second)).advanced(Counts::default(), false, None)
    };
    let first = read(None, 10);
    assert!(first.window.is_none(), "nothing can be missing after the first read");
    let again = read(Some(&first), 20);
    assert_eq!(again.window.as_ref().and_then(|w| w.sweep.clone()), Some(Sweep::default()));
    assert_eq!(again.upper, Some(at(10)), "only the finished generation moves it");
    let swept = again.swept(Counts { deleted: 2, live: -2, ..Counts::default() }, true, Left::default(), None);
    assert_eq!((swept.upper, swept.window, swept.records), (Some(at(20)), None, -2));
}

/// Who ended in a crash is forgotten once nothing that it wrote can be left uncommitted.
#[test]
fn what_a_sweep_leaves_stored_may_be_of_an_epoch_that_ended_in_a_crash() {
    let terms = Endpoint::by_slug("accounting.payment-terms").unwrap();
    let have = Checkpoint { upper: Some(at(10)), full_read_at: Some(at(10)), ..Checkpoint::default() };
    let open = next_window(terms, Some(&have), &done(20), SyncMode::Full, &Cadence::default(), at(20)).unwrap();
    let crashed = have.claimed(open.clone(), at(20)).claimed(open, at(21));
    let read = crashed.advanced(Counts::default(), false, None);
    let ends = |first, last| {
        let step = read.swept(Counts::default(), false, first, Some(Sweep { shard: 1, ..Sweep::default() }));
        step.swept(Counts::default(), false, last, None).ends.0.len()
    };
    let nothing = Left::default();
    let (unannounced, held) = (Left { unannounced: true, ..nothing }, Left { held: true, ..nothing });
    assert_eq!(ends(nothing, nothing), 0);
    assert_eq!(ends(Left { spared: Some(at(19)), ..nothing }, nothing), 0);
    assert_eq!((ends(unannounced, nothing), ends(nothing, unannounced)), (1, 1));
    assert_eq!(ends(nothing, held), 1);
}

#[test]
fn the_brake_holds_many_and_large_shares_only() {
    let brake = Brake { share: 0.2, floor: 50 };
    for (missing, live, holds) in [(50, 50, false), (51, 60, true), (51, 1_000, false), (201, 1_000, true)] {
        assert_eq!(brake.holds(missing, live), holds, "{missing} of {live}");
    }
}

#[test]
fn a_full_read_happens_daily_or_on_request() {
    let terms = Endpoint::by_slug("accounting.payment-terms").unwrap();
    let first = next_window(terms, None, &done(10), SyncMode::Changes, &Cadence::default(), at(20)).unwrap();
    assert_eq!((first.kind, first.generation, first.modified_before()), (WindowKind::Full, 1, None));
    let checkpoint = Checkpoint::default().claimed(first, at(20)).advanced(Counts::default(), false, None);
    let next = |finished, now, mode| {
        next_window(terms, Some(&checkpoint), &done(finished), mode, &Cadence::default(), at(now))
    };
    assert_eq!(next(50, 60, SyncMode::Changes), None);
    assert_eq!(next(10, 60, SyncMode::Full).map(|w| w.generation), Some(2));
    assert_eq!(next(50, 20 + 86_400, SyncMode::Changes).map(|w| w.kind), Some(WindowKind::Full));
}

#[test]
fn what_a_partial_sync_left_out_is_read_once_a_whole_one_has_finished() {
    let terms = Endpoint::by_slug("accounting.payment-terms").unwrap();
    let have = Checkpoint { partial: true, upper: Some(at(10)), full_read_at: Some(at(20)), ..Checkpoint::default() };
    let next = |status: &SyncStatus| {
        next_window(terms, Some(&have), status, SyncMode::Changes, &Cadence::default(), at(60)).map(|w| w.partial)
    };
    let again = SyncState::PartiallySynced;
    let partial = SyncStatus { status: again, last_sync_result: Some(again), ..done(50) };
    assert_eq!(next(&partial), None, "the next partial one waits for its day");
    assert_eq!(next(&done(50)), Some(false));
}

#[test]
fn what_was_too_new_to_be_missed_is_looked_for_after_the_sync_that_tells() {
    let terms = Endpoint::by_slug("accounting.payment-terms").unwrap();
    let cadence = Cadence { overlap: SignedDuration::from_secs(OVERLAP), ..Cadence::default() };
    let next =
        |have: &Checkpoint, finished, mode| next_window(terms, Some(have), &done(finished), mode, &cadence, at(60));
    let left = |spared| Left { spared, ..Left::default() };
    let swept = |have: &Checkpoint, finished, spared: [Option<Timestamp>; 2]| {
        let open = next(have, finished, SyncMode::Full).unwrap();
        let read = have.claimed(open, at(60)).advanced(Counts::default(), false, None);
        let step = read.swept(Counts::default(), false, left(spared[0]), Some(Sweep { shard: 1, ..Sweep::default() }));
        step.swept(Counts::default(), false, left(spared[1]), None)
    };
    let have = Checkpoint { upper: Some(at(10)), full_read_at: Some(at(10)), ..Checkpoint::default() };
    let spared = swept(&have, 20, [Some(at(18)), Some(at(19))]);
    assert_eq!(spared.spared, Some(at(18)), "the oldest, in whichever step");
    assert_eq!(next(&spared, 20, SyncMode::Changes), None, "Merge has nothing newer");
    assert_eq!(next(&spared, 18 + OVERLAP, SyncMode::Changes), None, "it would be spared again");
    let open = next(&spared, 19 + OVERLAP, SyncMode::Changes);
    assert_eq!(open.map(|w| (w.kind, w.spared)), Some((WindowKind::Full, None)));
    let found = swept(&spared, 19 + OVERLAP, [None, None]);
    assert_eq!(next(&found, 50, SyncMode::Changes), None, "once");
    let ahead = swept(&have, 20, [Some(at(1_000_000)), None]);
    assert_eq!(next(&ahead, 50, SyncMode::Changes), None, "a time that has not come waits for its day");
}
