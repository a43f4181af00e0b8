//! The actions on messages: send, receive, delete, change visibility, and their batches.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::input::{Input, invalid, missing, not_found, receipt_handle};
use super::journal::Entry;
use super::message::{Content, Message, Millis, md5_of_attributes, md5_of_body, received, sequence_number};
use super::queue::{Accepted, Deletion, Receipt, VisibilityChange};
use super::registry::Registry;
use super::settings::{LARGEST_MESSAGE, Settings};
use crate::aws::fault::Fault;

/// The longest visibility timeout, in seconds.
const LONGEST_VISIBILITY: u64 = 43_200;

impl Registry {
    pub(super) fn send(&mut self, input: &Input, sender: &str, now: Millis) -> Result<Value, Fault> {
        let name = input.queue_name()?;
        self.send_to(&name, input, sender, now)
    }

    pub(super) fn send_batch(&mut self, input: &Input, sender: &str, now: Millis) -> Result<Value, Fault> {
        let (name, _) = self.queue(input)?;
        let entries = input.entries()?;
        let size: usize = entries.iter().map(|(_, entry)| content(entry, sender).size()).sum();
        if size > LARGEST_MESSAGE {
            return Err(Fault::client(
                "BatchRequestTooLong",
                format!("Batch requests cannot be longer than {LARGEST_MESSAGE} bytes. You have sent {size} bytes."),
            ));
        }
        batch(entries, |entry| self.send_to(&name, entry, sender, now))
    }

    fn send_to(&mut self, name: &str, input: &Input, sender: &str, now: Millis) -> Result<Value, Fault> {
        let queue = self.queues.get_mut(name).ok_or_else(not_found)?;
        let mut content = content(input, sender);
        check(&mut content, input, &queue.settings)?;
        let delay = input.seconds("DelaySeconds", 900)?;
        if queue.settings.fifo && delay.is_some_and(|delay| delay > 0) {
            return Err(invalid(
                "DelaySeconds",
                &input.0["DelaySeconds"],
                "The request include parameter that is not valid for this queue type",
            ));
        }
        let mut answer = json!({ "MD5OfMessageBody": md5_of_body(&content.body) });
        if let Some(digest) = md5_of_attributes(&content.attributes)? {
            answer["MD5OfMessageAttributes"] = Value::from(digest);
        }
        if let Some(digest) = md5_of_attributes(&content.system_attributes)? {
            answer["MD5OfMessageSystemAttributes"] = Value::from(digest);
        }
        let fifo = queue.settings.fifo;
        let sent = match queue.send((self.ids)(), content, delay, now) {
            Accepted::Duplicate(sent) => sent,
            Accepted::New(sent) => {
                let message = queue.message(sent.sequence).cloned();
                if let Some(message) = message {
                    self.record(Entry::Message { queue: name.to_owned(), message })?;
                }
                sent
            }
        };
        answer["MessageId"] = Value::from(sent.id);
        if fifo {
            answer["SequenceNumber"] = Value::from(sequence_number(sent.sequence));
        }
        Ok(answer)
    }

    /// One attempt at `ReceiveMessage`; `None` when there is nothing to hand out.
    pub fn receive(&mut self, input: &Input, now: Millis) -> Result<Option<Value>, Fault> {
        let max = input.number("MaxNumberOfMessages", 1, 10)?.unwrap_or(1) as usize;
        let visibility = input.seconds("VisibilityTimeout", LONGEST_VISIBILITY)?;
        let mut system = input.list("MessageSystemAttributeNames")?;
        system.extend(input.list("AttributeNames")?);
        let system: Vec<&str> = system.iter().map(String::as_str).collect();
        let user = input.list("MessageAttributeNames")?;
        let user: Vec<&str> = user.iter().map(String::as_str).collect();
        self.expire(input, now)?;

        let (name, queue) = self.queue(input)?;
        let outcome = queue.receive(max, visibility, now);
        let fifo = queue.settings.fifo;
        let target = queue.settings.redrive.clone().map(|redrive| redrive.target_arn);
        if let Some(target) = target {
            self.bury(&name, &target, outcome.dead, now)?;
        }
        let mut answers = Vec::with_capacity(outcome.delivered.len());
        for message in outcome.delivered {
            let receipt = Receipt { sequence: message.sequence, receive_count: message.receive_count };
            self.record(Entry::Received {
                queue: name.clone(),
                sequence: message.sequence,
                count: message.receive_count,
                at: now,
            })?;
            let handle = receipt_handle(&name, receipt);
            answers.push(received(&message, &handle, fifo, &system, &user)?);
        }
        Ok((!answers.is_empty()).then(|| json!({ "Messages": answers })))
    }

    /// How long the queue lets a receiver wait that does not say.
    pub fn receive_wait(&mut self, input: &Input) -> Result<Millis, Fault> {
        Ok(self.queue(input)?.1.settings.receive_wait)
    }

    /// When a message that is invisible now becomes visible.
    pub fn next_change(&mut self, input: &Input, now: Millis) -> Result<Option<Millis>, Fault> {
        Ok(self.queue(input)?.1.next_change(now))
    }

    /// Moves dead messages to the queue whose ARN is `target`; without such a queue they stay.
    fn bury(&mut self, source: &str, target: &str, dead: Vec<Message>, now: Millis) -> Result<(), Fault> {
        let target = target.rsplit(':').next().unwrap_or_default().to_owned();
        let source_arn = self.home.arn(source);
        for message in dead {
            let sequence = message.sequence;
            match self.queues.get_mut(&target) {
                Some(grave) => {
                    let message = grave.bury(message, &source_arn, now);
                    self.buried = true;
                    self.record(Entry::Message { queue: target.clone(), message })?;
                    self.record(Entry::Gone { queue: source.to_owned(), sequences: vec![sequence] })?;
                }
                None => {
                    if let Some(queue) = self.queues.get_mut(source) {
                        queue.restore(message);
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, input: &Input, now: Millis) -> Result<Value, Fault> {
        let (name, _) = self.queue(input)?;
        self.delete_from(&name, input, now)
    }

    pub(super) fn delete_batch(&mut self, input: &Input, now: Millis) -> Result<Value, Fault> {
        let (name, _) = self.queue(input)?;
        batch(input.entries()?, |entry| self.delete_from(&name, entry, now))
    }

    fn delete_from(&mut self, name: &str, input: &Input, now: Millis) -> Result<Value, Fault> {
        let receipt = input.receipt(name)?;
        let queue = self.queues.get_mut(name).ok_or_else(not_found)?;
        match queue.delete(receipt, now) {
            Deletion::Absent => Ok(json!({})),
            Deletion::Deleted => {
                self.record(Entry::Gone { queue: name.to_owned(), sequences: vec![receipt.sequence] })?;
                Ok(json!({}))
            }
            // A standard queue answers with success and keeps the message.
            Deletion::Expired if !queue.settings.fifo => Ok(json!({})),
            Deletion::Expired => {
                Err(invalid("ReceiptHandle", &input.0["ReceiptHandle"], "The receipt handle has expired"))
            }
        }
    }

    pub(super) fn change_visibility(&mut self, input: &Input, now: Millis) -> Result<Value, Fault> {
        let (name, _) = self.queue(input)?;
        self.change_visibility_in(&name, input, now)
    }

    pub(super) fn change_visibility_batch(&mut self, input: &Input, now: Millis) -> Result<Value, Fault> {
        let (name, _) = self.queue(input)?;
        batch(input.entries()?, |entry| self.change_visibility_in(&name, entry, now))
    }

    fn change_visibility_in(&mut self, name: &str, input: &Input, now: Millis) -> Result<Value, Fault> {
        let timeout =
            input.seconds("VisibilityTimeout", LONGEST_VISIBILITY)?.ok_or_else(|| missing("VisibilityTimeout"))?;
        let receipt = input.receipt(name)?;
        let queue = self.queues.get_mut(name).ok_or_else(not_found)?;
        match queue.change_visibility(receipt, timeout, now) {
            VisibilityChange::Changed => Ok(json!({})),
            VisibilityChange::Absent => Err(invalid(
                "ReceiptHandle",
                &input.0["ReceiptHandle"],
                "Message does not exist or is not available for visibility timeout change",
            )),
            VisibilityChange::NotInFlight => {
                Err(Fault::client("MessageNotInflight", "The specified message isn't in flight."))
            }
        }
    }
}

/// What the sender chose, unchecked.
fn content(input: &Input, sender: &str) -> Content {
    let text = |key: &str| input.optional_text(key).map(str::to_owned);
    Content {
        body: text("MessageBody").unwrap_or_default(),
        attributes: input.map("MessageAttributes"),
        system_attributes: input.map("MessageSystemAttributes"),
        group: text("MessageGroupId"),
        deduplication_id: text("MessageDeduplicationId"),
        sender: sender.to_owned(),
    }
}

/// Checks a message against its queue, and fills in the deduplication id of its content.
fn check(content: &mut Content, input: &Input, settings: &Settings) -> Result<(), Fault> {
    if content.body.is_empty() {
        return Err(missing("MessageBody"));
    }
    if content.size() > settings.maximum_message_size {
        return Err(Fault::client(
            "InvalidParameterValue",
            format!(
                "One or more parameters are invalid. Reason: Message must be shorter than {} bytes.",
                settings.maximum_message_size
            ),
        ));
    }
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    if !content.body.chars().all(allowed) {
        return Err(Fault::client("InvalidMessageContents", "Invalid binary character was found in the message body."));
    }
    if content.attributes.len() > 10 {
        return Err(Fault::client(
            "InvalidParameterValue",
            "Number of message attributes exceeds the allowed maximum [10].",
        ));
    }
    for (key, id) in [("MessageGroupId", &content.group), ("MessageDeduplicationId", &content.deduplication_id)] {
        let fits = |id: &String| (1..=128).contains(&id.len()) && id.chars().all(|c| c.is_ascii_graphic());
        if id.as_ref().is_some_and(|id| !fits(id)) {
            return Err(invalid(
                key,
                &input.0[key],
                &format!("{key} can only include alphanumeric and punctuation characters. 1 to 128 in length"),
            ));
        }
    }
    if !settings.fifo {
        return match &content.deduplication_id {
            None => Ok(()),
            Some(_) => Err(invalid(
                "MessageDeduplicationId",
                &input.0["MessageDeduplicationId"],
                "The request includes a parameter that is not valid for this queue type",
            )),
        };
    }
    if content.group.is_none() {
        return Err(missing("MessageGroupId"));
    }
    if content.deduplication_id.is_none() {
        if !settings.content_based_deduplication {
            return Err(Fault::client(
                "InvalidParameterValue",
                "The queue should either have ContentBasedDeduplication enabled or \
                 MessageDeduplicationId provided explicitly",
            ));
        }
        let digest = Sha256::digest(content.body.as_bytes());
        let hexadecimal = digest.iter().map(|byte| format!("{byte:02x}"));
        content.deduplication_id = Some(hexadecimal.collect());
    }
    Ok(())
}

/// Runs each entry of a batch; a failing one fails alone.
fn batch(entries: Vec<(&str, Input)>, mut run: impl FnMut(&Input) -> Result<Value, Fault>) -> Result<Value, Fault> {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, entry) in entries {
        match run(&entry) {
            Ok(mut answer) => {
                answer["Id"] = Value::from(id);
                successful.push(answer);
            }
            Err(fault) => failed.push(json!({
                "Id": id,
                "Code": fault.code,
                "Message": fault.message,
                "SenderFault": fault.status < 500,
            })),
        }
    }
    Ok(json!({ "Successful": successful, "Failed": failed }))
}
