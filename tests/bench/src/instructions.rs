//! Instructions: what starting and answering cost by callgrind's count, which is the same on a busy machine and on a
//! quiet one.

use std::path::Path;
use std::process::Child;

use serde::{Deserialize, Serialize};

use crate::contender::Contender;
use crate::deliveries::{Kind, deliveries};
use crate::platform::{Asked, Platform, Services};

/// What a contender executes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Instructions {
    pub name: String,
    /// To the first request of any kind.
    pub first: u64,
    /// To `/next`, services answering at once and without TLS.
    pub next: u64,
}

/// What a contender executes for one more webhook.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PerWebhook {
    pub name: String,
    pub genuine: u64,
    pub forged: u64,
}

/// Counts a start of each contender, once to its first request and once to `/next`.
pub fn starts(platform: &Platform, contenders: &[Contender], scratch: &Path) -> Result<Vec<Instructions>, String> {
    let count = |contender: &Contender| {
        platform.prepare(Services::Hold, Vec::new());
        let first = until(platform, contender, scratch, |_| true)?;
        platform.prepare(Services::Answer, Vec::new());
        let next = until(platform, contender, scratch, |asked| asked == Asked::Next)?;
        Ok(Instructions { name: contender.name.clone(), first, next })
    };
    contenders.iter().map(count).collect()
}

/// Webhooks between the two counts, and before them.
const FEW: usize = 20;
const MANY: usize = 120;

/// Counts what each contender executes for a hundred webhooks after twenty.
pub fn webhooks(platform: &Platform, contenders: &[Contender], scratch: &Path) -> Result<Vec<PerWebhook>, String> {
    let count = |contender: &Contender, kind: Kind| {
        let after = |count: usize| {
            platform.prepare(Services::Answer, deliveries(kind, count));
            let mut nexts = 0;
            until(platform, contender, scratch, move |asked| {
                nexts += usize::from(asked == Asked::Next);
                nexts > count
            })
        };
        let (few, many) = (after(FEW)?, after(MANY)?);
        Ok::<_, String>(many.saturating_sub(few) / (MANY - FEW) as u64)
    };
    let each = |contender: &Contender| {
        Ok(PerWebhook {
            name: contender.name.clone(),
            genuine: count(contender, Kind::Genuine)?,
            forged: count(contender, Kind::Forged)?,
        })
    };
    contenders.iter().map(each).collect()
}

/// The instructions of a contender until it has done what `reached` waits for. The platform is prepared by then.
pub fn until(
    platform: &Platform,
    contender: &Contender,
    scratch: &Path,
    mut reached: impl FnMut(Asked) -> bool,
) -> Result<u64, String> {
    let fault = |why: &str| format!("callgrind and {}: {why}", contender.name);
    let out = scratch.join("callgrind.out");
    let program = ["valgrind", "--tool=callgrind"].map(str::to_owned);
    let program = program.into_iter().chain([format!("--callgrind-out-file={}", out.display())]);
    let mut command = contender.process_under(&program.collect::<Vec<_>>());
    let mut child = command.spawn().map_err(|error| fault(&error.to_string()))?;
    let outcome = loop {
        match platform.next() {
            None => break Err(fault("it asks for nothing")),
            Some((Asked::Failed, _)) => break Err(fault("it says that it failed")),
            Some((asked, _)) if reached(asked) => break Ok(()),
            Some(_) => {}
        }
    };
    end(&mut child).map_err(|error| fault(&error.to_string()))?;
    outcome?;
    let counted = std::fs::read_to_string(&out).map_err(|error| fault(&error.to_string()))?;
    let total = counted.lines().find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")));
    total.and_then(|total| total.trim().parse().ok()).ok_or_else(|| fault("no total"))
}

/// A process that is asked to end writes what it has counted; it does nothing else while it waits for an answer.
fn end(child: &mut Child) -> std::io::Result<()> {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    child.wait().map(|_| ())
}
