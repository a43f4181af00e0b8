//! Pager: query parameters, and pages of the lists that are small enough to be held (accounts, issues, sync-status…).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::Value;

use crate::clock::Time;
use crate::reply::Reply;
use crate::settings::Settings;

/// Merge's default page size.
const DEFAULT_SIZE: usize = 30;
/// Merge's largest.
const MAX_SIZE: usize = 100;

/// A call's query parameters, decoded.
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub fn parse(query: Option<&str>) -> Parameters {
        let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Parameters(pairs.map(|(key, value)| (key.into_owned(), value.into_owned())).collect())
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// True for `true` in any case, and `1`.
    pub fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true") || value == "1")
    }

    /// An instant; 400 for anything that is none.
    pub fn time(&self, name: &str) -> Result<Option<Time>, Reply> {
        self.get(name).map(|text| Time::parse(text).ok_or_else(|| invalid_time(name))).transpose()
    }

    /// `page_size`, clamped; nonsense means the default, as in DRF.
    pub fn page_size(&self, settings: &Settings) -> usize {
        let asked = self.get("page_size").and_then(|text| text.parse::<usize>().ok()).filter(|size| *size > 0);
        asked.unwrap_or(DEFAULT_SIZE).min(MAX_SIZE).min(settings.max_page_size)
    }
}

fn invalid_time(name: &str) -> Reply {
    Reply::json(StatusCode::BAD_REQUEST, &serde_json::json!({ name: ["Enter a valid date/time."] }))
}

/// What DRF says of a cursor that is none.
pub fn invalid_cursor() -> Reply {
    Reply::detail(StatusCode::NOT_FOUND, "Invalid cursor")
}

/// One page of `items`, in their order; the cursor is opaque and holds a position.
pub fn page<T>(items: &[T], parameters: &Parameters, settings: &Settings, show: impl Fn(&T) -> Value) -> Reply {
    let start = match parameters.get("cursor").map(decode) {
        None => 0,
        Some(Some(start)) => start,
        Some(None) => return invalid_cursor(),
    };
    let size = parameters.page_size(settings);
    let end = (start + size).min(items.len());
    let results: Vec<Value> = items.get(start..end).unwrap_or_default().iter().map(show).collect();
    let next = (end < items.len()).then(|| encode(end));
    let previous = (start > 0).then(|| encode(start.saturating_sub(size)));
    Reply::ok(&serde_json::json!({"next": next, "previous": previous, "results": results}))
}

fn encode(position: usize) -> String {
    STANDARD.encode(format!("o={position}"))
}

fn decode(cursor: &str) -> Option<usize> {
    String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?.strip_prefix("o=")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_clamped_and_nonsense_is_the_default() {
        let size = |query| Parameters::parse(Some(query)).page_size(&Settings::default());
        assert_eq!([size("page_size=1000"), size("page_size=0"), size("page_size=x"), size("")], [100, 30, 30, 30]);
        let settings = Settings { max_page_size: 5, ..Settings::default() };
        assert_eq!(Parameters::default().page_size(&settings), 5);
    }

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let items: Vec<u32> = (0..7).collect();
        let settings = Settings::default();
        let mut query = "page_size=3".to_owned();
        let mut seen = Vec::new();
        loop {
            let reply = page(&items, &Parameters::parse(Some(&query)), &settings, |item| (*item).into());
            let body: Value = serde_json::from_str(&reply.body).unwrap();
            seen.extend(body["results"].as_array().unwrap().iter().map(|item| item.as_u64().unwrap()));
            match body["next"].as_str() {
                Some(next) => query = format!("page_size=3&cursor={}", next.replace('=', "%3D")),
                None => break,
            }
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
        let bad = Parameters::parse(Some("cursor=zzz"));
        assert_eq!(page(&items, &bad, &settings, |item| (*item).into()).status, StatusCode::NOT_FOUND);
    }
}
