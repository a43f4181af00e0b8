//! Serving: what one event takes of a process that has started: the time from the event to its answer, and processor
//! time. For webhooks the queue answers at once, so that the time is the function's own.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::contender::Contender;
use crate::deliveries::{Kind, deliveries};
use crate::platform::{Asked, Platform, Services};
use crate::usage::{cpu_ns, least, median};

/// What events of one kind came to; times in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Served {
    pub name: String,
    pub kind: Kind,
    pub rounds: usize,
    /// Events of a round; results before this name was given counted webhooks.
    #[serde(alias = "webhooks")]
    pub events: usize,
    pub latency_min: f64,
    pub latency_median: f64,
    /// Processor time of one, in the best round and in the middle one.
    pub cpu_min: f64,
    pub cpu_median: f64,
    /// That one process answers, one after the other, in the middle round.
    #[serde(default)]
    pub per_second: f64,
}

/// What a process is given: so many events before the counting begins, then those that count.
pub struct Work {
    pub kind: Kind,
    pub warm: usize,
    pub events: Vec<String>,
}

/// What one process did.
pub struct Round {
    latencies: Vec<f64>,
    cpu: f64,
    per_second: f64,
}

/// Webhooks before the counting begins.
const WARM: usize = 50;

/// Lets every contender serve both kinds of webhooks in turn, `rounds` times, each time with a new process.
pub fn measure(
    platform: &Platform,
    contenders: &[Contender],
    rounds: usize,
    webhooks: usize,
) -> Result<Vec<Served>, String> {
    let pairs: Vec<_> =
        contenders.iter().flat_map(|contender| [(contender, Kind::Genuine), (contender, Kind::Forged)]).collect();
    let mut taken: Vec<Vec<Round>> = pairs.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for ((contender, kind), taken) in pairs.iter().zip(&mut taken) {
            let work = Work { kind: *kind, warm: WARM, events: deliveries(*kind, WARM + webhooks) };
            taken.push(once(platform, contender, work)?);
        }
    }
    Ok(pairs.iter().zip(taken).map(|((contender, kind), taken)| Served::of(contender, *kind, taken)).collect())
}

impl Served {
    /// What the rounds came to.
    pub fn of(contender: &Contender, kind: Kind, rounds: Vec<Round>) -> Self {
        let each = |of: fn(&Round) -> f64| rounds.iter().map(of).collect::<Vec<f64>>();
        let (cpu, per_second) = (each(|round| round.cpu), each(|round| round.per_second));
        let latencies: Vec<f64> = rounds.iter().flat_map(|round| &round.latencies).copied().collect();
        Self {
            name: contender.name.clone(),
            kind,
            rounds: rounds.len(),
            events: rounds.first().map_or(0, |round| round.latencies.len()),
            latency_min: least(&latencies),
            latency_median: median(latencies),
            cpu_min: least(&cpu),
            cpu_median: median(cpu),
            per_second: median(per_second),
        }
    }
}

/// Lets one new process do the work.
pub fn once(platform: &Platform, contender: &Contender, work: Work) -> Result<Round, String> {
    let Work { kind, warm, events } = work;
    let counted = events.len() - warm;
    platform.prepare(Services::Answer, events);
    let fault = |why: &str| format!("{}: {why}", contender.name);
    let mut child = contender.process().spawn().map_err(|error| fault(&error.to_string()))?;
    let mut latencies = Vec::with_capacity(counted);
    let (mut nexts, mut given, mut before) = (0, Instant::now(), (Instant::now(), 0));
    let outcome = loop {
        match platform.next() {
            None => break Err(fault("it does not answer")),
            Some((Asked::Failed, _)) => break Err(fault("it says that it failed")),
            Some((Asked::Given, at)) => given = at,
            Some((Asked::Answered(status), _)) if status != contender.answers(kind) => {
                break Err(fault(&format!("it answers {status} to a {}", kind.title())));
            }
            Some((Asked::Answered(_), at)) if nexts > warm => {
                latencies.push(at.duration_since(given).as_secs_f64() * 1e6);
            }
            Some((Asked::Next, at)) => {
                nexts += 1;
                if nexts == warm + 1 {
                    before = (at, cpu_ns(child.id()));
                }
                if nexts == warm + counted + 1 {
                    let cpu = (cpu_ns(child.id()) - before.1) as f64 / 1e3 / counted as f64;
                    let per_second = counted as f64 / at.duration_since(before.0).as_secs_f64();
                    break Ok((cpu, per_second));
                }
            }
            Some(_) => {}
        }
    };
    child.kill().and_then(|()| child.wait()).map_err(|error| fault(&error.to_string()))?;
    outcome.map(|(cpu, per_second)| Round { latencies, cpu, per_second })
}
