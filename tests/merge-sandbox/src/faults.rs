//! Fault: a way in which the next calls of a route go wrong.

use serde::Deserialize;

/// Body of `POST /_sandbox/faults`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// `GET /api/{category}/v1/employees`; `*` stands for anything, `{…}` for one segment.
    pub route: String,
    /// Answer with this status and a `detail`, instead of doing anything.
    pub status: Option<u16>,
    /// Wait first.
    pub delay_ms: Option<u64>,
    /// Break the connection off in the middle of the body.
    #[serde(default)]
    pub truncate: bool,
    /// `next` is the cursor just used, for ever.
    #[serde(default)]
    pub repeat_cursor: bool,
    /// `next` is a URL.
    #[serde(default)]
    pub url_cursor: bool,
    /// Blow the body up to this many bytes (it stays valid JSON).
    pub body_bytes: Option<u64>,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// Do the work, then lose the answer: only with `status`.
    #[serde(default)]
    pub after: bool,
    /// How often; 0 = until reset.
    #[serde(default)]
    pub times: u64,
}

/// The first matching fault, the latest coming first; its count goes down.
pub fn take(faults: &mut Vec<Fault>, method: &str, path: &str) -> Option<Fault> {
    let call = format!("{method} {path}");
    let position = faults.iter().rposition(|fault| matches(&fault.route, &call))?;
    let fault = faults[position].clone();
    if fault.times == 1 {
        faults.remove(position);
    } else if fault.times > 1 {
        faults[position].times -= 1;
    }
    Some(fault)
}

/// Whether `text` fits the pattern.
fn matches(pattern: &str, text: &str) -> bool {
    let Some(position) = pattern.find(['*', '{']) else { return pattern == text };
    let (literal, rest) = pattern.split_at(position);
    let Some(text) = text.strip_prefix(literal) else { return false };
    if let Some(rest) = rest.strip_prefix('*') {
        return (0..=text.len()).any(|end| text.is_char_boundary(end) && matches(rest, &text[end..]));
    }
    let Some((_, rest)) = rest.split_once('}') else { return false };
    let end = text.find('/').unwrap_or(text.len());
    end > 0 && matches(rest, &text[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_segments_and_anything() {
        let call = "GET /api/hris/v1/employees";
        assert!(matches(call, call));
        assert!(matches("GET /api/{category}/v1/employees", call));
        assert!(matches("* /api/*", call));
        assert!(matches("GET *employees", call));
        assert!(!matches("GET /api/{category}/employees", call));
        assert!(!matches("POST /api/{category}/v1/employees", call));
        assert!(!matches("GET /api/{category}/v1/employee", call));
    }

    #[test]
    fn later_faults_come_first_and_wear_out() {
        let fault = |status, times| Fault {
            status: Some(status),
            times,
            ..serde_json::from_str(r#"{"route": "GET *"}"#).unwrap()
        };
        let mut faults = vec![fault(500, 0), fault(503, 2)];
        let mut taken = || take(&mut faults, "GET", "/api/x").and_then(|fault| fault.status);
        assert_eq!([taken(), taken(), taken(), taken()], [Some(503), Some(503), Some(500), Some(500)]);
    }
}
