//! Costs: the bill that follows from the counted units, beside those of the Python backend and of a nightly job that writes
//! every record again. Prices stand in one table.

use std::fmt::Write as _;

use crate::deliveries::Kind;
use crate::results::Results;
use crate::units::{BLIND, DELTA, FIRST, LINK, Operation, REREAD, UNCHANGED};

/// List prices of us-east-1, on demand, in US dollars; as of [`DATE`].
struct Price {
    what: &'static str,
    dollars: f64,
    per: &'static str,
}

const DATE: &str = "November 2026";
const WRITE: Price = Price { what: "DynamoDB write units", dollars: 0.625, per: "million" };
const READ: Price = Price { what: "DynamoDB read units", dollars: 0.125, per: "million" };
const QUEUE: Price = Price { what: "SQS FIFO requests", dollars: 0.50, per: "million" };
const KEYS: Price = Price { what: "KMS requests", dollars: 3.00, per: "million" };
const EVENTS: Price = Price { what: "EventBridge events", dollars: 1.00, per: "million" };
const API: Price = Price { what: "HTTP API requests", dollars: 1.00, per: "million" };
const INVOCATIONS: Price = Price { what: "Lambda invocations", dollars: 0.20, per: "million" };
const SECONDS: Price = Price { what: "Lambda on arm64", dollars: 0.000_013_333_4, per: "GB and second" };
const LOGS: Price = Price { what: "CloudWatch logs taken in", dollars: 0.50, per: "GB" };
const PRICES: [Price; 9] = [WRITE, READ, QUEUE, KEYS, EVENTS, API, INVOCATIONS, SECONDS, LOGS];

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

/// What one of an operation costs, its processor time aside.
fn dollars(operation: &Operation) -> f64 {
    let used = &operation.used;
    let requests: f64 = used
        .requests
        .iter()
        .map(|(action, count)| {
            count
                * match action.split(':').next() {
                    Some("sqs") => QUEUE.dollars,
                    Some("kms") => KEYS.dollars,
                    Some("events") => EVENTS.dollars,
                    _ => 0.0,
                }
        })
        .sum();
    (used.write_units * WRITE.dollars + used.read_units * READ.dollars + requests) / 1e6 / operation.times
}

/// Lambda's part of reading one record, where Merge is what is waited for.
const READING: f64 = PAGE_SECONDS / PAGE * LARGE * SECONDS.dollars;

/// The page, from what was measured; an error names what was not.
pub fn page(results: &Results, polling: &str) -> Result<String, String> {
    let find = |name: &str| {
        let found = results.units.iter().find(|operation| operation.name == name);
        found.ok_or_else(|| format!("`{name}` was not counted"))
    };
    let cpu = |name: &str| {
        let served = results.serving.iter().find(|served| served.name == name && served.kind == Kind::Genuine);
        served.map(|served| served.cpu_median / 1e6).ok_or_else(|| format!("{name} served no webhook"))
    };
    let webhook = |name: &str| -> Result<f64, String> {
        let seconds = cpu(name)? + SERVICE_SECONDS;
        // Sent, received and deleted.
        Ok(3.0 * QUEUE.dollars
            + INVOCATIONS.dollars
            + seconds * SMALL * SECONDS.dollars * 1e6
            + LOGGED * LOGS.dollars / 1e3)
    };
    let million = |name: &str| -> Result<f64, String> { Ok(dollars(find(name)?) * 1e6) };
    let (first, reread, unchanged) = (million(FIRST)?, million(REREAD)?, million(UNCHANGED)?);
    let (delta, blind) = (million(DELTA)?, million(BLIND)?);
    let reading = READING * 1e6;
    let changed = 0.05;
    let link = 1e3
        * (dollars(find(LINK)?)
            + 2.0 * (API.dollars + INVOCATIONS.dollars) / 1e6
            + 2.0 * 0.5 * SMALL * SECONDS.dollars);

    let mut text = format!(
        "# What it costs\n\nWritten by `cargo bench-tether units`, from requests and capacity units counted at the local AWS endpoint \
         while the\nrelease binaries ran against the simulated Merge; records are its employees of 1.4 kB. List prices of us-east-1, \
         {DATE}, in US\ndollars; free tiers are left out. What polling costs has [a page of its own](cost-of-polling.md).\n\n\
         | price | USD | per |\n|---|---:|---|\n"
    );
    let mut line = |line: String| writeln!(text, "{line}").map_err(|error| error.to_string());
    for price in PRICES {
        line(format!("| {} | {} | {} |", price.what, price.dollars, price.per))?;
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
    let mut row = |what: &str, ours: f64, python: Option<f64>, nightly: Option<f64>| {
        let or = |dollars: Option<f64>| dollars.map_or("—".to_owned(), |dollars| format!("{dollars:.2}"));
        line(format!("| {what} | {ours:.2} | {} | {} |", or(python), or(nightly)))
    };
    row("1 M webhooks taken in and queued", webhook("webhook")?, Some(webhook("python")?), None)?;
    row("1 M records, first load", first + reading, Some(blind + reading), Some(blind + reading))?;
    row("1 M records read again, none changed", unchanged + reading, Some(blind + reading), Some(blind + reading))?;
    row("1 M records read again, 5 % changed", reread + reading, Some(blind + reading), Some(blind + reading))?;
    row(
        "the 5 % of 1 M that changed, as deltas",
        changed * (delta + reading),
        Some(changed * (blind + reading)),
        Some(blind + reading),
    )?;
    row(
        "1 M records kept fresh for a month, 5 % changing a day",
        30.0 * changed * (delta + reading),
        Some(30.0 * changed * (blind + reading)),
        Some(30.0 * (blind + reading)),
    )?;
    row("1,000 accounts linked", link, None, None)?;
    line("\nPython's deltas trust Merge's webhooks and `modified_after`; what it misses stays missing, and nothing polls. The nightly job misses nothing and pays for it.\n\n## Accounts polled, a month\n".to_owned())?;
    for row in polling.lines().filter(|line| {
        line.starts_with("| polled")
            || line.starts_with("| mixed")
            || line.starts_with("| every 6 h")
            || line.starts_with("| daily")
    }) {
        line(row.to_owned())?;
        if row.starts_with("| polled") {
            line("|---|---:|---:|---:|---:|".to_owned())?;
        }
    }
    Ok(text)
}
