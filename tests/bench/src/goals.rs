//! Goals: what was aimed at, what was measured, and whether that reaches it. Those that were missed stand beside those
//! that were met, and those that nobody has measured yet beside both.

use crate::contender::{FLOOR, PYTHON};
use crate::deliveries::Kind;
use crate::results::Results;
use crate::sync::SyncRun;
use crate::tls;

/// Functions behind HTTP, whose start a person waits for.
const HTTP: [&str; 8] = ["link-token", "exchange", "relink", "delete", "accounts", "integrations", "records", "page"];

/// A goal: what, the bound, and what was measured, if it was.
struct Goal {
    what: String,
    bound: Bound,
    unit: &'static str,
    measured: Option<f64>,
}

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn row(&self) -> String {
        let Self { what, bound, unit, measured } = self;
        let bound_text = match bound {
            Bound::AtMost(bound) => format!("≤ {bound}{unit}"),
            Bound::AtLeast(bound) => format!("≥ {bound}{unit}"),
        };
        let Some(measured) = *measured else { return format!("| {what} | {bound_text} | — | not measured |") };
        let met = match *bound {
            Bound::AtMost(bound) => measured <= bound,
            Bound::AtLeast(bound) => measured >= bound,
        };
        format!("| {what} | {bound_text} | {measured:.2}{unit} | {} |", if met { "met" } else { "**missed**" })
    }
}

/// The table.
pub fn table(results: &Results) -> String {
    let rows: Vec<String> = goals(results).iter().map(Goal::row).collect();
    format!("## Goals\n\n| | goal | measured | |\n|---|---:|---:|---|\n{}\n", rows.join("\n"))
}

fn goals(results: &Results) -> Vec<Goal> {
    let start = |name: &str| results.start.iter().find(|start| start.name == name);
    let count = |name: &str| results.instructions.iter().find(|counted| counted.name == name);
    let served = |name: &str| results.serving.iter().find(|it| it.name == name && it.kind == Kind::Genuine);
    let run = |name: &str, records: u32, latency: u64| {
        let of = |run: &&SyncRun| run.models == 1 && run.records == records && run.latency_ms == latency;
        results.sync.iter().find(|run| run.name == name && of(run))
    };
    let ours = |records, latency| run("sync-worker", records, latency);
    let memory = |of: Option<&SyncRun>| of.map(|run| run.peak_kb as f64);

    let wide = results.sync.iter().find(|run| run.models > 1 && run.latency_ms == 500);

    let http = |name: &str| HTTP.contains(&name);
    let slowest = results.start.iter().filter(|start| http(&start.name)).map(|start| start.first_median);
    let most = results.instructions.iter().filter(|counted| http(&counted.name)).map(|counted| counted.first as f64);
    let floor = start(FLOOR).map(|floor| floor.first_median);
    let floor_count = count(FLOOR).map(|floor| floor.first as f64);
    let to_next = |name: &str| start(name).map(|start| start.next_median);
    let cpu = |name: &str| served(name).map(|served| served.cpu_median);
    let rate = |name: &str, records: u32| run(name, records, 0).map(|run| run.records_per_second);
    let adds = results.tls.as_ref().map(|tls| tls.adds() as f64);
    let init = count("link-token").zip(adds).map(|(counted, adds)| (counted.next as f64 + adds) / 1e6);
    let zip = |size: &crate::size::Size| size.deflated as f64 / 1e6;
    let largest = results.sizes.iter().filter(|size| size.name != FLOOR).max_by_key(|size| size.deflated);
    let largest_name = largest.map_or(String::new(), |size| format!(" ({})", size.name));
    let webhook = results.sizes.iter().find(|size| size.name == "webhook");

    let goal = |what: &str, bound, unit, measured| Goal { what: what.to_owned(), bound, unit, measured };
    let at_most = |what: &str, bound, unit, measured| goal(what, Bound::AtMost(bound), unit, measured);
    let at_least = |what: &str, bound, unit, measured| goal(what, Bound::AtLeast(bound), unit, measured);
    let first_call = tls::MOST as f64 / 1e6;
    vec![
        at_most("slowest HTTP function's start, of hello's", 1.5, " ×", ratio(slowest.reduce(f64::max), floor)),
        at_most(
            "HTTP function with the most instructions, of hello's",
            3.0,
            " ×",
            ratio(most.reduce(f64::max), floor_count),
        ),
        at_most("webhook's start, of hello's", 1.3, " ×", ratio(start("webhook").map(|it| it.first_median), floor)),
        at_most("init of link-token with its secret, over TLS", 60.0, " M instructions", init),
        at_most("first call over TLS adds", first_call, " M instructions", adds.map(|adds| adds / 1e6)),
        at_least("Python's start to webhook's", 100.0, " ×", ratio(to_next(PYTHON), to_next("webhook"))),
        at_least("Python's processor time for a webhook to ours", 50.0, " ×", ratio(cpu(PYTHON), cpu("webhook"))),
        at_least(
            "records a second at 0 ms, 10,000 of them, of Python's",
            10.0,
            " ×",
            ratio(rate("sync-worker", 10_000), rate(PYTHON, 10_000)),
        ),
        at_least(
            "records a second at 0 ms, 100,000 of them, of Python's",
            10.0,
            " ×",
            ratio(rate("sync-worker", 100_000), rate(PYTHON, 100_000)),
        ),
        at_least(
            "pages a second at 500 ms, many models: what Merge's largest plan allows",
            10.0,
            "",
            wide.map(|run| run.records_per_second / 100.0),
        ),
        at_least(
            "Python's memory for 10,000 records to ours",
            5.0,
            " ×",
            ratio(memory(run(PYTHON, 10_000, 0)), memory(ours(10_000, 0))),
        ),
        at_most(
            "memory for 100,000 records, of that for 10,000",
            1.1,
            " ×",
            ratio(memory(ours(100_000, 0)), memory(ours(10_000, 0))),
        ),
        at_most(
            "memory for 1,000,000 records, of that for 10,000",
            1.1,
            " ×",
            ratio(memory(ours(1_000_000, 0)), memory(ours(10_000, 0))),
        ),
        at_most(&format!("largest zip{largest_name}"), 3.0, " MB", largest.map(zip)),
        at_most("webhook's zip", 2.0, " MB", webhook.map(zip)),
    ]
}

fn ratio(measured: Option<f64>, of: Option<f64>) -> Option<f64> {
    measured.zip(of).map(|(measured, of)| measured / of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::Size;

    #[test]
    fn a_goal_is_met_missed_or_not_measured() {
        let size = |name: &str, deflated| Size { name: name.to_owned(), binary: 9_000_000, deflated };
        let sizes = vec![size("webhook", 1_500_000), size("page", 4_000_000)];
        let table = table(&Results { sizes, ..Results::default() });
        assert!(table.contains("| webhook's zip | ≤ 2 MB | 1.50 MB | met |"), "{table}");
        assert!(table.contains("| largest zip (page) | ≤ 3 MB | 4.00 MB | **missed** |"), "{table}");
        assert!(table.contains("| webhook's start, of hello's | ≤ 1.3 × | — | not measured |"), "{table}");
    }
}
