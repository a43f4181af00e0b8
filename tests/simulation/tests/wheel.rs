//! The time wheel in simulated time: three hundred accounts of mixed poll classes and not one webhook. Every account is
//! looked at in its class's interval, an idle look writes nothing, and whatever happens to the poller, nobody is
//! forgotten. What a look costs is counted, printed, and extrapolated in `docs/cost-of-polling.md`.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use ops::prices::{DATE, GB_SECOND, INVOCATIONS, KEY_REQUESTS, QUEUE_REQUESTS, READ_UNITS};
use shared::domain::schedule::PollClass;
use simulation::wheel::{self, CLASSES, Ticks, Wheel};

const MINUTE: Duration = Duration::from_secs(60);
/// Between the tick and the look at the last of the accounts that were due.
const WORK_TAKES: Duration = Duration::from_secs(5 * 60);

fn interval(class: &str) -> Duration {
    let found = PollClass::ALL.into_iter().find(|known| known.label() == class).expect("a class");
    MINUTE * u32::try_from(found.minutes()).expect("minutes")
}

/// Fails unless every account was looked at within its interval and so much more.
fn nobody_is_forgotten(wheel: &Wheel, from: Duration, grace: Duration) {
    for (class, (longest, _)) in wheel.gaps(from) {
        let bound = interval(class) + grace;
        assert!(longest <= bound, "{class}: an account was left for {} min", longest.as_secs() / 60);
    }
}

#[test]
fn a_day_of_idle_polls_writes_nothing_and_every_class_keeps_its_interval() {
    wheel::run(async |wheel| {
        let from = wheel.elapsed();
        wheel.start_counting();
        let mut queued = 0;
        for _ in 0..24 * 60 {
            queued += wheel.minute(Ticks::Once).await.iter().sum::<u64>();
        }
        tokio_settles(wheel).await;
        nobody_is_forgotten(wheel, from, WORK_TAKES);
        for (class, (_, looks)) in wheel.gaps(from) {
            let least = (24 * 60 * MINUTE.as_secs() / interval(class).as_secs()) as usize;
            assert!(looks + 1 >= least, "{class}: {looks} looks of {least}");
        }
        let tally = wheel.tally();
        assert_eq!(tally.writes("worker"), 0, "no poll costs a write: {:#?}", tally.aws);
        assert_eq!(tally.writes("front"), 24 * 60, "the poller notes its progress once a minute");
        // Censuses queue no account that is as Merge says.
        assert!(tally.looked() <= queued, "{} looks of {queued}", tally.looked());
        drop(tally);
        costs(wheel, queued);
    });
}

/// Lets the last messages be worked on.
async fn tokio_settles(wheel: &Wheel) {
    for _ in 0..5 {
        wheel.minute(Ticks::Missed).await;
    }
}

#[test]
fn a_missed_hour_is_caught_up_without_a_burst() {
    const RATE: u64 = 10;
    wheel::run(async |wheel| {
        wheel.rate = Some(RATE as usize);
        let from = wheel.elapsed();
        wheel.start_counting();
        for _ in 0..60 {
            wheel.minute(Ticks::Missed).await;
        }
        let mut caught_up_after = None;
        for minute in 0..120 {
            let queued: u64 = wheel.minute(Ticks::Once).await.iter().sum();
            assert!(queued <= RATE, "a run queued {queued}");
            if queued < RATE && caught_up_after.is_none() {
                caught_up_after = Some(minute);
            }
        }
        let caught_up_after = caught_up_after.expect("the rate is enough");
        assert!((5..60).contains(&caught_up_after), "it took {caught_up_after} min");
        tokio_settles(wheel).await;
        // Late by the hour, and by what making up for it took; then as ever.
        let grace = MINUTE * (60 + caught_up_after) + WORK_TAKES;
        nobody_is_forgotten(wheel, from, grace);
        let hourly = wheel.gaps(from)["1h"].1;
        assert!(
            (2..=3).contains(&hourly),
            "missed rounds are not made up for one by one: {hourly} looks in three hours"
        );
    });
}

#[test]
fn doubled_killed_and_late_pollers_skip_nobody_and_fetch_nothing_twice() {
    wheel::run(async |wheel| {
        let from = wheel.elapsed();
        wheel.start_counting();
        let synced = wheel.sync_all().await;
        for minute in 0..90 {
            let ticks = [Ticks::Twice, Ticks::KilledHalfWay, Ticks::Once][minute % 3];
            wheel.minute(ticks).await;
        }
        // Three hours without any, then the tick of then, and that of now.
        for _ in 0..180 {
            wheel.minute(Ticks::Missed).await;
        }
        wheel.late_tick(180).await;
        for _ in 0..30 {
            wheel.minute(Ticks::Once).await;
        }
        // The rest of the longest interval but a day.
        for _ in 0..180 {
            wheel.minute(Ticks::Once).await;
        }
        tokio_settles(wheel).await;
        let late = MINUTE * 180 + WORK_TAKES;
        nobody_is_forgotten(wheel, from, late);
        for (class, (_, looks)) in wheel.gaps(from) {
            assert!(class == "24h" || looks >= 1, "{class}: an account was skipped");
        }
        assert_eq!(wheel.employee_pages(), synced, "each finished sync was fetched once");
    });
}

/// Of a second of a 512 MB Lambda function on arm64.
const LAMBDA_SECOND: f64 = 0.5 * GB_SECOND;
/// A look waits for three answers of Merge's; the simulation's clock says nothing about that.
const SECONDS_A_LOOK: f64 = 0.6;

/// How the census reads our accounts.
const CENSUS: &str = "Query due";

/// Prints what a look costs, and writes the table with `UPDATE_COSTS=1`.
fn costs(wheel: &Wheel, queued: u64) {
    let tally = wheel.tally();
    let looks = tally.looked().max(1) as f64;
    let mut report = String::new();
    let mut dollars = 0.0;
    writeln!(report, "| by | service | request | per look | units per look |").expect("text");
    writeln!(report, "|---|---|---|---|---|").expect("text");
    for ((process, service, action), used) in &tally.aws {
        // The poller's own reads and its note, and the census's reading of the slots, are there however many accounts
        // there are.
        let census = process == "worker" && action == CENSUS;
        let fixed = census || process == "front" && service == "DynamoDB" && action != "Query due";
        let (requests, units) = (used.requests as f64 / looks, used.units / looks);
        if !fixed {
            dollars += match service.as_str() {
                "DynamoDB" => units * READ_UNITS,
                "SQS" => requests * QUEUE_REQUESTS,
                "KMS" => requests * KEY_REQUESTS,
                _ => 0.0,
            } / 1e6;
        }
        let by = match process.as_str() {
            "front" => "poller",
            _ if census => "census",
            _ => "worker",
        };
        writeln!(report, "| {by} | {service} | {action} | {requests:.2} | {units:.2} |").expect("text");
    }
    // The event source receives and deletes each message.
    writeln!(report, "| event source | SQS | ReceiveMessage, DeleteMessage | 2.00 | 2.00 |").expect("text");
    dollars += (2.0 * QUEUE_REQUESTS + INVOCATIONS) / 1e6 + SECONDS_A_LOOK * LAMBDA_SECOND;
    let merge: u64 = tally.merge.values().sum();
    println!(
        "{report}\n{queued} queued, {looks} looks, {:.2} calls to Merge and {dollars:.8} USD a look",
        merge as f64 / looks
    );
    let worker_reads = tally
        .aws
        .iter()
        .filter(|((process, service, action), _)| process == "worker" && service == "DynamoDB" && action != CENSUS);
    let reads: u64 = worker_reads.map(|(_, used)| used.requests).sum();
    // The day's census reads whose each account of Merge's is.
    let of_looks = reads as f64 - CLASSES.iter().map(|(_, count)| *count as f64).sum::<f64>();
    assert!(of_looks / looks <= 4.0, "a look reads {:.2} times", of_looks / looks);
    if std::env::var_os("UPDATE_COSTS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cost-of-polling.md");
        std::fs::write(path, page(&report, dollars, merge as f64 / looks)).expect("the page is written");
    }
}

fn page(report: &str, dollars: f64, calls: f64) -> String {
    let count: usize = CLASSES.iter().map(|(_, count)| count).sum();
    let mut text = format!(
        "# What polling costs\n\n\
         Written by `UPDATE_COSTS=1 cargo test --workspace --test wheel a_day`, from the requests that the production handlers \
         made in a simulated day\nof {count} accounts without a webhook. Every poll was idle: nothing new, nothing written. The \
         poller itself adds one read and one\nwrite a minute, and eighteen queries; the day's census one query for each slot of the wheel: however many \
         accounts there are.\n\n{report}\n\
         Calls to Merge: {calls:.2} a look (sync status, account details, issues); they cost nothing but the plan's rate.\n\n\
         ## A month\n\n\
         US dollars at on-demand prices of us-east-1 ({DATE}), {dollars:.8} a look: DynamoDB reads {READ_UNITS} a million \
         units, SQS\n{QUEUE_REQUESTS} a million requests, KMS {KEY_REQUESTS} a million, Lambda {INVOCATIONS} a million and \
         {SECONDS_A_LOOK} s of 512 MB on arm64 a look, which is mostly waiting\nfor Merge (assumed, not measured). Free tiers and \
         logs are left out.\n\n\
         | polled | looks a month and account | 10,000 accounts | 1,000,000 | 10,000,000 |\n|---|---|---|---|---|\n"
    );
    let mut row = |name: &str, looks: f64| {
        let money = |accounts: f64| accounts * looks * dollars;
        writeln!(text, "| {name} | {looks:.0} | {:.2} | {:.0} | {:.0} |", money(1e4), money(1e6), money(1e7))
            .expect("text");
    };
    let monthly = |class: PollClass| 30.0 * 24.0 * 60.0 / class.minutes() as f64;
    for (name, class) in [
        ("every 5 min: Merge syncs more than hourly", PollClass::FiveMinutes),
        ("every 30 min: Merge syncs more than daily", PollClass::ThirtyMinutes),
        ("hourly: daily syncs, no webhooks seen", PollClass::OneHour),
        ("every 6 h: daily syncs, webhooks arrive", PollClass::SixHours),
        ("daily: resting accounts", PollClass::Daily),
    ] {
        row(name, monthly(class));
    }
    let mixed = 0.05 * monthly(PollClass::ThirtyMinutes)
        + 0.9 * monthly(PollClass::SixHours)
        + 0.05 * monthly(PollClass::Daily);
    row("mixed: 5 % every 30 min, 90 % every 6 h, 5 % daily", mixed);
    text
}
