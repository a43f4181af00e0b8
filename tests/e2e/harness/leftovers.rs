//! Leftovers: what a stack must not hold once its tests are done. Work in a queue, a message that nobody could handle,
//! an error nobody announced, a panic, a call that no policy allows, a metric in another function's name, and above all
//! a secret, or a value of a record, in any log line, message, event or row.

use std::fmt;
use std::time::Duration;

use local_stack::logs::Level;

use super::canaries::{self, RECORD};
use super::tables::{Item, all_text, key};
use super::{System, until};

/// Work may go on for this long after the last test.
const DRAIN: Duration = Duration::from_secs(90);

/// The most findings that are told of one kind.
const TOLD: usize = 5;

/// What was found; empty is good.
#[derive(Default)]
pub struct Report(Vec<String>);

impl Report {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, kind: &str, findings: Vec<String>) {
        let told = findings.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("\n    ");
        if !findings.is_empty() {
            self.0.push(format!("{kind} ({}):\n    {told}", findings.len()));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|finding| writeln!(f, "left behind: {finding}"))
    }
}

/// Stops a system and says what it left behind.
pub async fn stop(system: System) -> Report {
    let mut report = Report::default();
    report.add("work in the queues", drained(&system).await);
    for account in system.sandbox().accounts().await {
        canaries::plant(&system, &account).await;
    }
    let secrets = system.secrets();

    let mut errors = Vec::new();
    let (mut leaks, mut misnamed) = (Vec::new(), Vec::new());
    for line in system.stack.logs() {
        if line.level == Level::Error && !system.is_announced(&line.line) {
            errors.push(format!("{}: {}", line.function, line.line));
        }
        if let Some(what) = secrets.found_in(&line.line, &[]) {
            leaks.push(format!("{what} in the log of {}", line.function));
        }
        if line.line.contains(r#""_aws":"#) && !line.line.contains(&format!(r#""function":"{}""#, line.function)) {
            misnamed.push(format!("{}: {}", line.function, line.line));
        }
    }
    report.add("metrics that do not say who counted", misnamed);
    report.add("errors that no test announced", errors);
    report.add("secrets in logs", leaks);

    let (mut events, mut messages, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(aws) = system.stack.aws() {
        for event in aws.events() {
            events.extend(secrets.found_in(&event.to_string(), &[]).map(str::to_owned));
        }
        refused.extend(aws.refused().into_iter().filter(|refusal| !system.is_announced(refusal)));
        for message in aws.messages() {
            messages.extend(secrets.found_in(&message, &[]).map(|what| format!("{what} in {message}")));
        }
    }
    report.add("calls that no policy allows", refused);
    report.add("secrets in events", events);
    report.add("secrets in messages", messages);

    let found = |item: &Item, allowed: &[&str]| {
        let what = secrets.found_in(&all_text(item), allowed)?;
        Some(format!("{what} in the row {:?}", key(item)))
    };
    let (mut accounts, mut records) = (Vec::new(), Vec::new());
    let (account, record) =
        (|item: &Item| accounts.extend(found(item, &[])), |item: &Item| records.extend(found(item, &[RECORD])));
    system.tables().each(account, record).await;
    report.add("secrets in rows of accounts", accounts);
    report.add("secrets in rows of records", records);

    system.stack.stop().await;
    report
}

/// Waits until no queue holds anything; what remains otherwise.
async fn drained(system: &System) -> Vec<String> {
    let empty = tokio::time::timeout(
        DRAIN,
        until("the queues are empty", DRAIN * 2, async || {
            let depths = system.stack.queue_depths().await;
            let left = depths.into_iter().filter(|(_, depth)| *depth != Default::default());
            let left: Vec<_> = left.map(|(queue, depth)| format!("{queue}: {depth:?}")).collect();
            if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
        }),
    );
    match empty.await {
        Ok(()) => Vec::new(),
        Err(_) => {
            let depths = system.stack.queue_depths().await;
            depths.iter().map(|(queue, depth)| format!("{queue}: {depth:?}")).collect()
        }
    }
}
