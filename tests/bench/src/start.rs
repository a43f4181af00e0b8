//! Starting: from the moment a process is made to its first request, and to its first `/next`. Functions that read a
//! secret in their init phase make that request first: to it the start is their own, what comes after depends on where
//! the secrets are.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::contender::Contender;
use crate::platform::{Asked, Platform, Services};
use crate::usage::{least, median, peak_kb};

/// One start.
#[derive(Debug, Clone, Copy)]
struct Start {
    /// Microseconds to the first request of any kind.
    first: f64,
    /// Microseconds to `/next`.
    next: f64,
    /// Peak resident memory by then, in kB.
    peak_kb: u64,
}

/// What many starts came to; times in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Starts {
    pub name: String,
    pub rounds: usize,
    pub first_min: f64,
    pub first_median: f64,
    pub next_min: f64,
    pub next_median: f64,
    pub peak_kb: u64,
}

/// Starts every contender in turn, `rounds` times; the first round warms the caches and is dropped.
pub fn measure(platform: &Platform, contenders: &[Contender], rounds: usize) -> Result<Vec<Starts>, String> {
    let mut starts: Vec<Vec<Start>> = vec![Vec::new(); contenders.len()];
    for round in 0..=rounds {
        for (contender, starts) in contenders.iter().zip(&mut starts) {
            let start = once(platform, contender)?;
            if round > 0 {
                starts.push(start);
            }
        }
    }
    let summed = contenders.iter().zip(starts).map(|(contender, starts)| {
        let first: Vec<f64> = starts.iter().map(|start| start.first).collect();
        let next: Vec<f64> = starts.iter().map(|start| start.next).collect();
        Starts {
            name: contender.name.clone(),
            rounds,
            first_min: least(&first),
            first_median: median(first),
            next_min: least(&next),
            next_median: median(next),
            peak_kb: starts.iter().map(|start| start.peak_kb).max().unwrap_or_default(),
        }
    });
    Ok(summed.collect())
}

fn once(platform: &Platform, contender: &Contender) -> Result<Start, String> {
    platform.prepare(Services::Answer, Vec::new());
    let fault = |why: &str| format!("{} does not start: {why}", contender.name);
    let began = Instant::now();
    let mut child = contender.process().spawn().map_err(|error| fault(&error.to_string()))?;
    let mut first = None;
    let outcome = loop {
        let Some((asked, at)) = platform.next() else { break Err(fault("it asks for nothing")) };
        let after = at.duration_since(began).as_secs_f64() * 1e6;
        let first = *first.get_or_insert(after);
        match asked {
            Asked::Next => break Ok(Start { first, next: after, peak_kb: peak_kb(child.id()) }),
            Asked::Failed => break Err(fault("it says that it failed")),
            _ => {}
        }
    };
    child.kill().and_then(|()| child.wait()).map_err(|error| fault(&error.to_string()))?;
    outcome
}
