//! Permissions: what every function was seen to need of AWS in this run, and the tests that were running when it first
//! did. Written to `target/e2e-permissions.json`, where `infra/checks/after_e2e.py` compares it with the template: a
//! permission that no test needs is a permission too many.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use local_stack::Stack;
use local_stack::deployment::Deployment;
use serde_json::{Value, json};

use super::setup::root;

/// Function, action, and resource as the template calls it: `("poller", "dynamodb:Query", "AccountsTable/index/due")`.
type Permission = (String, String, String);

/// Of all stacks of this process: which tests were running when a permission was first needed on a stack.
static SEEN: Mutex<BTreeMap<Permission, BTreeSet<String>>> = Mutex::new(BTreeMap::new());

/// What one stack has shown so far.
pub struct Watch {
    attributed: BTreeSet<Permission>,
}

impl Watch {
    pub const fn new() -> Self {
        Self { attributed: BTreeSet::new() }
    }

    /// Notes what was needed since the last look; `running` are the tests that may have caused it.
    pub fn look(&mut self, stack: &Stack, running: &[String]) {
        let fresh: Vec<_> =
            used(stack).into_iter().filter(|permission| !self.attributed.contains(permission)).collect();
        let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
        for permission in fresh {
            seen.entry(permission.clone()).or_default().extend(running.iter().cloned());
            self.attributed.insert(permission);
        }
    }
}

/// Writes what was seen so far, in place of what was written before.
pub fn write() {
    let seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = seen.iter().map(|((function, action, resource), tests)| {
        json!({"function": function, "action": action, "resource": resource, "tests": tests})
    });
    let text = Value::Array(rows.collect()).to_string();
    let (file, draft) = (target().join("e2e-permissions.json"), target().join("e2e-permissions.draft"));
    let written = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, &file));
    written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// Cargo's target directory: the binaries stand in its `debug`.
fn target() -> PathBuf {
    root().join("target")
}

fn used(stack: &Stack) -> BTreeSet<Permission> {
    let Some(aws) = stack.aws() else {
        return BTreeSet::new();
    };
    let by_function = aws.permissions_used().into_iter().map(|(access_key, permissions)| {
        let function = access_key.trim_start_matches("local-").to_owned();
        permissions.into_iter().map(move |needed| (function.clone(), needed.action, needed.resource))
    });
    let of = |(function, action, resource): Permission| {
        let resource = logical(stack.deployment(), &resource).unwrap_or(resource);
        (function, action, resource)
    };
    by_function.flatten().map(of).collect()
}

/// A resource as the template calls it: `AccountsTable`, `AccountsTable/index/due`, `SyncQueue`.
fn logical(deployment: &Deployment, resource: &str) -> Option<String> {
    if let Some((_, named)) = resource.split_once(":table/") {
        let (name, index) = named.split_once('/').map_or((named, ""), |(name, _)| (name, &named[name.len()..]));
        let table = deployment.tables.iter().find(|table| table.name == name)?;
        return Some(format!("{}{index}", table.logical_id));
    }
    // Keys that were given in the place of the stack's own, by the parameters of the template.
    for (variable, named) in [("PREVIOUS_TOKEN_KEY", "PreviousTokenKeyArn"), ("TOKEN_KEY", "TokenKey")] {
        if deployment
            .functions
            .iter()
            .any(|function| function.environment.get(variable).is_some_and(|key| key == resource))
        {
            return Some(named.to_owned());
        }
    }
    let queues = deployment.queues.iter().map(|queue| (&queue.arn, &queue.logical_id));
    let keys = deployment.keys.iter().map(|key| (&key.arn, &key.logical_id));
    let secrets = deployment.secrets.iter().map(|secret| (&secret.name, &secret.logical_id));
    let buses = deployment.event_buses.iter().map(|bus| (&bus.arn, &bus.logical_id));
    let mut known = queues.chain(keys).chain(secrets).chain(buses);
    known.find(|(physical, _)| *physical == resource).map(|(_, logical_id)| logical_id.clone())
}
