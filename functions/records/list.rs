//! The list of a model's records: shard after shard, each in the order of its keys.

use jiff::Timestamp;
use lambda_http::Request;
use serde::{Deserialize, Serialize};
use shared::{
    api::{
        access, cursor,
        records::{RecordList, RecordView},
    },
    domain::{
        endpoint::Endpoint,
        ids::{AccountId, RequestedId},
        time,
    },
    http::{self, Answer, Caller, Problem},
    store::{keys::SHARDS, records::Record},
};

use super::{Fit, Records, Room};

/// Records read at a time.
const CHUNK: usize = 100;
/// Reads for one answer: what was deleted is read and left out, and may be much.
const MOST_READS: usize = 30;

/// The last record of a page.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Position {
    shard: u8,
    after: Option<String>,
}

/// `GET /v1/linked-accounts/{id}/records/{model}`.
pub async fn list(
    records: &Records,
    caller: &Caller,
    id: RequestedId,
    model: &str,
    request: &Request,
) -> Result<Answer, Problem> {
    // 1. Which records.
    let query = http::query(request);
    let limit = query.limit()?;
    let include_deleted = query.flag("include_deleted")?;
    let account = access::readable(&records.store, &caller.organization, id).await?;
    let id = account.id;
    let endpoint = Endpoint::by_key(model).filter(|endpoint| endpoint.category == account.category);
    let endpoint = endpoint.ok_or_else(Problem::not_found)?;
    let (account_text, model) = (id.to_string(), endpoint.key());
    let deleted_too = if include_deleted { "deleted" } else { "live" };
    let binding = [caller.organization.as_str(), &account_text, "records", &model, deleted_too];
    let start: Option<Position> = query.text("cursor").map(|text| cursor::decode(&binding, text)).transpose()?;
    start.as_ref().and_then(|start| start.after.as_deref()).map_or(Ok(()), cursor::is_a_key)?;

    // 2. How far the copy reaches: read first, so that the answer never promises more than it holds.
    let checkpoint = records.store.checkpoint(id, endpoint).await?.unwrap_or_default();

    // 3. The page.
    let mut page = Page { results: Vec::new(), room: Room::new(), limit, include_deleted };
    let next = page.fill(records, id, endpoint, start.unwrap_or_default()).await?;
    let next_cursor = next.map(|position| cursor::encode(&binding, &position)).transpose()?;
    http::ok(&RecordList {
        results: page.results,
        next_cursor,
        initial_sync_completed: checkpoint.initial_completed,
        partial: checkpoint.partial,
        data_fresh_as_of: checkpoint.upper.filter(|upper| *upper > Timestamp::MIN),
    })
}

struct Page {
    results: Vec<RecordView>,
    room: Room,
    limit: usize,
    include_deleted: bool,
}

impl Page {
    /// Reads on from `position`, and says where the next page starts; `None` at the end.
    async fn fill(
        &mut self,
        records: &Records,
        account: AccountId,
        endpoint: &Endpoint,
        mut position: Position,
    ) -> Result<Option<Position>, Problem> {
        for _ in 0..MOST_READS {
            if position.shard >= SHARDS {
                return Ok(None);
            }
            let wanted = (self.limit - self.results.len()).clamp(1, CHUNK);
            let after = position.after.as_deref();
            let limit = i32::try_from(wanted).unwrap_or(i32::MAX);
            let (found, more) = records.store.shard_page(account, endpoint, position.shard, after, limit).await?;
            for packed in found {
                if self.results.len() >= self.limit {
                    return Ok(Some(position));
                }
                // One at a time is opened, and only what is shown.
                if self.include_deleted || !packed.deleted {
                    let record = records.store.open(account, endpoint, &packed).await?;
                    if !self.take(record)? {
                        return Ok(Some(position));
                    }
                }
                position.after = Some(packed.key);
            }
            if !more {
                position = Position { shard: position.shard + 1, after: None };
            }
            if self.results.len() >= self.limit {
                return Ok((position.shard < SHARDS).then_some(position));
            }
        }
        Ok(Some(position))
    }

    /// Adds a record. `false`: it has to wait for the next page.
    fn take(&mut self, record: Record) -> Result<bool, Problem> {
        let (data, too_large) = match self.room.fit(record.data)? {
            Fit::Whole(data) => (Some(data), false),
            Fit::TooLarge => (None, true),
            Fit::Later => return Ok(false),
        };
        let modified_at = (record.modified_at != time::NEVER).then_some(record.modified_at);
        self.results.push(RecordView { id: record.key, modified_at, deleted: record.deleted, data, too_large });
        Ok(true)
    }
}
