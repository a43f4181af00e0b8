//! The report: `docs/performance.md`, its chart and `docs/cost.md`, written from the results. Goals that were missed are in
//! it as those that were met.

use std::fmt::Write as _;
use std::path::Path;

use crate::chart::{self, Bar, Group};
use crate::contender::{FLOOR, PYTHON};
use crate::cost;
use crate::deliveries::Kind;
use crate::results::Results;
use crate::tls;

/// Functions behind HTTP, whose start a person waits for.
const HTTP: [&str; 8] = ["link-token", "exchange", "relink", "delete", "accounts", "integrations", "records", "page"];

/// Writes all of it; what was never measured is left out.
pub fn write(root: &Path, results: &Results) -> Result<(), String> {
    let docs = root.join("docs");
    let put =
        |name: &str, text: String| std::fs::write(docs.join(name), text).map_err(|error| format!("{name}: {error}"));
    put("performance.svg", chart::svg(&groups(results)))?;
    put("performance.md", page(root, results))?;
    if !results.units.is_empty() {
        let polling = std::fs::read_to_string(docs.join("cost-of-polling.md")).map_err(|error| error.to_string())?;
        put("cost.md", cost::page(results, &polling)?)?;
    }
    Ok(())
}

/// A page under construction.
struct Page(String);

impl Page {
    fn line(&mut self, line: &str) {
        // Writing to a string does not fail.
        writeln!(self.0, "{line}").ok();
    }
}

fn page(root: &Path, results: &Results) -> String {
    let mut page = Page(String::new());
    page.line("# How fast it is\n");
    page.line(
        "Written by `cargo bench-tether`, which builds the release binaries, a `lambda_runtime` function that only says hello (the\n\
         floor), and the same backend in Python as Merge's guide describes it (`awslambdaric`, boto3, `MergePythonClient`;\n\
         [`tests/bench/python`](../tests/bench/python/backend.py)), and runs them in turn against one local Runtime API.\n\
         [`tests/results/performance.json`](../tests/results/performance.json) has all numbers.\n",
    );
    page.line(&format!(
        "Machine: {}, with other work on it: trust ratios, instructions and processor time more than\nseconds.",
        results.machine
    ));
    let taken: Vec<String> = results.taken.iter().map(|(suite, when)| format!("{suite} {when}")).collect();
    page.line(&format!("Taken: {}.\n", taken.join("; ")));
    page.line("![Start, webhook and sync beside the floor and beside Python](performance.svg)\n");
    goals(&mut page, results);
    starts(&mut page, results);
    webhooks(&mut page, results);
    syncs(&mut page, results);
    // What people found out about the numbers; kept beside the code that takes them.
    let notes = std::fs::read_to_string(root.join("tests/bench/notes.md")).unwrap_or_default();
    page.line(notes.trim_end());
    page.0
}

/// A goal: what, the bound, what was measured, and whether that is within it.
struct Goal {
    what: String,
    bound: String,
    measured: String,
    met: bool,
}

fn at_most(what: &str, measured: f64, bound: f64, unit: &str) -> Goal {
    let (bound_text, measured_text) = (format!("≤ {bound}{unit}"), format!("{measured:.2}{unit}"));
    Goal { what: what.to_owned(), bound: bound_text, measured: measured_text, met: measured <= bound }
}

fn at_least(what: &str, measured: f64, bound: f64, unit: &str) -> Goal {
    let (bound_text, measured_text) = (format!("≥ {bound}{unit}"), format!("{measured:.1}{unit}"));
    Goal { what: what.to_owned(), bound: bound_text, measured: measured_text, met: measured >= bound }
}

fn goals(page: &mut Page, results: &Results) {
    let mut goals = Vec::new();
    let start = |name: &str| results.start.iter().find(|start| start.name == name);
    let count = |name: &str| results.instructions.iter().find(|counted| counted.name == name);
    if let (Some(floor), Some(webhook), Some(python)) = (start(FLOOR), start("webhook"), start(PYTHON)) {
        let http = results.start.iter().filter(|start| HTTP.contains(&start.name.as_str()));
        let worst = http.map(|start| start.first_median / floor.first_median).fold(0.0, f64::max);
        goals.push(at_most("slowest HTTP function's start, of hello's", worst, 1.5, " ×"));
        goals.push(at_most("webhook's start, of hello's", webhook.first_median / floor.first_median, 1.3, " ×"));
        goals.push(at_least("Python's start to webhook's", python.next_median / webhook.next_median, 100.0, " ×"));
    }
    if let (Some(floor), Some(link_token)) = (count(FLOOR), count("link-token")) {
        let http = results.instructions.iter().filter(|counted| HTTP.contains(&counted.name.as_str()));
        let worst = http.map(|counted| counted.first as f64 / floor.first as f64).fold(0.0, f64::max);
        goals.push(at_most("HTTP function with the most instructions, of hello's", worst, 3.0, " ×"));
        if let Some(tls) = &results.tls {
            let init = (link_token.next + tls.adds()) as f64 / 1e6;
            goals.push(at_most("init of link-token with its secret, over TLS", init, 60.0, " M instructions"));
            goals.push(at_most(
                "first call over TLS adds",
                tls.adds() as f64 / 1e6,
                tls::MOST as f64 / 1e6,
                " M instructions",
            ));
        }
    }
    let served = |name: &str| results.serving.iter().find(|it| it.name == name && it.kind == Kind::Genuine);
    if let (Some(ours), Some(python)) = (served("webhook"), served(PYTHON)) {
        goals.push(at_least(
            "Python's processor time for a webhook to ours",
            python.cpu_median / ours.cpu_median,
            50.0,
            " ×",
        ));
    }
    let run = |name: &str, records: u32, latency: u64| {
        results.sync.iter().find(|run| run.name == name && run.records == records && run.latency_ms == latency)
    };
    if let (Some(ours), Some(python)) = (run("sync-worker", 10_000, 0), run(PYTHON, 10_000, 0)) {
        let ratio = ours.records_per_second / python.records_per_second;
        goals.push(at_least("records a second at 0 ms, of Python's", ratio, 10.0, " ×"));
        let ratio = python.peak_kb as f64 / ours.peak_kb as f64;
        goals.push(at_least("Python's memory for 10,000 records to ours", ratio, 5.0, " ×"));
    }
    if let Some(ours) = run("sync-worker", 1_500, 500) {
        goals.push(at_least("pages a second at 500 ms", ours.records_per_second / 100.0, 10.0, ""));
    }
    let largest = results.sync.iter().filter(|run| run.name == "sync-worker").max_by_key(|run| run.records);
    if let (Some(few), Some(many)) = (run("sync-worker", 10_000, 0), largest) {
        let what = format!("memory for {} records, of that for 10,000", many.records);
        goals.push(at_most(&what, many.peak_kb as f64 / few.peak_kb as f64, 1.1, " ×"));
    }
    let largest = results.sizes.iter().filter(|size| size.name != FLOOR).max_by_key(|size| size.deflated);
    if let Some(largest) = largest {
        let what = format!("largest zip ({})", largest.name);
        goals.push(at_most(&what, largest.deflated as f64 / 1e6, 3.0, " MB"));
    }
    if let Some(webhook) = results.sizes.iter().find(|size| size.name == "webhook") {
        goals.push(at_most("webhook's zip", webhook.deflated as f64 / 1e6, 2.0, " MB"));
    }
    page.line("## Goals\n\n| | goal | measured | |\n|---|---:|---:|---|");
    for Goal { what, bound, measured, met } in goals {
        page.line(&format!("| {what} | {bound} | {measured} | {} |", if met { "met" } else { "**missed**" }));
    }
    page.line("");
}

fn starts(page: &mut Page, results: &Results) {
    page.line("## Start\n\nTo the first request of any kind, and to `/next` with secrets that are answered at once and in plain text. Medians,\nleast in brackets. Instructions by callgrind; sizes in bytes.\n");
    page.line("| | first request, ms | of hello's | `/next`, ms | peak MB | instructions to the first request, M | of hello's | to `/next`, M | binary | zip |");
    page.line("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    // Without a floor there is nothing to compare with.
    let floor_time = results.start.iter().find(|start| start.name == FLOOR).map(|floor| floor.first_median);
    let floor_count = results.instructions.iter().find(|counted| counted.name == FLOOR).map(|floor| floor.first);
    let of = |value: f64, floor: Option<f64>| floor.map_or("—".to_owned(), |floor| format!("{:.2}", value / floor));
    for start in &results.start {
        let counted = results.instructions.iter().find(|counted| counted.name == start.name);
        let size = results.sizes.iter().find(|size| size.name == start.name);
        let counted = counted.map_or(("—".to_owned(), "—".to_owned(), "—".to_owned()), |counted| {
            let million = |count: u64| format!("{:.2}", count as f64 / 1e6);
            let ratio = of(counted.first as f64, floor_count.map(|count| count as f64));
            (million(counted.first), ratio, million(counted.next))
        });
        let size = size
            .map_or(("—".to_owned(), "—".to_owned()), |size| (size.binary.to_string(), size.deflated.to_string()));
        page.line(&format!(
            "| {} | {:.2} ({:.2}) | {} | {:.2} ({:.2}) | {:.1} | {} | {} | {} | {} | {} |",
            start.name,
            start.first_median / 1e3,
            start.first_min / 1e3,
            of(start.first_median, floor_time),
            start.next_median / 1e3,
            start.next_min / 1e3,
            start.peak_kb as f64 / 1e3,
            counted.0,
            counted.1,
            counted.2,
            size.0,
            size.1,
        ));
    }
    if let Some(tls) = &results.tls {
        let million = |count: u64| count as f64 / 1e6;
        page.line(&format!(
            "\nTLS: our HTTP client's first call takes {:.2} M instructions in plain text and {:.2} M with a handshake (RSA leaf and\n\
             intermediate under a root, as AWS has them); the second on that connection {:.2} M.",
            million(tls.plain),
            million(tls.handshake),
            million(tls.second.saturating_sub(tls.handshake)),
        ));
        let hellos: Vec<String> =
            tls.hellos.iter().map(|hello| format!("{} {:.2} M", hello.name, hello.adds as f64 / 1e6)).collect();
        page.line(&format!(
            "Shipped binaries up to their TLS hello, where the first random numbers are drawn: {} more than to the same\n\
             request in plain text. Jitter entropy alone would take 419 M there.",
            hellos.join(", ")
        ));
    }
    page.line("");
}

fn webhooks(page: &mut Page, results: &Results) {
    page.line("## Webhooks\n\nFrom the event to the answer, the queue answering at once; processor time of one, all threads. Microseconds.\n");
    page.line(
        "| | kind | latency | least | processor time | least | instructions |\n|---|---|---:|---:|---:|---:|---:|",
    );
    for served in &results.serving {
        let counted = results.webhook_instructions.iter().find(|counted| counted.name == served.name);
        let counted = counted.map_or("—".to_owned(), |counted| {
            (if served.kind == Kind::Genuine { counted.genuine } else { counted.forged }).to_string()
        });
        page.line(&format!(
            "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {counted} |",
            served.name,
            if served.kind == Kind::Genuine { "genuine" } else { "forged" },
            served.latency_median,
            served.latency_min,
            served.cpu_median,
            served.cpu_min,
        ));
    }
    page.line("");
}

fn syncs(page: &mut Page, results: &Results) {
    page.line("## Syncs\n\nA first sync of one model, from Merge's first page to the last commit. The local DynamoDB takes time of the same\nprocessors, for both.\n");
    page.line("| | records | Merge's latency, ms | records a second | processor time, µs a record | peak MB |\n|---|---:|---:|---:|---:|---:|");
    for run in &results.sync {
        page.line(&format!(
            "| {} | {} | {} | {:.0} | {:.0} | {:.1} |",
            run.name,
            run.records,
            run.latency_ms,
            run.records_per_second,
            run.cpu_per_record,
            run.peak_kb as f64 / 1e3,
        ));
    }
    page.line("");
    if !results.units.is_empty() {
        page.line("Requests and capacity units, and what they cost: [cost.md](cost.md).\n");
    }
}

fn groups(results: &Results) -> Vec<Group> {
    let bar = |label: &str, value: f64, unit: &str| Bar {
        label: label.to_owned(),
        value,
        text: if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") },
    };
    let group = |title: &str, bars: Vec<Bar>| Group { title: title.to_owned(), bars };
    let names = [FLOOR, PYTHON, "webhook"];
    let starts = names.iter().filter_map(|name| results.start.iter().find(|start| start.name == *name));
    let served =
        names.iter().filter_map(|name| results.serving.iter().find(|it| it.name == *name && it.kind == Kind::Genuine));
    let mut groups = vec![
        group("Start to /next", starts.map(|start| bar(&start.name, start.next_median / 1e3, "ms")).collect()),
        group("Processor time of a webhook", served.map(|served| bar(&served.name, served.cpu_median, "µs")).collect()),
    ];
    let mut runs: Vec<_> = results.sync.iter().filter(|run| run.records == 10_000 && run.latency_ms == 0).collect();
    runs.sort_by(|a, b| a.name.cmp(&b.name));
    let title = "Processor time of a synced record";
    groups.push(group(title, runs.iter().map(|run| bar(&run.name, run.cpu_per_record, "µs")).collect()));
    let title = "Memory of a sync of 10,000 records";
    groups.push(group(title, runs.iter().map(|run| bar(&run.name, run.peak_kb as f64 / 1e3, "MB")).collect()));
    groups.retain(|group| !group.bars.is_empty());
    groups
}
