//! The stack as a whole: keys, queues, schedule, tables. Gathered first, then judged by pure functions.

use jiff::{SignedDuration, Timestamp};
use shared::config::Clock;
use shared::merge::{MergeClient, MergeError, TestAccounts};
use shared::queue::dead_letters::Depth;
use shared::telemetry::{self, Metric};

use super::finding::{Check, Finding};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::metrics::{Metrics, MetricsError};

/// The poller's alarm says the same after as long.
const MISSED_MINUTES: i64 = 5;

/// A run takes its time, however fast the schedule is.
const LONGEST_RUN: SignedDuration = SignedDuration::from_secs(60);

/// Metrics are looked at as far back.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What the stack's parts said; an error is in words already.
pub struct StackFacts {
    pub api_key: Result<(), Refused>,
    pub webhook_keys: Result<usize, String>,
    pub queue: Result<(Depth, Depth), String>,
    pub dead_letters: Result<Depth, String>,
    pub last_tick: Result<Option<i64>, String>,
    pub webhooks: Result<Arrivals, String>,
}

/// What was counted in the last day.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arrivals {
    /// Webhooks with a signature that held.
    pub genuine: f64,
    pub forged: f64,
    /// Windows that were fetched: Merge had something to tell.
    pub windows: f64,
}

/// Why Merge does not take a call that needs the API key alone.
pub struct Refused {
    pub key: bool,
    pub why: String,
}

impl From<&MergeError> for Refused {
    fn from(error: &MergeError) -> Self {
        Self { key: error.is_api_key_refused(), why: telemetry::chain(error) }
    }
}

/// Asks every part. The queue is looked at twice, a moment apart.
pub async fn gather(connection: &Connection) -> (StackFacts, Option<MergeClient>) {
    let words = |error: &(dyn std::error::Error + 'static)| telemetry::chain(error);
    let merge = connection.merge_client().await;
    let api_key = match &merge {
        Ok(merge) => merge.linked_accounts(TestAccounts::Exclude, None).await.map(|_| ()).map_err(|e| (&e).into()),
        Err(Failure::Secrets(error)) => Err(Refused { key: true, why: words(error) }),
        Err(other) => Err(Refused { key: true, why: words(other) }),
    };
    let webhook_keys = connection.webhook_keyring().load().await.map(|keys| keys.len()).map_err(|e| words(&e));
    let queue = two_looks(connection).await.map_err(|error| words(&error));
    let dead_letters = connection.dead_letters.depth().await.map_err(|error| words(&error));
    let progress = connection.store.progress().await.map_err(|error| words(&error));
    let last_tick = progress.map(|read| read.map(|read| read.progress.latest(i64::MIN)));
    let webhooks = arrivals(&connection.metrics).await.map_err(|error| words(&error));
    (StackFacts { api_key, webhook_keys, queue, dead_letters, last_tick, webhooks }, merge.ok())
}

async fn arrivals(metrics: &Metrics) -> Result<Arrivals, MetricsError> {
    let wanted = [Metric::WebhookQueued, Metric::WebhookIgnored, Metric::WebhookForged, Metric::WindowFinished];
    let now = Timestamp::now();
    let sums = metrics.sums(&wanted.map(|metric| metrics.own(metric)), now - DAY, now).await?;
    let sum = |place: usize| sums.get(place).copied().unwrap_or_default();
    Ok(Arrivals { genuine: sum(0) + sum(1), forged: sum(2), windows: sum(3) })
}

async fn two_looks(connection: &Connection) -> Result<(Depth, Depth), shared::queue::QueueError> {
    let first = connection.dead_letters.source_depth().await?;
    if first.waiting == 0 {
        return Ok((first, first));
    }
    // A worker that is alive takes a message within this time.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    Ok((first, connection.dead_letters.source_depth().await?))
}

/// What is wrong with the stack.
pub fn judge(facts: &StackFacts, clock: Clock, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &facts.api_key {
        Ok(()) => {}
        Err(refused) if refused.key => findings.push(Finding::broken(
            Check::ApiKey,
            format!("Merge does not accept the API key: {}", refused.why),
            "deploy the right MergeApiKey, of the region of MergeBaseUrl; nothing is lost meanwhile",
        )),
        Err(refused) => findings.push(Finding::warning(
            Check::Merge,
            format!("Merge does not answer: {}", refused.why),
            "see status.merge.dev; work waits and goes on by itself",
        )),
    }
    if let Err(why) = &facts.webhook_keys {
        let what = format!("the webhook keys cannot be read: {why}");
        findings.push(Finding::broken(
            Check::WebhookKeys,
            what,
            "`tether rotate webhook-key --key-file FILE` puts a key in",
        ));
    }
    match &facts.queue {
        Err(why) => findings.push(unreachable(Check::Queue, "the queue", why)),
        Ok((first, second)) if stalled(*first, *second) => findings.push(Finding::broken(
            Check::Queue,
            format!("{} messages wait and nobody takes one", second.waiting),
            "look at the worker: is it throttled, failing, or its event source switched off?",
        )),
        Ok(_) => {}
    }
    match &facts.dead_letters {
        Err(why) => findings.push(unreachable(Check::DeadLetters, "the dead-letter queue", why)),
        Ok(depth) if depth.waiting + depth.in_flight > 0 => findings.push(Finding::broken(
            Check::DeadLetters,
            format!("{} messages failed too often", depth.waiting + depth.in_flight),
            "`tether dead-letters list` groups them by cause; then redrive or discard them",
        )),
        Ok(_) => {}
    }
    findings.extend(schedule(&facts.last_tick, clock, now));
    findings.extend(webhooks(&facts.webhooks));
    findings
}

/// A webhook that arrives is heard of at once; what none tells is as old as the polling interval.
fn webhooks(arrivals: &Result<Arrivals, String>) -> Option<Finding> {
    let arrivals = match arrivals {
        Ok(arrivals) => arrivals,
        Err(why) => {
            let what = format!("what the stack counts cannot be read: {why}");
            return Some(Finding::warning(
                Check::Webhooks,
                what,
                "check your own permissions: cloudwatch:GetMetricData",
            ));
        }
    };
    let Arrivals { genuine, forged, windows } = *arrivals;
    if genuine > 0.0 || (forged == 0.0 && windows == 0.0) {
        return None;
    }
    Some(if forged > 0.0 {
        let what = format!("{forged} webhooks came in the last day, and none is signed with a key that we have");
        Finding::broken(
            Check::Webhooks,
            what,
            "`tether rotate webhook-key --key-file FILE` puts in the key of Merge's dashboard",
        )
    } else {
        let what = format!("no webhook came in the last day, in which {windows} windows were fetched by polling alone");
        let advice = "compare the URL in Merge's dashboard with the output WebhookUrl; nothing is lost meanwhile, but \
                      late";
        Finding::warning(Check::Webhooks, what, advice)
    })
}

fn stalled(first: Depth, second: Depth) -> bool {
    first.waiting > 0 && first.in_flight == 0 && second.in_flight == 0 && second.waiting >= first.waiting
}

fn schedule(last_tick: &Result<Option<i64>, String>, clock: Clock, now: Timestamp) -> Option<Finding> {
    let advice = "is the schedule enabled, may its role call the poller, does the poller fail? It catches up by itself";
    match last_tick {
        Err(why) => Some(unreachable(Check::Tables, "the accounts table", why)),
        Ok(None) => Some(Finding::broken(Check::Schedule, "the poller has never finished a run", advice)),
        Ok(Some(tick)) => {
            let missed = clock.minute(now) - tick;
            let what = format!("the poller has finished no run for {missed} minutes");
            let late = missed > MISSED_MINUTES && now.duration_since(clock.real_time(*tick)) > LONGEST_RUN;
            late.then(|| Finding::broken(Check::Schedule, what, advice).since(Some(clock.real_time(*tick))))
        }
    }
}

fn unreachable(check: Check, what: &str, why: &str) -> Finding {
    Finding::broken(check, format!("{what} cannot be read: {why}"), "check the name and your own permissions")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(change: impl FnOnce(&mut StackFacts)) -> Vec<Check> {
        let idle = Depth::default();
        let mut facts = StackFacts {
            api_key: Ok(()),
            webhook_keys: Ok(1),
            queue: Ok((idle, idle)),
            dead_letters: Ok(idle),
            last_tick: Ok(Some(100)),
            webhooks: Ok(Arrivals::default()),
        };
        change(&mut facts);
        let now = Timestamp::from_second(103 * 60).unwrap();
        judge(&facts, Clock::REAL, now).into_iter().map(|finding| finding.check).collect()
    }

    #[test]
    fn each_part_is_named_when_it_fails_and_only_then() {
        let depth = |waiting, in_flight| Depth { waiting, in_flight };
        assert_eq!(facts(|_| {}), []);
        assert_eq!(facts(|f| f.api_key = Err(Refused { key: true, why: String::new() })), [Check::ApiKey]);
        assert_eq!(facts(|f| f.api_key = Err(Refused { key: false, why: String::new() })), [Check::Merge]);
        assert_eq!(facts(|f| f.webhook_keys = Err(String::new())), [Check::WebhookKeys]);
        assert_eq!(facts(|f| f.dead_letters = Ok(depth(1, 0))), [Check::DeadLetters]);
        assert_eq!(facts(|f| f.queue = Ok((depth(5, 0), depth(5, 0)))), [Check::Queue]);
        assert_eq!(facts(|f| f.queue = Ok((depth(5, 0), depth(4, 1)))), [], "it is being worked on");
        assert_eq!(facts(|f| f.queue = Ok((depth(5, 0), depth(3, 0)))), [], "it was worked on between the looks");
        assert_eq!(facts(|f| f.last_tick = Ok(None)), [Check::Schedule]);
        assert_eq!(facts(|f| f.last_tick = Ok(Some(97))), [Check::Schedule]);
        assert_eq!(facts(|f| f.last_tick = Err(String::new())), [Check::Tables]);
        let counted = |genuine, forged, windows| {
            facts(|f| f.webhooks = Ok(Arrivals { genuine, forged, windows }))
                .iter()
                .map(|check| check.word())
                .collect::<String>()
        };
        assert_eq!(counted(0.0, 0.0, 1.0), "webhooks", "silent");
        assert_eq!(counted(0.0, 1.0, 0.0), "webhooks", "of a key that we have not");
        assert_eq!(counted(1.0, 9.0, 5.0), "", "somebody else posts too");
        assert_eq!(facts(|f| f.webhooks = Err(String::new())), [Check::Webhooks]);
    }
}
