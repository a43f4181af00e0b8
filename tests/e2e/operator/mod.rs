//! The operator's tool on a running stack: what it says about states that were broken on purpose, and that its repairs
//! repair them. Run as its binary runs it, in this process; `infra/ops/tests` runs the binary itself.

mod brake;
mod doctor;
mod export;
mod interrupted;
mod kms_key;
mod letters;
mod lists;
pub mod memory;
mod orphans;
mod process;
mod relay;
mod replay;
mod rotate;
mod webhooks;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::types::AttributeValue;
use ops::cli::Cli;
use ops::output::Output;
use serde_json::Value;

use crate::harness::tables::text;
use crate::harness::{BOUND, Connected, System, until};

/// What the tool said, and the code it ended with.
#[derive(Debug)]
struct Said {
    code: u8,
    text: String,
}

impl Said {
    /// One JSON value per line.
    fn lines(&self) -> Vec<Value> {
        let lines = self.text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The one JSON value.
    fn value(&self) -> Value {
        let mut lines = self.lines();
        assert_eq!(lines.len(), 1, "{}", self.text);
        lines.remove(0)
    }

    #[track_caller]
    fn expect(self, code: u8) -> Self {
        assert_eq!(self.code, code, "{}", self.text);
        self
    }
}

/// Takes what a command writes.
#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `tether` on a stack. No secret is ever in its answer.
async fn tether(system: &System, arguments: &[&str]) -> Said {
    let said = tether_that_may_say(system, arguments, &[]).await;
    assert!(!said.text.contains("\u{1b}["), "colour is for terminals: {}", said.text);
    said
}

/// The same of a command whose purpose is to hand out `allowed`.
async fn tether_that_may_say(system: &System, arguments: &[&str], allowed: &[&str]) -> Said {
    let base = system.ready().port_base.to_string();
    let line = ["tether", "--local", "--port-base", &base].into_iter().chain(arguments.iter().copied());
    let cli = Cli::of(line).unwrap_or_else(|error| panic!("{error}"));
    let captured = Captured::default();
    let code = ops::run(cli, &Output::to(captured.clone(), arguments.contains(&"--json"))).await;
    let bytes = captured.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = String::from_utf8(bytes).expect("text");
    assert_eq!(system.secrets().found_in(&text, allowed), None, "{arguments:?}: {text}");
    Said { code, text }
}

/// What the doctor found: check and model, each once.
async fn findings(system: &System, arguments: &[&str]) -> (u8, BTreeSet<(String, String)>) {
    let line: Vec<_> = ["doctor", "--json"].into_iter().chain(arguments.iter().copied()).collect();
    let said = tether(system, &line).await;
    let report = said.value();
    let found = report["findings"].as_array().unwrap_or_else(|| panic!("{report}"));
    let word = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let named: Vec<_> = found.iter().map(|finding| (word(finding, "check"), word(finding, "model"))).collect();
    let distinct: BTreeSet<_> = named.iter().cloned().collect();
    assert_eq!(distinct.len(), named.len(), "nothing is said twice: {report:#}");
    (said.code, distinct)
}

/// One finding, as `findings` names it.
fn one(check: &str, model: &str) -> BTreeSet<(String, String)> {
    BTreeSet::from([(check.to_owned(), model.to_owned())])
}

/// Keeps the poller and webhooks away from an account, as while it waits for Merge, so that nothing mends it meanwhile.
async fn undisturbed(system: &System, organization: &str, account: &Connected) {
    let far = AttributeValue::S("at#99999999".to_owned());
    system.tables().set(&format!("ORG#{organization}"), &format!("ACCOUNT#{}", account.id), "due", far).await;
}

/// Waits until the account's timeline has an event of this kind by the operator, and gives its facts.
async fn operators_event(system: &System, account: &Connected, kind: &str) -> Value {
    until(&format!("the timeline says {kind}"), BOUND, async || {
        let shown = tether(system, &["account", &account.id, "--events", "1000", "--json"]).await.expect(0).value();
        let events = shown["events"].as_array().cloned().unwrap_or_default();
        let by_operator = |event: &Value| event["actor"].as_str().is_some_and(|actor| actor.starts_with("operator:"));
        let found = events.iter().find(|event| event["type"] == kind && by_operator(event));
        found.map(|event| event["detail"].clone()).ok_or_else(|| shown["events"].to_string())
    })
    .await
}

/// The sort keys of an account's rows of one kind.
async fn rows(system: &System, account: &Connected, prefix: &str) -> Vec<String> {
    let items = system.tables().partition(&format!("ACCOUNT#{}", account.id)).await;
    let mut keys: Vec<_> = items.iter().map(|item| text(item, "sk")).filter(|sk| sk.starts_with(prefix)).collect();
    keys.sort();
    keys
}
