//! Costs: the bill that follows from the counted units, beside those of the Python backend and of a nightly job that
//! writes every record again. Prices stand in one table.

use std::fmt::Write as _;

use ops::prices::{
    API_REQUESTS, DATE, EVENTS, GB_SECOND, INVOCATIONS, KEY_REQUESTS, LOGS, QUEUE_REQUESTS, READ_UNITS, WRITE_UNITS,
};

use crate::contender::PYTHON;
use crate::deliveries::Kind;
use crate::results::Results;
use crate::units::{BLIND, DELTA, FIRST, LINK, Operation, REREAD, UNCHANGED};

/// What the page lists: what, in US dollars, and per what.
const PRICES: [(&str, f64, &str); 9] = [
    ("DynamoDB write units", WRITE_UNITS, "million"),
    ("DynamoDB read units", READ_UNITS, "million"),
    ("SQS FIFO requests", QUEUE_REQUESTS, "million"),
    ("KMS requests", KEY_REQUESTS, "million"),
    ("EventBridge events", EVENTS, "million"),
    ("HTTP API requests", API_REQUESTS, "million"),
    ("Lambda invocations", INVOCATIONS, "million"),
    ("Lambda on arm64", GB_SECOND, "GB and second"),
    ("CloudWatch logs taken in", LOGS, "GB"),
];

/// Assumed, because no cloud is measured: what a service within the region takes to answer, in seconds.
const SERVICE_SECONDS: f64 = 0.010;
/// What Merge takes for a page of a hundred records, in seconds.
const PAGE_SECONDS: f64 = 0.5;
const PAGE: f64 = 100.0;
/// What one webhook logs, in bytes: one line of metrics.
const LOGGED: f64 = 400.0;
/// Memory of the functions in GB, as the template has it; Python needs the larger.
const SMALL: f64 = 0.25;
const LARGE: f64 = 0.5;

/// A month of an account, as the bill has it: so many records, of which a part changes each day; Merge reads it daily
/// and sends a webhook for each of its models; and it is polled every six hours all the same.
const ACCOUNT_RECORDS: f64 = 2_000.0;
const CHANGED: f64 = 0.05;
const MODELS: f64 = 5.0;
const LOOKS: f64 = 4.0;
const DAYS: f64 = 30.0;

/// What one of an operation costs, its processor time aside.
fn dollars(operation: &Operation) -> f64 {
    let used = &operation.used;
    let requests: f64 = used
        .requests
        .iter()
        .map(|(action, count)| {
            count
                * match action.split(':').next() {
                    Some("sqs") => QUEUE_REQUESTS,
                    Some("kms") => KEY_REQUESTS,
                    Some("events") => EVENTS,
                    _ => 0.0,
                }
        })
        .sum();
    (used.write_units * WRITE_UNITS + used.read_units * READ_UNITS + requests) / 1e6 / operation.times
}

/// Lambda's time while Merge makes a page.
const READING_PAGE: f64 = PAGE_SECONDS * LARGE * GB_SECOND;

/// What a million of each costs, or one where it says so; nothing that was not counted.
struct Bill {
    /// Webhooks taken in and queued.
    webhooks: f64,
    webhooks_python: f64,
    first: f64,
    unchanged: f64,
    reread: f64,
    delta: f64,
    /// Records written without looking whether they changed.
    blind: f64,
    /// Lambda's time for reading them.
    reading: f64,
    /// One account.
    link: f64,
    /// One look at an account that is idle.
    look: f64,
}

impl Bill {
    fn of(results: &Results, polling: &str) -> Result<Self, String> {
        let one = |name: &str| {
            let found = results.units.iter().find(|operation| operation.name == name);
            found.map(dollars).ok_or_else(|| format!("`{name}` was not counted"))
        };
        let webhooks = |name: &str| {
            let served = results.serving.iter().find(|served| served.name == name && served.kind == Kind::Genuine);
            let seconds = served.map(|served| served.cpu_median / 1e6 + SERVICE_SECONDS);
            let seconds = seconds.ok_or_else(|| format!("{name} served no webhook"))?;
            // Sent, received and deleted.
            let fixed = 3.0 * QUEUE_REQUESTS + INVOCATIONS + LOGGED * LOGS / 1e3;
            Ok::<_, String>(fixed + seconds * SMALL * GB_SECOND * 1e6)
        };
        let two_requests = 2.0 * (API_REQUESTS + INVOCATIONS) / 1e6 + 2.0 * PAGE_SECONDS * SMALL * GB_SECOND;
        Ok(Self {
            webhooks: webhooks("webhook")?,
            webhooks_python: webhooks(PYTHON)?,
            first: one(FIRST)? * 1e6,
            unchanged: one(UNCHANGED)? * 1e6,
            reread: one(REREAD)? * 1e6,
            delta: one(DELTA)? * 1e6,
            blind: one(BLIND)? * 1e6,
            reading: READING_PAGE / PAGE * 1e6,
            link: one(LINK)? + two_requests,
            look: look(polling).ok_or("cost-of-polling.md does not say what a look costs")?,
        })
    }

    /// Python's, for one look: it has no other way than to ask each model for what changed.
    fn look_python() -> f64 {
        MODELS * READING_PAGE + (INVOCATIONS + READ_UNITS) / 1e6
    }

    /// One account for a month.
    fn account(&self) -> f64 {
        let webhooks = MODELS * (self.webhooks / 1e6 + self.look);
        DAYS * (webhooks + LOOKS * self.look + ACCOUNT_RECORDS * CHANGED * (self.delta + self.reading) / 1e6)
    }

    fn account_python(&self) -> f64 {
        // Each webhook makes a worker ask for a page.
        let webhooks = MODELS * ((self.webhooks_python + INVOCATIONS) / 1e6 + READING_PAGE);
        DAYS * (webhooks + ACCOUNT_RECORDS * CHANGED * self.blind / 1e6)
    }

    fn account_nightly(&self) -> f64 {
        DAYS * ACCOUNT_RECORDS * (self.blind + self.reading) / 1e6
    }

    /// What was done, ours, Python's, and the nightly job's.
    fn rows(&self) -> Vec<(&'static str, f64, Option<f64>, Option<f64>)> {
        let Self { first, unchanged, reread, delta, blind, reading, .. } = *self;
        let all = Some(blind + reading);
        vec![
            ("1 M webhooks taken in and queued", self.webhooks, Some(self.webhooks_python), None),
            ("1 M records, first load", first + reading, all, all),
            ("1 M records read again, none changed", unchanged + reading, all, all),
            ("1 M records read again, 5 % changed", reread + reading, all, all),
            ("the 5 % of 1 M that changed, as deltas", CHANGED * (delta + reading), all.map(|all| CHANGED * all), all),
            (
                "1 M records kept fresh for a month, 5 % changing a day",
                DAYS * CHANGED * (delta + reading),
                all.map(|all| DAYS * CHANGED * all),
                all.map(|all| DAYS * all),
            ),
            ("1,000 accounts linked", 1e3 * self.link, None, None),
            (
                "1,000 accounts, a month",
                1e3 * self.account(),
                Some(1e3 * self.account_python()),
                Some(1e3 * self.account_nightly()),
            ),
        ]
    }
}

/// What one look costs, as the page on polling has it.
fn look(polling: &str) -> Option<f64> {
    let before = polling.split(" a look: ").next()?;
    before.rsplit(' ').next()?.parse().ok()
}

/// The page, from what was measured; an error names what was not.
pub fn page(results: &Results, polling: &str) -> Result<String, String> {
    let bill = Bill::of(results, polling)?;
    let mut text = format!(
        "# What it costs\n\nWritten by `cargo bench-tether units`, from requests and capacity units counted at the local AWS endpoint \
         while the\nrelease binaries ran against the simulated Merge; records are its employees of 1.4 kB. List prices of us-east-1, \
         {DATE}, in US\ndollars; free tiers are left out. What polling costs has [a page of its own](cost-of-polling.md).\n\n\
         | price | USD | per |\n|---|---:|---|\n"
    );
    let mut line = |line: String| writeln!(text, "{line}").map_err(|error| error.to_string());
    for (what, dollars, per) in PRICES {
        line(format!("| {what} | {dollars} | {per} |"))?;
    }
    line(format!(
        "\nAssumed: {PAGE_SECONDS} s for a page of {PAGE} records at Merge, {SERVICE_SECONDS} s for a service within the region, {LOGGED} bytes of log \
         for a webhook.\nLambda's time is billed while it waits; it is in the sums below.\n\n## Counted\n\n\
         | operation | of | write units | read units | other requests |\n|---|---:|---:|---:|---|"
    ))?;
    for Operation { name, times, used } in &results.units {
        let other: Vec<String> = used.requests.iter().map(|(action, count)| format!("{action} {count}")).collect();
        let (write, read) = (used.write_units / times, used.read_units / times);
        line(format!("| {name} | {times} | {write:.3} | {read:.3} | {} |", other.join(", ")))?;
    }
    line("\nUnits are for one of them; other requests are all there were.\n\n## The bill\n\n| | Tether | Python, as Merge's guide has it | every record again, nightly |\n|---|---:|---:|---:|".to_owned())?;
    for (what, ours, python, nightly) in bill.rows() {
        let or = |dollars: Option<f64>| dollars.map_or("—".to_owned(), |dollars| format!("{dollars:.2}"));
        line(format!("| {what} | {ours:.2} | {} | {} |", or(python), or(nightly)))?;
    }
    line(format!(
        "\nPython's deltas trust Merge's webhooks and `modified_after`; what it misses stays missing, and nothing polls. The nightly job misses \
         nothing and pays\nfor it. An account of the last row has {ACCOUNT_RECORDS} records, of which 5 % change a day; Merge reads it daily and sends \
         {MODELS} webhooks, one a\nmodel, each of which makes a worker look; Tether polls it every 6 h besides.\n\n## Accounts polled, a month\n"
    ))?;
    polled(&bill, polling).into_iter().try_for_each(&mut line)?;
    line(format!(
        "\nTether's look asks Merge what it has read and found, whatever the number of models. Python's, at the same times, asks each of {MODELS} \
         models for what\nchanged; it keeps the account's row and no key. The nightly job writes {ACCOUNT_RECORDS} records an account again. Nothing \
         changed: what changes is read\nand written on top."
    ))?;
    Ok(text)
}

/// The rows of the page on polling, ours beside Python's, and the nightly job's.
fn polled(bill: &Bill, polling: &str) -> Vec<String> {
    const ACCOUNTS: [f64; 3] = [1e4, 1e6, 1e7];
    let mut rows = vec![
        "| polled | looks | 10,000 accounts | Python | 1,000,000 | Python | 10,000,000 | Python |".to_owned(),
        "|---|---:|---:|---:|---:|---:|---:|---:|".to_owned(),
    ];
    let table = polling.lines().skip_while(|line| !line.starts_with("| polled")).skip(2);
    for row in table.take_while(|line| line.starts_with('|')) {
        let mut cells = row.trim_matches('|').split('|').map(str::trim);
        let (name, looks) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        let each: f64 = looks.parse().unwrap_or_default();
        let money = ACCOUNTS.map(|accounts| {
            format!("{:.0} | {:.0}", accounts * each * bill.look, accounts * each * Bill::look_python())
        });
        rows.push(format!("| {name} | {looks} | {} |", money.join(" | ")));
    }
    let nightly = ACCOUNTS.map(|accounts| format!("— | {:.0}", accounts * bill.account_nightly()));
    rows.push(format!("| every record again, nightly | 30 | {} |", nightly.join(" | ")));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Usage;

    #[test]
    fn a_bill_is_made_of_what_was_counted_and_of_nothing_else() {
        let polling = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cost-of-polling.md"));
        let polling = polling.expect("the page");
        let units = |name: &str, write_units: f64| Operation {
            name: name.to_owned(),
            times: 100.0,
            used: Usage { write_units, ..Usage::default() },
        };
        let served = |name: &str, cpu_median: f64| {
            let value = serde_json::json!({"name": name, "kind": "genuine", "rounds": 1, "events": 1, "latency_min": 1.0,
                "latency_median": 1.0, "cpu_min": 1.0, "cpu_median": cpu_median, "per_second": 1.0});
            serde_json::from_value(value).expect("served")
        };
        let counted = [(LINK, 900.0), (FIRST, 110.0), (REREAD, 8.0), (UNCHANGED, 3.0), (DELTA, 110.0), (BLIND, 200.0)];
        let mut results = Results {
            units: counted.map(|(name, write)| units(name, write)).to_vec(),
            serving: vec![served("webhook", 400.0), served(PYTHON, 2_000.0)],
            ..Results::default()
        };
        let page = page(&results, &polling).expect("a page");
        assert!(page.contains("| 1 M records read again, none changed | 0.05 | 1.28 | 1.28 |"), "{page}");
        assert!(
            page.contains("| 1,000 accounts, a month | ") && page.contains("| daily: resting accounts | 30 | "),
            "{page}"
        );
        results.units.pop();
        assert_eq!(super::page(&results, &polling).expect_err("no page"), format!("`{BLIND}` was not counted"));
    }
}
