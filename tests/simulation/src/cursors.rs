//! Cursors: Merge's are opaque, so a run gives its own in place of the sandbox's. That lets them do what real ones may:
//! expire, and lead to an empty page before the page that they stand for.

use std::collections::HashMap;

use http::Uri;

/// See the module.
#[derive(Debug, Default)]
pub struct Cursors {
    given: HashMap<String, Place>,
}

/// Where a given cursor leads.
#[derive(Debug)]
struct Place {
    /// The sandbox's cursor; none for the start of the list.
    cursor: Option<String>,
    expired: bool,
}

impl Cursors {
    /// A fresh cursor that leads where the sandbox's leads.
    pub fn give(&mut self, cursor: Option<String>) -> String {
        let name = format!("cursor-{}", self.given.len() + 1);
        self.given.insert(name.clone(), Place { cursor, expired: false });
        name
    }

    /// Makes a cursor unknown for good.
    pub fn expire(&mut self, name: &str) {
        if let Some(place) = self.given.get_mut(name) {
            place.expired = true;
        }
    }

    /// Where a cursor leads: to a cursor of the sandbox's, or to the start. The outer `None`: it is not known.
    pub fn place(&self, name: &str) -> Option<Option<String>> {
        self.given.get(name).filter(|place| !place.expired).map(|place| place.cursor.clone())
    }
}

/// The request with another cursor, or with none.
pub fn with_cursor(uri: &Uri, cursor: Option<&str>) -> Uri {
    let pairs = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.starts_with("cursor="));
    let mut query: Vec<String> = pairs.map(str::to_owned).collect();
    if let Some(cursor) = cursor {
        query.push(format!("cursor={}", cursor.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")));
    }
    let host = uri.authority().map_or("merge", |authority| authority.as_str());
    let text = format!("http://{host}{}?{}", uri.path(), query.join("&"));
    text.parse().unwrap_or_else(|_| uri.clone())
}

/// The cursor that a request asks for.
pub fn of(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("cursor="))
}

/// Whether a body is a page of a list.
pub fn is_page(body: &str) -> bool {
    body.starts_with(r#"{"next":"#)
}

/// The `next` of a page, if it has one.
pub fn next(body: &str) -> Option<&str> {
    Some(body.strip_prefix(r#"{"next":""#)?.split_once('"')?.0)
}

/// The page with another `next`.
pub fn with_next(body: &str, next: &str) -> Option<String> {
    let rest = body.strip_prefix(r#"{"next":""#)?.split_once('"')?.1;
    Some(format!(r#"{{"next":"{next}"{rest}"#))
}
