//! The first answer: from the moment a process is made to its answer to a genuine webhook, which lies ready. It reads
//! its secret and puts a message on the queue on the way, over TLS where a contender can be told to trust the services
//! here.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::contender::Contender;
use crate::deliveries::{Kind, deliveries};
use crate::platform::{Asked, Platform, Services};
use crate::tls::Secure;
use crate::usage::{least, median};

/// How a contender reaches the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Over {
    /// It asks none.
    Nothing,
    Plain,
    Tls,
}

/// What first answers came to, in microseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FirstAnswers {
    pub name: String,
    pub over: Over,
    pub rounds: usize,
    pub min: f64,
    pub median: f64,
}

/// Lets every contender start and answer in turn, `rounds` times; the first round warms the caches and is dropped.
pub fn measure(
    plain: &Platform,
    secure: &Secure,
    contenders: &[(Contender, Over)],
    rounds: usize,
) -> Result<Vec<FirstAnswers>, String> {
    let mut taken = vec![Vec::new(); contenders.len()];
    for round in 0..=rounds {
        for ((contender, _), taken) in contenders.iter().zip(&mut taken) {
            let microseconds = once(plain, secure, contender)?;
            if round > 0 {
                taken.push(microseconds);
            }
        }
    }
    let answers = contenders.iter().zip(taken).map(|((contender, over), taken)| FirstAnswers {
        name: contender.name.clone(),
        over: *over,
        rounds,
        min: least(&taken),
        median: median(taken),
    });
    Ok(answers.collect())
}

fn once(plain: &Platform, secure: &Secure, contender: &Contender) -> Result<f64, String> {
    plain.prepare(Services::Answer, deliveries(Kind::Genuine, 1));
    secure.platform.prepare(Services::Answer, Vec::new());
    let fault = |why: &str| format!("the first answer of {}: {why}", contender.name);
    let began = Instant::now();
    let mut child = contender.process().spawn().map_err(|error| fault(&error.to_string()))?;
    let outcome = loop {
        match plain.next() {
            None => break Err(fault("it does not come")),
            Some((Asked::Failed, _)) => break Err(fault("it says that it failed")),
            Some((Asked::Answered(200), at)) => break Ok(at.duration_since(began).as_secs_f64() * 1e6),
            Some((Asked::Answered(status), _)) => break Err(fault(&format!("it is {status}"))),
            Some(_) => {}
        }
    };
    child.kill().and_then(|()| child.wait()).map_err(|error| fault(&error.to_string()))?;
    outcome
}
