//! Tiling: whether the finished windows of a model leave no stretch of Merge's time out, and whether the checkpoint
//! stands where they end. Pure.

use std::time::Duration;

use jiff::Timestamp;
use shared::domain::window::Checkpoint;
use shared::store::ledger::LedgerRow;

use super::finding::{Check, Finding};
use crate::output::time;

/// A stretch of Merge's time that no window covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// Stretches between the first and the last window that none covers. What lies before the oldest row is not judged:
/// its rows have expired. A window without a lower bound covers everything before its end.
pub fn holes(windows: &[LedgerRow]) -> Vec<Hole> {
    let mut covered: Vec<_> = windows.iter().map(|row| (row.after.unwrap_or(Timestamp::MIN), row.before)).collect();
    covered.sort_unstable();
    let mut holes = Vec::new();
    let mut reach: Option<Timestamp> = None;
    for (after, before) in covered {
        if let Some(reach) = reach.filter(|reach| after > *reach) {
            holes.push(Hole { from: reach, to: after });
        }
        reach = reach.max(Some(before));
    }
    holes
}

/// What is wrong with the windows of one model. `kept`: how long the ledger remembers.
pub fn judge(
    model: &str,
    checkpoint: &Checkpoint,
    windows: &[LedgerRow],
    kept: Duration,
    now: Timestamp,
) -> Vec<Finding> {
    let again = |from| format!("`tether replay ACCOUNT --model {model} --since {from}` reads it again");
    let mut findings: Vec<_> = holes(windows)
        .into_iter()
        .map(|hole| {
            let what = format!("no window covers the time from {} to {}", hole.from, hole.to);
            Finding::broken(Check::Tiling, what, again(hole.from)).since(Some(hole.to))
        })
        .collect();
    if let (Some(upper), Some(lower)) = (checkpoint.upper, checkpoint.window.as_ref().and_then(|open| open.lower))
        && lower > upper
    {
        let what = format!("the window that is being read begins at {lower}, after the end of the last at {upper}");
        findings.push(Finding::broken(Check::Tiling, what, again(upper)));
    }
    findings.extend(against_ledger(checkpoint, windows, kept, now, &again));
    findings.into_iter().map(|finding| finding.model(model)).collect()
}

fn against_ledger(
    checkpoint: &Checkpoint,
    windows: &[LedgerRow],
    kept: Duration,
    now: Timestamp,
    again: &impl Fn(Timestamp) -> String,
) -> Option<Finding> {
    let last = windows.iter().max_by_key(|row| row.before);
    let stands = checkpoint.upper;
    match (stands, last) {
        (Some(upper), Some(last)) if upper > last.before => {
            let what = format!("the checkpoint stands at {upper}, but the last window ended at {}", last.before);
            Some(Finding::broken(Check::Checkpoint, what, again(last.before)))
        }
        // The row of a window is written just before its last page is committed.
        (_, Some(last)) if checkpoint.window.as_ref().is_some_and(|open| open.upper == last.before) => None,
        (upper, Some(last)) if upper < Some(last.before) => {
            let stands = time(upper);
            let what =
                format!("the checkpoint stands at {stands}, before the end of the last window at {}", last.before);
            let advice = "it was put back, perhaps by a restored table: the next sync reads on from there; \
                          `tether replay ACCOUNT` starts it";
            Some(Finding::warning(Check::Checkpoint, what, advice).since(Some(last.finished_at)))
        }
        (Some(upper), None) if now.duration_since(upper).unsigned_abs() < kept => {
            let what = format!("the checkpoint stands at {upper}, but no window is in the ledger");
            let advice = "`tether replay ACCOUNT --full` reads everything again";
            Some(Finding::broken(Check::Checkpoint, what, advice))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use shared::domain::change::Counts;
    use shared::domain::window::WindowKind;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn row(after: Option<i64>, before: i64) -> LedgerRow {
        LedgerRow {
            kind: if after.is_some() { WindowKind::Changes } else { WindowKind::First },
            after: after.map(at),
            before: at(before),
            pages: 1,
            counts: Counts::default(),
            partial: false,
            started_at: at(before),
            finished_at: at(before + 1),
        }
    }

    fn checks(upper: Option<i64>, windows: &[LedgerRow]) -> Vec<Check> {
        let checkpoint = Checkpoint { upper: upper.map(at), ..Checkpoint::default() };
        let day = Duration::from_secs(86_400);
        judge("hris.Employee", &checkpoint, windows, day, at(1_000)).into_iter().map(|f| f.check).collect()
    }

    #[test]
    fn a_hole_is_named_and_healed_by_any_window_over_it() {
        let torn = [row(None, 100), row(Some(90), 200), row(Some(250), 300)];
        assert_eq!(holes(&torn), [Hole { from: at(200), to: at(250) }]);
        let replayed = [&torn[..], &[row(Some(195), 400)]].concat();
        assert_eq!(holes(&replayed), []);
        let reread = [&torn[..], &[row(None, 400)]].concat();
        assert_eq!(holes(&reread), []);
        assert_eq!(holes(&[row(Some(50), 100), row(Some(100), 200)]), [], "older rows have expired");
    }

    #[test]
    fn the_checkpoint_stands_where_the_ledger_ends() {
        let windows = [row(None, 100), row(Some(90), 200)];
        assert_eq!(checks(Some(200), &windows), []);
        assert_eq!(checks(Some(300), &windows), [Check::Checkpoint], "ahead");
        assert_eq!(checks(Some(100), &windows), [Check::Checkpoint], "put back");
        assert_eq!(checks(None, &windows), [Check::Checkpoint], "forgotten");
        assert_eq!(checks(Some(200), &[]), [Check::Checkpoint], "no ledger");
        assert_eq!(checks(Some(-90_000), &[]), [], "nothing happened for longer than the ledger remembers");
        assert_eq!(checks(None, &[]), [], "never read");
    }

    proptest! {
        /// Windows that follow the rule of the engine (each begins where the one before ended, less an overlap) have no
        /// hole, whichever of them are re-reads; taking the overlap of one away and more makes exactly one.
        #[test]
        fn windows_of_the_engine_have_no_hole(
            lengths in prop::collection::vec(1i64..1_000, 2..20),
            overlap in 0i64..300,
            torn in 1usize..19,
            gap in 1i64..100,
        ) {
            let mut end = 0;
            let mut windows = Vec::new();
            for (index, length) in lengths.iter().enumerate() {
                let after = (index > 0).then_some(end - overlap);
                end += length;
                windows.push(row(after, end));
            }
            prop_assert_eq!(holes(&windows), []);
            // Later windows must not reach back over the hole.
            let torn = torn % windows.len();
            if torn > 0 {
                let reach = windows[torn - 1].before;
                for row in &mut windows[torn..] {
                    row.after = row.after.map(|after| after.max(reach + jiff::SignedDuration::from_secs(gap)));
                    row.before += jiff::SignedDuration::from_secs(gap);
                }
                let to = reach + jiff::SignedDuration::from_secs(gap);
                prop_assert_eq!(holes(&windows), [Hole { from: reach, to }]);
            }
        }
    }
}
