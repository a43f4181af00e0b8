//! The report: `docs/performance.md`, its chart and `docs/cost.md`, written from the results. Goals that were missed
//! are in it as those that were met.

use std::fmt::Write as _;
use std::path::Path;

use crate::answer::Over;
use crate::chart::{self, Bar, Group};
use crate::contender::{FLOOR, PYTHON};
use crate::cost;
use crate::deliveries::Kind;
use crate::goals;
use crate::results::Results;
use crate::serving::Served;

/// Writes all of it into `docs`; what was never measured is left out.
pub fn write(root: &Path, docs: &Path, results: &Results) -> Result<(), String> {
    std::fs::create_dir_all(docs).map_err(|error| error.to_string())?;
    let put =
        |name: &str, text: String| std::fs::write(docs.join(name), text).map_err(|error| format!("{name}: {error}"));
    put("performance.svg", chart::svg(&groups(results)))?;
    put("performance.md", page(root, results))?;
    if !results.units.is_empty() {
        let polling = std::fs::read_to_string(root.join("docs/cost-of-polling.md"));
        let polling = polling.map_err(|error| error.to_string())?;
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
    page.line(&goals::table(results));
    starts(&mut page, results);
    answers(&mut page, results);
    served(&mut page, results);
    syncs(&mut page, results);
    // What people found out about the numbers; kept beside the code that takes them.
    let notes = std::fs::read_to_string(root.join("tests/bench/notes.md")).unwrap_or_default();
    page.line(notes.trim_end());
    page.0
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
            "\nTLS: the webhook function takes {:.2} M instructions until the request for its secret is sent in plain text, and {:.2} M\n\
             over TLS, handshake included (RSA leaf and intermediate under a root, as AWS has them).",
            million(tls.plain),
            million(tls.handshake),
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

fn answers(page: &mut Page, results: &Results) {
    page.line("## First answer\n\nFrom the start of the process to its answer to one genuine webhook, the secret read and the message queued on the way.\nOver TLS ours is the same function with the root of the bench's services among its own.\n");
    page.line("| | services | first answer, ms | least |\n|---|---|---:|---:|");
    for answer in &results.answers {
        let over = match answer.over {
            Over::Nothing => "none",
            Over::Plain => "in plain text",
            Over::Tls => "over TLS",
        };
        let (median, min) = (answer.median / 1e3, answer.min / 1e3);
        page.line(&format!("| {} | {over} | {median:.2} | {min:.2} |", answer.name));
    }
    page.line("");
}

fn served(page: &mut Page, results: &Results) {
    let is_webhook = |served: &&Served| matches!(served.kind, Kind::Genuine | Kind::Forged);
    page.line("## Webhooks\n\nOf one process, from the event to the answer, the queue answering at once; processor time of one, all threads. Microseconds.\n");
    page.line("| | | latency | least | processor time | least | a second | instructions |\n|---|---|---:|---:|---:|---:|---:|---:|");
    for served in results.serving.iter().filter(is_webhook) {
        let counted = results.webhook_instructions.iter().find(|counted| counted.name == served.name);
        let counted =
            counted.map(|counted| if served.kind == Kind::Genuine { counted.genuine } else { counted.forged });
        let counted = counted.map_or("—".to_owned(), |counted| counted.to_string());
        page.line(&format!("{} {counted} |", row(served)));
    }
    page.line("\n## Link tokens and exchanges\n\nThe same, with the tables, the key, the queue and the simulated Merge of a local stack, whose time is in the latency of\nboth. Python's backend checks and keeps less: [what it does](../tests/bench/python/backend.py).\n");
    page.line("| | | latency | least | processor time | least | a second |\n|---|---|---:|---:|---:|---:|---:|");
    for served in results.serving.iter().filter(|served| !is_webhook(served)) {
        page.line(&row(served));
    }
    page.line("");
}

fn row(served: &Served) -> String {
    let Served { name, kind, latency_median, latency_min, cpu_median, cpu_min, per_second, .. } = served;
    let per_second = if *per_second > 0.0 { format!("{per_second:.0}") } else { "—".to_owned() };
    format!(
        "| {name} | {} | {latency_median:.0} | {latency_min:.0} | {cpu_median:.0} | {cpu_min:.0} | {per_second} |",
        kind.title()
    )
}

fn syncs(page: &mut Page, results: &Results) {
    page.line("## Syncs\n\nA first sync, from Merge's first page to the last commit. The local DynamoDB takes time of the same\nprocessors, for both. A million records are ours alone: they would take Python an hour.\nOne list is read page after page, by whomever; many models are read side by side.\n");
    page.line("| | models | records | Merge's latency, ms | records a second | processor time, µs a record | peak MB |\n|---|---:|---:|---:|---:|---:|---:|");
    for run in &results.sync {
        page.line(&format!(
            "| {} | {} | {} | {} | {:.0} | {:.0} | {:.1} |",
            run.name,
            run.models,
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
        colour: match label {
            FLOOR => "#6b7280",
            PYTHON => "#c2410c",
            _ => "#2563eb",
        },
    };
    let group = |title: &str, bars: Vec<Bar>| Group { title: title.to_owned(), bars };
    let names = [FLOOR, "webhook", PYTHON];
    let starts = names.iter().filter_map(|name| results.start.iter().find(|start| start.name == *name));
    let served =
        names.iter().filter_map(|name| results.serving.iter().find(|it| it.name == *name && it.kind == Kind::Genuine));
    let mut groups = vec![
        group("Start to /next", starts.map(|start| bar(&start.name, start.next_median / 1e3, "ms")).collect()),
        group("Processor time of a webhook", served.map(|served| bar(&served.name, served.cpu_median, "µs")).collect()),
    ];
    let mut runs: Vec<_> = results.sync.iter().filter(|run| run.records == 10_000 && run.latency_ms == 0).collect();
    runs.sort_by_key(|run| run.name == PYTHON);
    let title = "Records synced in a second, with the database on the same processors";
    groups.push(group(title, runs.iter().map(|run| bar(&run.name, run.records_per_second, "")).collect()));
    let title = "Processor time of a synced record";
    groups.push(group(title, runs.iter().map(|run| bar(&run.name, run.cpu_per_record, "µs")).collect()));
    let title = "Memory of a sync of 10,000 records";
    groups.push(group(title, runs.iter().map(|run| bar(&run.name, run.peak_kb as f64 / 1e3, "MB")).collect()));
    groups.retain(|group| !group.bars.is_empty());
    groups
}
