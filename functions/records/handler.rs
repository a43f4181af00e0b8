//! Records: the synced data of one model, page by page, and the change feed over all models.
//!
//! `data` leaves as it came: the bytes that were stored are spliced into the answer, never parsed and written again.

mod changes;
mod list;

use lambda_http::Request;
use serde_json::value::RawValue;
use shared::{
    config,
    http::{self, Answer, Caller, Problem, Scope},
    store::Store,
};

/// What the function works with.
pub struct Records {
    pub store: Store,
    pub identity: config::Identity,
    pub retention: config::Retention,
}

/// The most bytes of records in one answer, as they travel: Lambda's answers end at 6 MB, envelope included.
const LARGEST_ANSWER: usize = 5 << 20;

/// Answers one request.
pub async fn handle(records: &Records, request: Request) -> Result<Answer, Problem> {
    let caller = Caller::of(&request, &records.identity)?;
    caller.require(Scope::RecordsRead)?;
    let id = http::account_id(&request)?;
    match http::path_parameter(&request, "model") {
        Some(model) => list::list(records, &caller, id, &model, &request).await,
        None => changes::changes(records, &caller, id, &request).await,
    }
}

/// What an answer still has room for.
struct Room {
    left: usize,
    empty: bool,
}

/// How a record goes into an answer.
enum Fit {
    Whole(Box<RawValue>),
    /// Larger than any answer may be.
    TooLarge,
    /// In the next answer.
    Later,
}

impl Room {
    fn new() -> Self {
        Self { left: LARGEST_ANSWER, empty: true }
    }

    /// Takes the room that a record needs.
    fn fit(&mut self, data: String) -> Result<Fit, Problem> {
        let size = size_on_the_way(&data);
        if size > LARGEST_ANSWER {
            self.empty = false;
            return Ok(Fit::TooLarge);
        }
        if size > self.left && !self.empty {
            return Ok(Fit::Later);
        }
        self.left = self.left.saturating_sub(size);
        self.empty = false;
        Ok(Fit::Whole(RawValue::from_string(data)?))
    }
}

/// Bytes of JSON in an answer of Lambda's, which carries the body as a JSON string: quotes, backslashes and line breaks
/// take two.
fn size_on_the_way(data: &str) -> usize {
    data.len() + data.bytes().filter(|byte| matches!(byte, b'"' | b'\\' | b'\n' | b'\r' | b'\t')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(bytes: usize) -> String {
        // Its two quotes take two bytes each.
        format!("\"{}\"", "x".repeat(bytes - 4))
    }

    #[test]
    fn an_answer_ends_before_it_is_too_large_and_is_never_stuck() {
        let mut room = Room::new();
        assert!(matches!(room.fit(json(LARGEST_ANSWER - 10)).unwrap(), Fit::Whole(_)));
        assert!(matches!(room.fit(json(11)).unwrap(), Fit::Later));
        assert!(matches!(room.fit(json(10)).unwrap(), Fit::Whole(_)));
        assert!(matches!(Room::new().fit(json(LARGEST_ANSWER)).unwrap(), Fit::Whole(_)));
        assert!(matches!(Room::new().fit(json(LARGEST_ANSWER + 1)).unwrap(), Fit::TooLarge));
    }

    #[test]
    fn what_grows_on_its_way_counts_as_large_as_it_arrives() {
        for data in [r#"{"a":"b\"c\\d\u00e4"}"#, "{\n\t\"a\" :\r\n[1, 2]}", r#"["é😀"]"#, "12"] {
            let carried = serde_json::to_string(data).unwrap();
            assert_eq!(size_on_the_way(data), carried.len() - 2, "{data}");
        }
        // Half of what an answer holds, but quotes throughout.
        let quotes = format!("\"{}\"", r#"\""#.repeat(LARGEST_ANSWER / 4));
        assert!(quotes.len() < LARGEST_ANSWER);
        let mut room = Room::new();
        assert!(matches!(room.fit(quotes).unwrap(), Fit::TooLarge));
        assert!(matches!(room.fit(json(100)).unwrap(), Fit::Whole(_)));
    }

    #[test]
    fn data_keeps_its_bytes() {
        let data = r#"{ "b":1.10,"a" : 1e2,"b":"\u00e4" }"#;
        let Fit::Whole(raw) = Room::new().fit(data.to_owned()).unwrap() else { panic!("no room") };
        assert_eq!(serde_json::to_string(&raw).unwrap(), data);
    }
}
