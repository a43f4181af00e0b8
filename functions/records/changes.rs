//! The change feed: what each committed page changed, in order, per model.
//!
//! A cursor holds one position for each model. A block, once committed, never changes, so whoever follows the feed
//! misses nothing; after a crash of ours a change may be told again. Blocks are kept for a while: a position beyond
//! which some may be gone is answered 410, and the reader starts over from the records. That goes for models that had
//! no change yet when the cursor was given, and for the beginning of the feed, which is where a reader without cursor
//! stands.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use lambda_http::Request;
use serde::{Deserialize, Serialize};
use shared::{
    ambient,
    api::{
        access, cursor,
        records::{ChangeList, ChangeView},
    },
    domain::{
        change::{Action, Change, Tag},
        endpoint::Endpoint,
        ids::{AccountId, RequestedId},
    },
    http::{self, Answer, Caller, Code, Problem},
    store::changes::ChangeBlock,
};

use super::{Fit, Records, Room};

/// Changes that are joined with their records at a time.
const CHUNK: usize = 50;
/// Blocks read at a time; one holds up to a hundred changes.
const BLOCKS: i32 = 10;

/// How far a reader has come in one model's feed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Position {
    /// The block that was read last; none before the first.
    tag: Option<String>,
    /// The next change in it; none if it was read to its end.
    next: Option<usize>,
    /// Everything that was committed up to this time has been read.
    at: Timestamp,
}

impl Position {
    /// Before a model's first block, which was not yet there at this time.
    fn start(at: Timestamp) -> Self {
        Self { tag: None, next: None, at }
    }

    /// The block after which to read on.
    fn after(&self) -> Option<Tag> {
        let tag: Tag = self.tag.as_deref()?.parse().ok()?;
        // A block that was begun is read again: its number less one is where it comes after.
        Some(if self.next.is_some() { Tag { n: tag.n.saturating_sub(1), ..tag } } else { tag })
    }

    /// Where to begin in a block.
    fn offset(&self, block: Tag) -> usize {
        let begun = self.tag.as_deref() == Some(block.to_string().as_str());
        self.next.filter(|_| begun).unwrap_or(0)
    }
}

/// By endpoint slug.
type Positions = BTreeMap<String, Position>;

/// In a cursor, the position in every model that is not named: it had no changes then. No slug is spelled like this.
const OTHERS: &str = "*";

/// `GET /v1/linked-accounts/{id}/changes`.
pub async fn changes(
    records: &Records,
    caller: &Caller,
    id: RequestedId,
    request: &Request,
) -> Result<Answer, Problem> {
    // 1. Which feed, and from where.
    let query = http::query(request);
    let limit = query.limit()?;
    let account = access::readable(&records.store, &caller.organization, id).await?;
    let id = account.id;
    let model = match query.given("model") {
        Some(key) => {
            let endpoint = Endpoint::by_key(key).filter(|endpoint| endpoint.category == account.category);
            Some(endpoint.ok_or_else(|| Problem::invalid("model is not one of the account's category."))?)
        }
        None => None,
    };
    let (account_text, model_text) = (id.to_string(), model.map(Endpoint::key).unwrap_or_default());
    let binding = [caller.organization.as_str(), &account_text, "changes", &model_text];
    let now = ambient::now();
    // A model without checkpoint has no changes.
    let checkpoints = records.store.checkpoints(id).await?;
    let endpoints: Vec<&Endpoint> = Endpoint::of(account.category)
        .filter(|endpoint| model.is_none_or(|model| model == *endpoint))
        .filter(|endpoint| checkpoints.contains_key(&endpoint.slug()))
        .collect();

    let mut positions: Positions = match query.text("cursor") {
        Some("now") => {
            let mut positions = end_of(records, id, &endpoints, now).await?;
            positions.insert(OTHERS.to_owned(), Position::start(now));
            let next_cursor = cursor::encode(&binding, &positions)?;
            return http::ok(&ChangeList { results: Vec::new(), next_cursor, has_more: false });
        }
        Some(text) => cursor::decode(&binding, text)?,
        None => Positions::new(),
    };
    // Who has no position at all begins with the first block, and no account has one before it is connected.
    let others = positions.remove(OTHERS).unwrap_or_else(|| Position::start(account.created_at));
    let kept = SignedDuration::try_from(records.retention.history).unwrap_or(SignedDuration::MAX);
    let lost = |endpoint: &&Endpoint| {
        let position = positions.get(&endpoint.slug()).unwrap_or(&others);
        now.duration_since(position.at) > kept
    };
    if endpoints.iter().any(lost) {
        return Err(Problem::new(
            Code::CursorExpired,
            "Changes from here on may be gone: take a cursor with cursor=now, list the records, then follow it.",
        ));
    }

    // 2. Model after model, until the page is full.
    let mut page = Page { results: Vec::new(), room: Room::new(), limit };
    let mut has_more = false;
    for endpoint in endpoints {
        let position = positions.remove(&endpoint.slug()).unwrap_or_else(|| others.clone());
        let (position, full) = page.follow(records, id, endpoint, position, now).await?;
        positions.insert(endpoint.slug(), position);
        if full {
            has_more = true;
            break;
        }
    }
    // A page that is full may have left models out that are still to be read from where the others were.
    positions.insert(OTHERS.to_owned(), if has_more { others } else { Position::start(now) });
    let next_cursor = cursor::encode(&binding, &positions)?;
    http::ok(&ChangeList { results: page.results, next_cursor, has_more })
}

/// The positions of a reader who begins now.
async fn end_of(
    records: &Records,
    account: AccountId,
    endpoints: &[&Endpoint],
    now: Timestamp,
) -> Result<Positions, Problem> {
    let mut positions = Positions::new();
    for endpoint in endpoints {
        let tag = records.store.last_change(account, endpoint).await?;
        let position = Position { tag: tag.map(|tag| tag.to_string()), next: None, at: now };
        positions.insert(endpoint.slug(), position);
    }
    Ok(positions)
}

struct Page {
    results: Vec<ChangeView>,
    room: Room,
    limit: usize,
}

impl Page {
    /// Adds a model's changes from `position` on, and says how far that came. The flag: the page is full, and the model
    /// may have more.
    async fn follow(
        &mut self,
        records: &Records,
        account: AccountId,
        endpoint: &Endpoint,
        mut position: Position,
        now: Timestamp,
    ) -> Result<(Position, bool), Problem> {
        loop {
            if self.results.len() >= self.limit {
                return Ok((position, true));
            }
            let blocks = records.store.changes(account, endpoint, position.after(), BLOCKS).await?;
            if blocks.is_empty() {
                return Ok((Position { next: None, at: now, ..position }, false));
            }
            for block in &blocks {
                let start = position.offset(block.tag);
                let end = self.add(records, account, endpoint, block, start).await?;
                let next = (end < block.changes.len()).then_some(end);
                let full = next.is_some();
                position = Position { tag: Some(block.tag.to_string()), next, at: block.at };
                if full {
                    return Ok((position, true));
                }
            }
        }
    }

    /// Adds a block's changes from `start` on while there is room, and says which one comes next.
    async fn add(
        &mut self,
        records: &Records,
        account: AccountId,
        endpoint: &Endpoint,
        block: &ChangeBlock,
        start: usize,
    ) -> Result<usize, Problem> {
        let mut index = start;
        while index < block.changes.len() && self.results.len() < self.limit {
            let room = CHUNK.min(self.limit - self.results.len());
            let chunk: Vec<&Change> = block.changes.iter().skip(index).take(room).collect();
            let keys: BTreeSet<&str> =
                chunk.iter().filter(|change| change.a != Action::Deleted).map(|change| change.k.as_str()).collect();
            let keys: Vec<&str> = keys.into_iter().collect();
            let stored = records.store.records(account, endpoint, &keys).await?;
            for change in chunk {
                let live = stored.get(&change.k).filter(|record| change.a != Action::Deleted && !record.deleted);
                // One at a time is opened: of many, all together might not fit into memory.
                let data = match live {
                    Some(packed) => Some(records.store.open(account, endpoint, packed).await?.data),
                    None => None,
                };
                let Some(view) = self.view(endpoint, block, index, change, data)? else { return Ok(index) };
                self.results.push(view);
                index += 1;
            }
        }
        Ok(index)
    }

    /// One change with `data`, its record as it is now; `None` if it has to wait for the next page.
    fn view(
        &mut self,
        endpoint: &Endpoint,
        block: &ChangeBlock,
        index: usize,
        change: &Change,
        data: Option<String>,
    ) -> Result<Option<ChangeView>, Problem> {
        let (data, too_large) = match data.map(|data| self.room.fit(data)).transpose()? {
            None => (None, false),
            Some(Fit::Whole(data)) => (Some(data), false),
            Some(Fit::TooLarge) => (None, true),
            Some(Fit::Later) => return Ok(None),
        };
        Ok(Some(ChangeView {
            model_id: endpoint.key(),
            seq: format!("{}.{index:03}", block.tag),
            record_id: change.k.clone(),
            action: change.a,
            at: block.at,
            data,
            too_large,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_was_begun_is_read_again_from_where_it_was_left() {
        let tag = Tag { epoch: 2, n: 7 };
        let at = Timestamp::UNIX_EPOCH;
        let begun = Position { tag: Some(tag.to_string()), next: Some(40), at };
        assert_eq!(begun.after(), Some(Tag { epoch: 2, n: 6 }));
        assert_eq!((begun.offset(tag), begun.offset(Tag { epoch: 2, n: 8 })), (40, 0));
        let done = Position { next: None, ..begun };
        assert_eq!(done.after(), Some(tag));
        assert_eq!(Position { tag: None, next: None, at }.after(), None);
    }
}
