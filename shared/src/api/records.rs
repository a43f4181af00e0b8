//! Records and the change feed as our API shows them. `data` is the record's JSON, byte for byte as it was received.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::change::Action;

/// A page of a model's records.
#[derive(Serialize, ToSchema)]
pub struct RecordList {
    pub results: Vec<RecordView>,
    pub next_cursor: Option<String>,
    /// The model's complete history is stored.
    pub initial_sync_completed: bool,
    /// The last sync could not read some fields.
    pub partial: bool,
    /// Everything up to this time is stored.
    pub data_fresh_as_of: Option<Timestamp>,
}

/// A stored record.
#[derive(Serialize, ToSchema)]
pub struct RecordView {
    /// Unique within its model.
    pub id: String,
    /// Null for records that carry no time.
    pub modified_at: Option<String>,
    pub deleted: bool,
    /// The record; null when `too_large`.
    #[schema(value_type = Option<Object>, required = true)]
    pub data: Option<Box<RawValue>>,
    /// The record alone is larger than an answer may be.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub too_large: bool,
}

/// A page of the change feed.
#[derive(Serialize, ToSchema)]
pub struct ChangeList {
    pub results: Vec<ChangeView>,
    /// Where to go on; always given.
    pub next_cursor: String,
    /// There is more to read now.
    pub has_more: bool,
}

/// One change. Order is per model; a change may be told twice.
#[derive(Serialize, ToSchema)]
pub struct ChangeView {
    #[schema(example = "hris.Employee")]
    pub model_id: String,
    /// Rises within the model.
    #[schema(example = "00000000010000000001.000")]
    pub seq: String,
    pub record_id: String,
    #[schema(value_type = String, example = "updated")]
    pub action: Action,
    pub at: Timestamp,
    /// The record as it is now; null if it is deleted, or larger than an answer may be.
    #[schema(value_type = Option<Object>, required = true)]
    pub data: Option<Box<RawValue>>,
    /// The record alone is larger than an answer may be.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub too_large: bool,
}
