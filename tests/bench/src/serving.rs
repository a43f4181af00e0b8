//! Serving: what one webhook takes of a process that has started: the time from the event to its answer, and processor
//! time. The queue answers at once, so that the time is the function's own.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::contender::Contender;
use crate::deliveries::{Kind, deliveries};
use crate::platform::{Asked, Platform, Services};
use crate::usage::{cpu_ns, least, median};

/// What webhooks of one kind came to, in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Served {
    pub name: String,
    pub kind: Kind,
    pub rounds: usize,
    /// Webhooks of a round.
    pub webhooks: usize,
    pub latency_min: f64,
    pub latency_median: f64,
    /// Processor time of one, in the best round and in the middle one.
    pub cpu_min: f64,
    pub cpu_median: f64,
}

/// Webhooks before the counting begins.
const WARM: usize = 50;
const WEBHOOKS: usize = 500;

/// Lets every contender serve both kinds in turn, `rounds` times, each time with a new process.
pub fn measure(platform: &Platform, contenders: &[Contender], rounds: usize) -> Result<Vec<Served>, String> {
    let pairs: Vec<_> =
        contenders.iter().flat_map(|contender| [(contender, Kind::Genuine), (contender, Kind::Forged)]).collect();
    let mut taken: Vec<(Vec<f64>, Vec<f64>)> = vec![Default::default(); pairs.len()];
    for _ in 0..rounds {
        for ((contender, kind), (latencies, cpu)) in pairs.iter().zip(&mut taken) {
            let (of_round, of_each) = once(platform, contender, *kind)?;
            latencies.extend(of_round);
            cpu.push(of_each);
        }
    }
    let served = pairs.iter().zip(taken).map(|((contender, kind), (latencies, cpu))| Served {
        name: contender.name.clone(),
        kind: *kind,
        rounds,
        webhooks: WEBHOOKS,
        latency_min: least(&latencies),
        latency_median: median(latencies),
        cpu_min: least(&cpu),
        cpu_median: median(cpu),
    });
    Ok(served.collect())
}

/// The latencies of one process's webhooks, and its processor time for each.
fn once(platform: &Platform, contender: &Contender, kind: Kind) -> Result<(Vec<f64>, f64), String> {
    platform.prepare(Services::Answer, deliveries(kind, WARM + WEBHOOKS));
    let fault = |why: &str| format!("{}: {why}", contender.name);
    let mut child = contender.process().spawn().map_err(|error| fault(&error.to_string()))?;
    let mut latencies = Vec::with_capacity(WEBHOOKS);
    let (mut nexts, mut given, mut before) = (0, Instant::now(), 0);
    let outcome = loop {
        match platform.next() {
            None => break Err(fault("it does not answer")),
            Some((Asked::Failed, _)) => break Err(fault("it says that it failed")),
            Some((Asked::Given, at)) => given = at,
            Some((Asked::Answered(status), _)) if status != contender.answers(kind) => {
                break Err(fault(&format!("it answers {status} to a {kind:?} webhook")));
            }
            Some((Asked::Answered(_), at)) if nexts > WARM => {
                latencies.push(at.duration_since(given).as_secs_f64() * 1e6);
            }
            Some((Asked::Next, _)) => {
                nexts += 1;
                if nexts == WARM + 1 {
                    before = cpu_ns(child.id());
                }
                if nexts == WARM + WEBHOOKS + 1 {
                    break Ok((cpu_ns(child.id()) - before) as f64 / 1e3 / WEBHOOKS as f64);
                }
            }
            Some(_) => {}
        }
    };
    child.kill().and_then(|()| child.wait()).map_err(|error| fault(&error.to_string()))?;
    outcome.map(|cpu| (latencies, cpu))
}
