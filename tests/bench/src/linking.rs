//! Linking: link tokens and exchanges of one process that has started, ours and Python's. They ask the tables, the key
//! and the queue of a local stack and its simulated Merge, whose time is in the latency of both; processor time is
//! their own.

use std::path::{Path, PathBuf};
use std::time::Duration;

use local_stack::lambda::Invocation;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::contender::Contender;
use crate::deliveries::{Kind, request};
use crate::platform::Platform;
use crate::serving::{Served, Work, once};
use crate::system::{MODEL, System, text};

/// Events before the counting begins.
const WARM: usize = 5;
const LINK_TOKENS: &str = "/v1/link-tokens";
const ACCOUNTS: &str = "/v1/linked-accounts";
const CATEGORY: &str = "hris";

/// Where all of it runs.
pub struct Place<'a> {
    pub root: &'a Path,
    pub functions: &'a std::collections::BTreeMap<String, PathBuf>,
    pub interpreter: &'a Path,
    pub platform: &'a Platform,
    pub runtime: &'a Runtime,
}

/// Lets `link-token`, `exchange` and their namesakes in Python work in turn, `rounds` times, each time as a new
/// process.
pub fn measure(place: &Place<'_>, ours: &[Contender], rounds: usize, events: usize) -> Result<Vec<Served>, String> {
    let Place { root, functions, interpreter, platform, runtime } = place;
    // One record an account: their first syncs go on beside this.
    let system = runtime.block_on(System::start(root, functions, &[MODEL], 1, Duration::ZERO))?;
    let address = platform.address.to_string();
    let mut pairs = Vec::new();
    for (kind, binary, handler) in
        [(Kind::LinkToken, "link-token", "link_token"), (Kind::Exchange, "exchange", "exchange")]
    {
        let named = ours.iter().find(|contender| contender.name == binary);
        let named = named.ok_or_else(|| format!("{binary} was not built"))?;
        pairs.push((system.function(named)?, kind));
        pairs.push((system.python(root, interpreter, &address, handler), kind));
    }
    let mut taken: Vec<Vec<_>> = pairs.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for ((contender, kind), taken) in pairs.iter().zip(&mut taken) {
            let mut given = Vec::new();
            for n in 0..WARM + events {
                given.push(match kind {
                    // One attempt, taken up again and again.
                    Kind::LinkToken => {
                        request(LINK_TOKENS, &format!("org_{}", contender.name), &json!({"category": CATEGORY}))
                    }
                    _ => {
                        let organization = format!("org_{}_{round}_{n}", contender.name);
                        runtime.block_on(attempt(&system, &organization))?
                    }
                });
            }
            let events = given.iter().map(Value::to_string).collect();
            taken.push(once(platform, contender, Work { kind: *kind, warm: WARM, events })?);
        }
    }
    runtime.block_on(system.stack.stop());
    Ok(pairs.iter().zip(taken).map(|((contender, kind), taken)| Served::of(contender, *kind, taken)).collect())
}

/// Goes through the dialog for an organization; the exchange that it would ask for then.
async fn attempt(system: &System, organization: &str) -> Result<Value, String> {
    let wanted = request(LINK_TOKENS, organization, &json!({"category": CATEGORY}));
    let answer = match system.stack.invoke("link-token", wanted).await {
        Invocation::Response(answer) => answer,
        failed => return Err(format!("no link token: {failed:?}")),
    };
    let answer: Value = serde_json::from_slice(&answer).map_err(|error| error.to_string())?;
    let body: Value = serde_json::from_str(&text(&answer, "body")).map_err(|error| error.to_string())?;
    let dialog = json!({"link_token": body["link_token"], "integration_slug": "bamboohr", "outcome": "success"});
    let ended = system.sandbox("/link", dialog).await?;
    let exchange = json!({"public_token": ended["public_token"], "category": CATEGORY});
    Ok(request(ACCOUNTS, organization, &exchange))
}
