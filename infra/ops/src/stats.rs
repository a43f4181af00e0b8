//! Statistics: how fresh the copies are by polling class, how healthy the accounts, how many records there are, counted
//! from the accounts' rows; and the last day, as CloudWatch counted it.

mod cost;
mod day;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use shared::domain::account::LinkedAccount;
use shared::domain::health;
use shared::domain::issue::IssueStatus;

use self::day::LastDay;
use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{Cell, Output, word};
use crate::walk::Walk;

/// What is counted, and how old data is, by polling class.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Statistics {
    accounts: u64,
    records: u64,
    open_issues: u64,
    health: BTreeMap<String, u64>,
    freshness: BTreeMap<String, Freshness>,
    /// Null where CloudWatch cannot be asked.
    last_day: Option<LastDay>,
}

/// Ages in seconds of what is stored: the time up to which each account's data is complete, seen from now.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Freshness {
    accounts: u64,
    median: u64,
    p95: u64,
    oldest: u64,
}

/// `tether stats`.
pub async fn show(connection: &Connection, output: &Output, asked: &cli::Stats) -> Result<(), Failure> {
    let now = Timestamp::now();
    let mut tally = Tally::default();
    let mut walk = Walk::new(&connection.store, &asked.selection);
    while let Some(page) = walk.next().await? {
        page.iter().for_each(|account| tally.add(account, now));
    }
    let mut statistics = tally.finished();
    match LastDay::of(connection, now).await {
        Ok(day) => statistics.last_day = Some(day),
        Err(failure) => eprintln!("{}", crate::output::shown(&shared::telemetry::chain(&failure))),
    }
    if output.json {
        return output.object(&statistics);
    }
    let Statistics { accounts, records, open_issues, health, freshness, last_day } = &statistics;
    output.line(format!("{accounts} accounts, {records} records, {open_issues} open issues"))?;
    let rows: Vec<[Cell; 2]> = health.iter().map(|(state, count)| [state.into(), count.to_string().into()]).collect();
    output.table(["HEALTH", "ACCOUNTS"], &rows)?;
    output.line("")?;
    let age = |seconds: u64| Cell::from(format!("{} min", seconds / 60));
    let row = |(class, fresh): (&String, &Freshness)| -> [Cell; 5] {
        [class.into(), fresh.accounts.to_string().into(), age(fresh.median), age(fresh.p95), age(fresh.oldest)]
    };
    let rows: Vec<_> = freshness.iter().map(row).collect();
    output.table(["POLLED EVERY", "ACCOUNTS", "MEDIAN AGE", "95 %", "OLDEST"], &rows)?;
    let Some(day) = last_day else { return Ok(()) };
    output.line("")?;
    day.print(output)
}

/// Ages are kept as whole minutes and how many accounts have each, so that a million accounts need no more room.
#[derive(Default)]
struct Tally {
    counted: Statistics,
    ages: BTreeMap<String, BTreeMap<u64, u64>>,
}

impl Tally {
    fn add(&mut self, account: &LinkedAccount, now: Timestamp) {
        self.counted.accounts += 1;
        self.counted.records += account.facts.records;
        let open = account.issues.values().filter(|issue| issue.status == IssueStatus::Ongoing);
        self.counted.open_issues += open.count() as u64;
        *self.counted.health.entry(word(health::of_account(account, now).state)).or_default() += 1;
        let class = account.due.class.split('#').next().unwrap_or_default().to_owned();
        if let Some(fresh) = account.facts.data_fresh_as_of.filter(|_| account.status.connected()) {
            self.age(class, now.duration_since(fresh).as_secs().max(0).unsigned_abs());
        }
    }

    fn age(&mut self, class: String, seconds: u64) {
        *self.ages.entry(class).or_default().entry(seconds / 60).or_default() += 1;
    }

    fn finished(self) -> Statistics {
        let freshness = self.ages.into_iter().map(|(class, ages)| {
            let accounts = ages.values().sum();
            let quantile = |share: f64| quantile(&ages, accounts, share) * 60;
            let oldest = ages.keys().next_back().copied().unwrap_or_default() * 60;
            (class, Freshness { accounts, median: quantile(0.5), p95: quantile(0.95), oldest })
        });
        Statistics { freshness: freshness.collect(), ..self.counted }
    }
}

/// The least minute that so large a share of the accounts does not exceed.
fn quantile(ages: &BTreeMap<u64, u64>, accounts: u64, share: f64) -> u64 {
    let wanted = (accounts as f64 * share).ceil() as u64;
    let mut met = 0;
    let found = ages.iter().find(|(_, count)| {
        met += **count;
        met >= wanted
    });
    found.map_or(0, |(minute, _)| *minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_ages() {
        let mut tally = Tally::default();
        (1..=100).for_each(|minute| tally.age("1h".to_owned(), minute * 60));
        tally.age("5m".to_owned(), 59);
        let freshness = tally.finished().freshness;
        assert_eq!(freshness["1h"], Freshness { accounts: 100, median: 3_000, p95: 5_700, oldest: 6_000 });
        assert_eq!(freshness["5m"], Freshness { accounts: 1, median: 0, p95: 0, oldest: 0 });
    }
}
