//! EventBridge: `PutEvents` onto buses that exist. Events are kept in memory for whoever tests what
//! was published; there are no rules.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::fault::Fault;

/// EventBridge's largest `PutEvents` entry, in bytes.
const LARGEST_ENTRY: usize = 262_144;

/// The EventBridge service of one stack.
pub struct EventBridge {
    region: String,
    account_id: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    buses: BTreeSet<String>,
    events: Vec<Value>,
}

impl EventBridge {
    pub fn new(region: &str, account_id: &str) -> Self {
        Self { region: region.to_owned(), account_id: account_id.to_owned(), state: Mutex::new(State::default()) }
    }

    /// Every event accepted so far, as its `PutEvents` entry plus `Id`.
    pub fn events(&self) -> Vec<Value> {
        self.lock().events.clone()
    }

    /// Runs an action with the JSON body `input`.
    pub fn call(&self, action: &str, input: &Value) -> Result<Value, Fault> {
        match action {
            "PutEvents" => self.put(input),
            "CreateEventBus" => {
                let name = name_of(input)?;
                if !self.lock().buses.insert(name.clone()) {
                    return Err(Fault::client(
                        "ResourceAlreadyExistsException",
                        format!("Event bus {name} already exists."),
                    ));
                }
                Ok(json!({ "EventBusArn": self.arn(&name) }))
            }
            "DescribeEventBus" => {
                let name = input["Name"].as_str().unwrap_or("default").to_owned();
                if !self.knows(&name) {
                    return Err(Fault::client(
                        "ResourceNotFoundException",
                        format!("Event bus {name} does not exist."),
                    ));
                }
                Ok(json!({ "Name": name, "Arn": self.arn(&name) }))
            }
            "DeleteEventBus" => {
                self.lock().buses.remove(&name_of(input)?);
                Ok(json!({}))
            }
            "ListEventBuses" => {
                let names: Vec<String> = self.lock().buses.iter().cloned().collect();
                let buses = names.iter().map(|name| json!({ "Name": name, "Arn": self.arn(name) }));
                Ok(json!({ "EventBuses": buses.collect::<Vec<_>>() }))
            }
            other => Err(Fault::unknown_operation("EventBridge", other)),
        }
    }

    fn put(&self, input: &Value) -> Result<Value, Fault> {
        let entries = input["Entries"].as_array().filter(|entries| (1..=10).contains(&entries.len()));
        let entries = entries.ok_or_else(|| {
            Fault::client(
                "ValidationException",
                "1 validation error detected: Value at 'entries' failed to satisfy constraint: \
                 Member must have length between 1 and 10",
            )
        })?;
        let mut failed = 0;
        let mut answers = Vec::with_capacity(entries.len());
        for entry in entries {
            match self.accept(entry) {
                Ok(id) => answers.push(json!({ "EventId": id })),
                Err(fault) => {
                    failed += 1;
                    answers.push(json!({ "ErrorCode": fault.code, "ErrorMessage": fault.message }));
                }
            }
        }
        Ok(json!({ "FailedEntryCount": failed, "Entries": answers }))
    }

    fn accept(&self, entry: &Value) -> Result<String, Fault> {
        for key in ["Source", "DetailType", "Detail"] {
            if entry[key].as_str().is_none_or(str::is_empty) {
                return Err(Fault::client(
                    "InvalidArgument",
                    format!("Parameter {key} is not valid. Reason: {key} is a required argument."),
                ));
            }
        }
        let detail = entry["Detail"].as_str().unwrap_or_default();
        if !serde_json::from_str::<Value>(detail).is_ok_and(|detail| detail.is_object()) {
            return Err(Fault::client("MalformedDetail", "Detail is malformed."));
        }
        if entry.to_string().len() > LARGEST_ENTRY {
            return Err(Fault::client("ValidationException", "Total size of the entry is too large."));
        }
        let bus = entry["EventBusName"].as_str().unwrap_or("default");
        let name = bus.rsplit('/').next().unwrap_or(bus);
        if !self.knows(name) {
            return Err(Fault::client("ResourceNotFoundException", format!("Event bus {name} does not exist.")));
        }
        let id = uuid::Uuid::new_v4().to_string();
        let mut event = entry.clone();
        event["Id"] = Value::from(id.clone());
        self.lock().events.push(event);
        Ok(id)
    }

    fn knows(&self, name: &str) -> bool {
        name == "default" || self.lock().buses.contains(name)
    }

    fn arn(&self, name: &str) -> String {
        format!("arn:aws:events:{}:{}:event-bus/{name}", self.region, self.account_id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(input: &Value) -> Result<String, Fault> {
    let name = input["Name"].as_str().filter(|name| !name.is_empty());
    name.map(str::to_owned).ok_or_else(|| Fault::client("ValidationException", "Name must have a length of at least 1"))
}
