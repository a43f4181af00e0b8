//! The journal: what happened to the queues, one JSON line each, so that a restart finds them as
//! they were. Lines reach the operating system before the caller gets its answer; visibility is not
//! kept, because whoever held a message ended with this process.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::message::{Message, Millis};
use super::queue::{DEDUPLICATION_INTERVAL, DeduplicationKey, Queue, Sent};
use super::settings::Settings;
use crate::aws::files;

/// The journal is written anew when it has grown by so many bytes.
const REWRITE_AFTER: u64 = 64 * 1024 * 1024;

/// One line of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A queue was created or got other attributes.
    Queue {
        name: String,
        attributes: BTreeMap<String, String>,
        last_sequence: u64,
    },
    QueueDeleted {
        name: String,
    },
    Purged {
        name: String,
    },
    /// A message came in, new or from the queue that gave it up.
    Message {
        queue: String,
        message: Message,
    },
    Received {
        queue: String,
        sequence: u64,
        count: u32,
        at: Millis,
    },
    Gone {
        queue: String,
        sequences: Vec<u64>,
    },
    Remembered {
        queue: String,
        key: DeduplicationKey,
        sent: Sent,
        until: Millis,
    },
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    written: u64,
}

impl Journal {
    /// Opens the journal at `path` and replays it, or starts one.
    ///
    /// # Errors
    ///
    /// I/O errors, and `InvalidData` for a line that is no entry (but for a last one cut short by a crash).
    pub fn open(path: &Path, now: Millis) -> std::io::Result<(Self, BTreeMap<String, Queue>)> {
        let mut queues = BTreeMap::new();
        if path.exists() {
            let mut lines = BufReader::new(File::open(path)?).lines().peekable();
            while let Some(line) = lines.next() {
                match serde_json::from_str(&line?) {
                    Ok(entry) => replay(&mut queues, entry, now)?,
                    Err(_) if lines.peek().is_none() => {}
                    Err(error) => return Err(std::io::Error::other(error)),
                }
            }
        }
        for queue in queues.values_mut() {
            queue.release_all(now);
        }
        let journal = Self { path: path.to_owned(), file: write_anew(path, &queues)?, written: 0 };
        Ok((journal, queues))
    }

    /// Appends an entry.
    pub fn append(&mut self, entry: &Entry) -> std::io::Result<()> {
        let line = line(entry)?;
        self.written += line.len() as u64;
        self.file.write_all(&line)
    }

    /// Whether enough was appended for a rewrite.
    pub fn is_long(&self) -> bool {
        self.written > REWRITE_AFTER
    }

    /// Replaces the journal by the shortest one that yields `queues`.
    pub fn rewrite(&mut self, queues: &BTreeMap<String, Queue>) -> std::io::Result<()> {
        self.file = write_anew(&self.path, queues)?;
        self.written = 0;
        Ok(())
    }
}

/// Writes the journal of `queues` beside `path`, then in its place; answers with it, open at its end.
fn write_anew(path: &Path, queues: &BTreeMap<String, Queue>) -> std::io::Result<File> {
    let fresh = path.with_extension("new");
    let mut file = BufWriter::new(files::empty(&fresh)?);
    for (name, queue) in queues {
        file.write_all(&line(&Entry::Queue {
            name: name.clone(),
            attributes: queue.settings.attributes.clone(),
            last_sequence: queue.last_sequence(),
        })?)?;
        for message in queue.messages() {
            file.write_all(&line(&Entry::Message { queue: name.clone(), message: message.clone() })?)?;
        }
        for (key, sent, until) in queue.remembered() {
            file.write_all(&line(&Entry::Remembered {
                queue: name.clone(),
                key: key.clone(),
                sent: sent.clone(),
                until,
            })?)?;
        }
    }
    let file = file.into_inner().map_err(|error| error.into_error())?;
    std::fs::rename(&fresh, path)?;
    Ok(file)
}

fn line(entry: &Entry) -> std::io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    Ok(line)
}

fn replay(queues: &mut BTreeMap<String, Queue>, entry: Entry, now: Millis) -> std::io::Result<()> {
    match entry {
        Entry::Queue { name, attributes, last_sequence } => {
            let settings = Settings::parse(&name, &attributes).map_err(|fault| std::io::Error::other(fault.message))?;
            let queue = queues.entry(name).or_insert_with(|| Queue::new(settings.clone()));
            queue.settings = settings;
            queue.restore_sequence(last_sequence);
        }
        Entry::QueueDeleted { name } => {
            queues.remove(&name);
        }
        Entry::Purged { name } => {
            if let Some(queue) = queues.get_mut(&name) {
                queue.purge();
            }
        }
        Entry::Message { queue, message } => {
            if let Some(queue) = queues.get_mut(&queue) {
                let until = message.sent_at + DEDUPLICATION_INTERVAL;
                let key = queue.deduplication_key(&message.content);
                if let Some(key) = key.filter(|_| until > now && message.dead_letter_source.is_none()) {
                    let sent = Sent { id: message.id.clone(), sequence: message.sequence };
                    queue.restore_deduplication(key, sent, until);
                }
                queue.restore(message);
            }
        }
        Entry::Received { queue, sequence, count, at } => {
            if let Some(queue) = queues.get_mut(&queue) {
                queue.restore_receive(sequence, count, at);
            }
        }
        Entry::Gone { queue, sequences } => {
            if let Some(queue) = queues.get_mut(&queue) {
                queue.remove(&sequences);
            }
        }
        Entry::Remembered { queue, key, sent, until } => {
            if let Some(queue) = queues.get_mut(&queue).filter(|_| until > now) {
                queue.restore_deduplication(key, sent, until);
            }
        }
    }
    Ok(())
}
