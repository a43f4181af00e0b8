//! The error of a call to Merge, in Merge's words. It answers questions by method; its text never holds a key, a token,
//! a URL or Merge's body.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::transport::TransportError;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// 401: the API key, or the account token, is not accepted.
    Unauthorized,
    /// 403: the scope or the plan does not allow it.
    Forbidden,
    /// 404: no such thing at Merge.
    NotFound,
    /// Any other 4xx: Merge understood and refused.
    Rejected,
    /// 429.
    RateLimited,
    /// 5xx, no connection, no answer in time, or the breaker is open.
    Unavailable,
    /// The answer is not what Merge's contract says.
    Malformed,
    /// The next page's cursor leads back, so the list has no end.
    Endless,
    /// The next page's cursor is none: a URL, or longer than any.
    StrayCursor,
    /// The answer is larger than any valid one.
    TooLarge,
    /// 3xx: Merge has no redirects, so this is somebody else answering.
    Redirect,
}

impl ErrorKind {
    pub const ALL: [Self; 11] = [
        Self::Unauthorized,
        Self::Forbidden,
        Self::NotFound,
        Self::Rejected,
        Self::RateLimited,
        Self::Unavailable,
        Self::Malformed,
        Self::Endless,
        Self::StrayCursor,
        Self::TooLarge,
        Self::Redirect,
    ];

    /// A word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::Rejected => "rejected",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Malformed => "malformed",
            Self::Endless => "cursor_repeated",
            Self::StrayCursor => "cursor_unusable",
            Self::TooLarge => "too_large",
            Self::Redirect => "redirect",
        }
    }
}

/// Whether asking again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same call will fail again.
    Never,
    /// With growing pauses.
    Backoff,
    /// Not before this time has passed.
    After(Duration),
}

/// A call to Merge that failed.
pub struct MergeError {
    kind: ErrorKind,
    call: &'static str,
    /// Whether the call named a linked account.
    scoped: bool,
    status: Option<u16>,
    retry_after: Option<Duration>,
    detail: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl MergeError {
    pub(super) fn new(kind: ErrorKind, call: &'static str) -> Self {
        Self { kind, call, scoped: false, status: None, retry_after: None, detail: None, source: None }
    }

    pub(super) fn scoped(mut self, scoped: bool) -> Self {
        self.scoped = scoped;
        self
    }

    pub(super) fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub(super) fn after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    pub(super) fn detail(mut self, detail: Option<String>) -> Self {
        self.detail = detail;
        self
    }

    /// `source` must be an error of ours or of a library that shows no input.
    pub(super) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(super) fn transport(call: &'static str, error: TransportError) -> Self {
        let kind = match error {
            TransportError::TooLarge => ErrorKind::TooLarge,
            TransportError::Connect(_) | TransportError::Timeout | TransportError::Broken(_) => ErrorKind::Unavailable,
        };
        Self::new(kind, call).because(error)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Merge's status code, if Merge answered.
    pub fn merge_status(&self) -> Option<u16> {
        self.status
    }

    /// Merge's own words, capped and without anything that looks like a secret; for the log.
    pub fn merge_detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }

    /// Whether asking again can help.
    pub fn retry(&self) -> Retry {
        match (self.kind, self.retry_after) {
            (ErrorKind::RateLimited | ErrorKind::Unavailable, Some(after)) => Retry::After(after),
            (ErrorKind::RateLimited | ErrorKind::Unavailable, None) => Retry::Backoff,
            // An outage of the key is over when the operator says so; a cut-off body may be whole next time.
            (ErrorKind::Unauthorized | ErrorKind::Malformed, _) => Retry::Backoff,
            (ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::Rejected, _) => Retry::Never,
            (ErrorKind::TooLarge | ErrorKind::Redirect | ErrorKind::Endless | ErrorKind::StrayCursor, _) => {
                Retry::Never
            }
        }
    }

    /// The time that Merge, or the breaker, asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Merge does not serve us now; nothing is wrong with what we asked.
    pub fn is_unavailable(&self) -> bool {
        !matches!(self.kind, ErrorKind::Forbidden | ErrorKind::NotFound | ErrorKind::Rejected)
    }

    /// Merge refused our API key, rather than an account token: the call named no linked account.
    pub fn is_api_key_refused(&self) -> bool {
        self.kind == ErrorKind::Unauthorized && !self.scoped
    }

    /// A word for metrics.
    pub fn label(&self) -> &'static str {
        self.kind.label()
    }
}

impl fmt::Display for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Merge call {} failed: {}", self.call, self.label())?;
        if let Some(status) = self.status {
            write!(f, ", status {status}")?;
        }
        if let Some(detail) = &self.detail {
            write!(f, ", {detail:?}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for MergeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MergeError({self})")
    }
}

impl Error for MergeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// The longest detail that is kept, in characters.
const LONGEST_DETAIL: usize = 200;

/// A run of letters, digits and token punctuation of this length is taken for a secret.
const SHORTEST_SECRET: usize = 16;

/// Merge's `detail`, fit for a log: `secrets` and whatever looks like a token is replaced, then the rest is cut.
pub(super) fn redacted(detail: &str, secrets: &[&str]) -> String {
    let mut text = detail.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "[redacted]");
    }
    let part_of_a_token = |c: char| c.is_ascii_alphanumeric() || "-_+/=.~%".contains(c);
    let mut safe = String::new();
    let mut rest = text.as_str();
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| part_of_a_token(c) != part_of_a_token(first)).unwrap_or(rest.len());
        let (run, tail) = rest.split_at(end);
        let secret = part_of_a_token(first) && run.len() >= SHORTEST_SECRET;
        safe.push_str(if secret { "[redacted]" } else { run });
        rest = tail;
    }
    safe.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_DETAIL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checklist_35_a_detail_keeps_its_words_and_loses_its_secrets() {
        for (detail, expected) in [
            ("Not found.", "Not found."),
            ("Invalid key dev-key!", "Invalid key [redacted]!"),
            ("token aB3dE6gH9jK2mN5pQ is used", "token [redacted] is used"),
            ("a\r\nb", "a  b"),
            (
                "Account Token must be passed in as an X-Account-Token header.",
                "Account Token must be passed in as an X-Account-Token header.",
            ),
        ] {
            assert_eq!(redacted(detail, &["dev-key", ""]), expected);
        }
        assert_eq!(redacted(&"word ".repeat(100), &[]).chars().count(), LONGEST_DETAIL);
    }

    #[test]
    fn what_is_waited_for_is_what_passes_by_itself() {
        let retry = |kind| MergeError::new(kind, "x").retry();
        assert_eq!(retry(ErrorKind::Rejected), Retry::Never);
        assert_eq!(retry(ErrorKind::Unavailable), Retry::Backoff);
        let limited = MergeError::new(ErrorKind::RateLimited, "x").after(Some(Duration::from_secs(7)));
        assert_eq!(limited.retry(), Retry::After(Duration::from_secs(7)));
        assert!(limited.is_unavailable());
        assert!(!MergeError::new(ErrorKind::NotFound, "x").is_unavailable());
    }

    #[test]
    fn only_a_call_without_account_blames_the_api_key() {
        assert!(MergeError::new(ErrorKind::Unauthorized, "x").is_api_key_refused());
        assert!(!MergeError::new(ErrorKind::Unauthorized, "x").scoped(true).is_api_key_refused());
    }
}
