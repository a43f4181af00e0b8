//! Requests that are done once: what came of a request that gave itself a name, for the repeat that asks again.
//!
//! A claim is one conditional write with two clocks, counted from the first request; its row is the organization's own:
//!
//! | | while it runs, 30 s | it ran, but never ended | it ended | after an hour |
//! |---|---|---|---|---|
//! | the same request | still running | taken over | its answer | a first one |
//! | another one of that name | another | another | another | a first one |
//!
//! No process runs for 30 s, so what is taken over has crashed. A request that was refused frees its name at once.
//! Names and requests are stored as hashes, and an answer is what its route makes of it: never a token, nothing about a
//! person.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    Store, StoreError,
    item::{Reader, key_of, n, s},
    keys,
    rows::{Condition, Put, expiring},
};
use crate::domain::ids::OrganizationId;

/// Longer than any function that answers requests may run.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// How long a repeat is recognised: as long as an exchange may be repeated without a name.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// A request with a name, which means something within its organization only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub organization: OrganizationId,
    /// SHA-256 of the route and the name, hexadecimal.
    pub name: String,
    /// SHA-256 of the body, hexadecimal.
    pub content: String,
}

/// What a request finds under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing: it is the one that runs.
    First,
    /// The same request, which has not ended.
    Running,
    /// The same request, and what it kept of its answer.
    Ended(String),
    /// A request that asked for something else.
    Another,
}

impl Store {
    /// Claims a name. `writer` tells this request's claim from every other one's.
    pub async fn begin_once(&self, named: &Named, writer: Uuid, now: Timestamp) -> Result<Begun, StoreError> {
        let after = |time| now.saturating_add(time).unwrap_or(Timestamp::MAX);
        let mut item = key_of(&keys::once(&named.organization, &named.name));
        item.insert("content".to_owned(), s(&named.content));
        item.insert("writer".to_owned(), s(writer.to_string()));
        item.insert("lease".to_owned(), n(after(LEASE).as_second()));
        let item = expiring(item, after(LIFETIME));
        let condition = Condition::new(
            "attribute_not_exists(pk) OR #ttl <= :now OR \
             (attribute_not_exists(#answer) AND #lease <= :now AND #content = :content)",
        )
        .value(":now", n(now.as_second()))
        .value(":content", s(&named.content));
        let standing = match self.put_row("begin_once", item.clone(), Some(condition)).await? {
            Put::Written(_) => return Ok(Begun::First),
            Put::Refused(standing) => standing,
        };
        let reader = Reader(&standing);
        Ok(if standing == item {
            // The first answer was lost and this is what it wrote.
            Begun::First
        } else if reader.text("content")? != named.content {
            Begun::Another
        } else {
            reader.text("answer").map_or(Begun::Running, |answer| Begun::Ended(answer.to_owned()))
        })
    }

    /// Keeps what a repeat is to be answered, unless somebody else has taken over.
    pub async fn end_once(&self, named: &Named, writer: Uuid, answer: &str) -> Result<(), StoreError> {
        let condition = Condition::new("#writer = :writer").value(":writer", s(writer.to_string()));
        let condition = condition.value(":answer", s(answer));
        let key = keys::once(&named.organization, &named.name);
        self.update_row("end_once", &key, "SET #answer = :answer", condition).await?;
        Ok(())
    }

    /// Frees the name for whoever asks next.
    pub async fn free_once(&self, named: &Named, writer: Uuid, now: Timestamp) -> Result<(), StoreError> {
        let condition = Condition::new("#writer = :writer").value(":writer", s(writer.to_string()));
        let condition = condition.value(":now", n(now.as_second()));
        let key = keys::once(&named.organization, &named.name);
        self.update_row("free_once", &key, "SET #ttl = :now", condition).await?;
        Ok(())
    }
}
