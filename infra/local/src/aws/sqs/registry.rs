//! The registry: all queues of the account with the actions that create, describe and delete them.
//! Every change is written to the journal, when there is one, before the caller is answered.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::input::{Input, not_found};
use super::journal::{Entry, Journal};
use super::message::Millis;
use super::queue::Queue;
use super::settings::Settings;
use crate::aws::fault::Fault;

/// Where queues live: what their URLs and ARNs are made of.
#[derive(Debug, Clone)]
pub struct Home {
    /// Endpoint without a trailing slash.
    pub endpoint: String,
    pub region: String,
    pub account_id: String,
}

impl Home {
    pub fn url(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.endpoint, self.account_id)
    }

    pub fn arn(&self, name: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{name}", self.region, self.account_id)
    }
}

/// All queues of an account.
pub struct Registry {
    pub(super) home: Home,
    pub(super) queues: BTreeMap<String, Queue>,
    journal: Option<Journal>,
    /// Makes message ids.
    pub(super) ids: Box<dyn FnMut() -> String + Send>,
    /// A message came to a dead-letter queue since it was last asked.
    pub(super) buried: bool,
}

impl Registry {
    /// The queues that the journal tells of, or none.
    pub fn new(
        home: Home,
        stored: Option<(Journal, BTreeMap<String, Queue>)>,
        ids: Box<dyn FnMut() -> String + Send>,
    ) -> Self {
        let (journal, queues) = match stored {
            Some((journal, queues)) => (Some(journal), queues),
            None => (None, BTreeMap::new()),
        };
        Self { home, queues, journal, ids, buried: false }
    }

    /// Runs an action other than `ReceiveMessage`.
    ///
    /// # Errors
    ///
    /// SQS's own faults; nothing was changed then.
    pub fn handle(&mut self, action: &str, input: &Input, sender: &str, now: Millis) -> Result<Value, Fault> {
        let answer = match action {
            "CreateQueue" => self.create(input)?,
            "DeleteQueue" => self.delete_queue(input)?,
            "GetQueueUrl" => self.get_url(input)?,
            "ListQueues" => self.list(input),
            "GetQueueAttributes" => self.get_attributes(input, now)?,
            "SetQueueAttributes" => self.set_attributes(input)?,
            "PurgeQueue" => self.purge(input)?,
            "SendMessage" => self.send(input, sender, now)?,
            "SendMessageBatch" => self.send_batch(input, sender, now)?,
            "DeleteMessage" => self.delete(input, now)?,
            "DeleteMessageBatch" => self.delete_batch(input, now)?,
            "ChangeMessageVisibility" => self.change_visibility(input, now)?,
            "ChangeMessageVisibilityBatch" => self.change_visibility_batch(input, now)?,
            other => return Err(Fault::unknown_operation("SQS", other)),
        };
        self.shorten_journal()?;
        Ok(answer)
    }

    /// Whether a message came to a dead-letter queue since this was last asked.
    pub fn take_buried(&mut self) -> bool {
        std::mem::take(&mut self.buried)
    }

    /// Writes an entry to the journal.
    pub(super) fn record(&mut self, entry: Entry) -> Result<(), Fault> {
        match &mut self.journal {
            None => Ok(()),
            Some(journal) => {
                journal.append(&entry).map_err(|error| Fault::internal(format!("the queue journal: {error}")))
            }
        }
    }

    fn shorten_journal(&mut self) -> Result<(), Fault> {
        match &mut self.journal {
            Some(journal) if journal.is_long() => {
                journal.rewrite(&self.queues).map_err(|error| Fault::internal(format!("the queue journal: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// The queue that `QueueUrl` names, by its name alone: hosts differ between callers.
    pub(super) fn queue(&mut self, input: &Input) -> Result<(String, &mut Queue), Fault> {
        let name = input.queue_name()?;
        match self.queues.get_mut(&name) {
            Some(queue) => Ok((name, queue)),
            None => Err(not_found()),
        }
    }

    fn create(&mut self, input: &Input) -> Result<Value, Fault> {
        let name = input.text("QueueName")?;
        let stem = name.strip_suffix(".fifo").unwrap_or(name);
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if stem.is_empty() || name.len() > 80 || !stem.chars().all(allowed) {
            return Err(Fault::client(
                "InvalidParameterValue",
                "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
            ));
        }
        let settings = Settings::parse(name, &input.texts_by_name("Attributes")?)?;
        let answer = json!({ "QueueUrl": self.home.url(name) });
        if let Some(queue) = self.queues.get(name) {
            let described = queue.settings.described();
            let same = settings.attributes.iter().all(|(key, value)| described.get(key) == Some(value));
            return if same {
                Ok(answer)
            } else {
                Err(Fault::client(
                    "QueueNameExists",
                    "A queue already exists with the same name and a different value for an attribute",
                ))
            };
        }
        self.record(Entry::Queue { name: name.to_owned(), attributes: settings.attributes.clone(), last_sequence: 0 })?;
        self.queues.insert(name.to_owned(), Queue::new(settings));
        Ok(answer)
    }

    fn delete_queue(&mut self, input: &Input) -> Result<Value, Fault> {
        let (name, _) = self.queue(input)?;
        self.record(Entry::QueueDeleted { name: name.clone() })?;
        self.queues.remove(&name);
        Ok(json!({}))
    }

    fn get_url(&self, input: &Input) -> Result<Value, Fault> {
        let name = input.text("QueueName")?;
        if self.queues.contains_key(name) { Ok(json!({ "QueueUrl": self.home.url(name) })) } else { Err(not_found()) }
    }

    fn list(&self, input: &Input) -> Value {
        let prefix = input.optional_text("QueueNamePrefix").unwrap_or_default();
        let names = self.queues.keys().filter(|name| name.starts_with(prefix));
        json!({ "QueueUrls": names.map(|name| self.home.url(name)).collect::<Vec<_>>() })
    }

    fn get_attributes(&mut self, input: &Input, now: Millis) -> Result<Value, Fault> {
        let wanted: Vec<String> = input.list("AttributeNames")?;
        self.expire(input, now)?;
        let name = input.queue_name()?;
        let queue = self.queues.get(&name).ok_or_else(not_found)?;
        let mut all = queue.settings.described();
        let counts = queue.counts(now);
        for (attribute, value) in [
            ("ApproximateNumberOfMessages", counts.visible.to_string()),
            ("ApproximateNumberOfMessagesNotVisible", counts.in_flight.to_string()),
            ("ApproximateNumberOfMessagesDelayed", counts.delayed.to_string()),
            ("QueueArn", self.home.arn(&name)),
        ] {
            all.insert(attribute.to_owned(), value);
        }
        all.retain(|attribute, _| wanted.iter().any(|name| name == "All" || name == attribute));
        Ok(json!({ "Attributes": all }))
    }

    fn set_attributes(&mut self, input: &Input) -> Result<Value, Fault> {
        let changes = input.texts_by_name("Attributes")?;
        let (name, queue) = self.queue(input)?;
        let mut attributes = queue.settings.attributes.clone();
        attributes.extend(changes);
        let settings = Settings::parse(&name, &attributes)?;
        let last_sequence = queue.last_sequence();
        self.record(Entry::Queue { name: name.clone(), attributes: settings.attributes.clone(), last_sequence })?;
        if let Some(queue) = self.queues.get_mut(&name) {
            queue.settings = settings;
        }
        Ok(json!({}))
    }

    fn purge(&mut self, input: &Input) -> Result<Value, Fault> {
        let (name, _) = self.queue(input)?;
        self.record(Entry::Purged { name: name.clone() })?;
        if let Some(queue) = self.queues.get_mut(&name) {
            queue.purge();
        }
        Ok(json!({}))
    }

    /// Deletes what has outlived the retention period of the queue that `input` names.
    pub(super) fn expire(&mut self, input: &Input, now: Millis) -> Result<(), Fault> {
        let (name, queue) = self.queue(input)?;
        let sequences = queue.expire(now);
        if sequences.is_empty() {
            return Ok(());
        }
        self.record(Entry::Gone { queue: name, sequences })
    }
}
