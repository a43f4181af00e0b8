//! Telemetry: what a function says about itself. Logs are JSON lines on standard output, one object each, with the
//! AWS request id of the invocation; metrics are lines in CloudWatch's embedded metric format, so that counting costs
//! no call.
//!
//! No secret and no record ever reaches it: errors say only what their types chose to say, and an organization is
//! logged as the start of its hash.

use std::fmt::Write as _;
use std::sync::OnceLock;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use sha2::{Digest, Sha256};
use tracing::Span;
use tracing::field::{Empty, display};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{
    self,
    format::{Format, Json, JsonFields},
};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use crate::ambient;
use crate::config::Logging;
use crate::domain::ids::{AccountId, OrganizationId};

/// In whose name this process counts.
static SOURCE: OnceLock<Source> = OnceLock::new();

/// Where metrics come from and go to.
struct Source {
    /// CloudWatch namespace.
    namespace: String,
    /// A property of each line, no dimension: searched for in the log, and no metric of its own.
    function: &'static str,
}

/// Starts logging, and metrics in the configured namespace. Only what our own crates say is logged below `warn`:
/// libraries log headers and bodies.
///
/// `function` is the binary's name, from `env!("CARGO_BIN_NAME")`: in Lambda every file is named `bootstrap`, and AWS's
/// name for the function is another one in each stack.
///
/// A second call in the same process does nothing, which lets several handlers share one in tests.
pub fn init(function: &'static str, logging: &Logging) {
    let source = SOURCE.get_or_init(|| Source { namespace: logging.metrics_namespace.clone(), function });
    let level = LevelFilter::from_level(logging.level);
    // The two libraries, whose handlers do nearly all the work, and the binary's own main.
    let main = function.replace('-', "_");
    let ours = ["shared", "functions", main.as_str()];
    let targets =
        Targets::new().with_default(level.min(LevelFilter::WARN)).with_targets(ours.map(|target| (target, level)));
    if tracing_subscriber::registry().with(targets).with(lines()).try_init().is_err() {
        tracing::debug!(namespace = source.namespace, "logging was started before");
    }
}

/// Log lines as JSON objects, with the invocation's span in `span`.
fn lines<S>() -> fmt::Layer<S, JsonFields, Format<Json>>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    fmt::layer().json().flatten_event(true).with_current_span(true).with_span_list(false).with_ansi(false)
}

/// The span of one invocation: every line within carries `request_id`, the id that AWS gave the invocation, and once
/// they are known the organization and the account that it is about.
pub fn invocation(request_id: &str) -> Span {
    // At any level of logging: a line without them cannot be found.
    tracing::error_span!("invocation", request_id, organization = Empty, account = Empty)
}

/// The invocation is about this organization.
pub fn about(organization: &OrganizationId) {
    Span::current().record("organization", hashed(organization));
}

/// The invocation is about this account of its organization.
pub fn about_account(organization: &OrganizationId, account: AccountId) {
    about(organization);
    Span::current().record("account", display(account));
}

/// An organization in a log line: enough to tell two apart, not enough to name one.
pub fn hashed(organization: &OrganizationId) -> String {
    let digest = Sha256::digest(organization.as_str().as_bytes());
    digest[..6].iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

/// An error and its sources, joined by `: `, for the one line at the edge that logs it.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some libraries repeat their source in their own text.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// An error of the AWS SDK for the log: its sources, AWS's code and AWS's words. Its `Debug`, which the SDK's own
/// display prints as well, would show the raw answer, with the rows in it.
pub fn aws_chain(error: &(impl std::error::Error + ProvideErrorMetadata + 'static)) -> String {
    let mut text = chain(error);
    for part in [error.code(), error.message()].into_iter().flatten().filter(|part| !part.is_empty()) {
        if !text.contains(part) {
            text.push_str(": ");
            text.push_str(part);
        }
    }
    text
}

macro_rules! metrics {
    ($($(#[$doc:meta])* $metric:ident),+ $(,)?) => {
        /// Everything that is counted. The name of a metric is the name of its variant.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Metric { $($(#[$doc])* $metric),+ }

        impl Metric {
            /// Its name in CloudWatch.
            pub fn name(self) -> &'static str {
                match self { $(Self::$metric => stringify!($metric)),+ }
            }
        }
    };
}

metrics! {
    /// A webhook was verified and queued. Dimension: what it is about.
    WebhookQueued,
    /// A webhook was verified and there was nothing to do. Dimension: why.
    WebhookIgnored,
    /// A webhook's signature did not hold.
    WebhookForged,
    /// A webhook was signed with a key other than the newest. Dimension: the key's place in the list.
    WebhookOlderKey,
    /// A webhook could not be queued and was answered 5xx. Dimension: the cause.
    WebhookUnavailable,
    /// A call to Merge failed. Dimension: the error's label.
    MergeError,
    /// Merge refused our API key: an outage, for the operator.
    MergeApiKeyRefused,
    /// Merge's list does not have an account of ours. Dimension: `one`, or `all` while it has no account at all.
    MergeAccountsMissing,
    /// Merge sent a field's value that this build does not know. Dimension: the type.
    MergeContractDrift,
    /// A token ciphertext would not decrypt under its row's context.
    TokenUndecryptable,
    /// Somebody presented a public token that is not theirs.
    ForeignPublicToken,
    /// A page of records was committed. Dimension: the model.
    PageCommitted,
    /// Records were written. Dimension: the model.
    RecordsWritten,
    /// A window was finished. Dimension: the model.
    WindowFinished,
    /// Deletions are held for the operator. Dimension: the model.
    DeletionsHeld,
    /// A model cannot be read to its end. Dimension: the model.
    ModelDegraded,
    /// A queue message failed and will be received again. Dimension: its type.
    MessageFailed,
    /// A continuation moved no checkpoint and was not sent on.
    ContinuationStuck,
    /// Accounts that the poller queued.
    AccountsPolled,
    /// Seconds of the schedule that the poller is behind, at the end of a run.
    PollerLag,
    /// Attempts to connect that nobody finished, counted once a day. Dimension: their age.
    PendingAttempt,
    /// A census found an account on one side only. Dimension: the side.
    CensusOrphan,
    /// A message was parked until its account is known. Dimension: its type.
    MessageParked,
    /// A parked message found no account in a day. Dimension: its type.
    ParkedExpired,
    /// An issue was opened, or came back. Dimension: its kind.
    IssueOpened,
    /// A relink led to another system or organization; deletions are held.
    RelinkedElsewhere,
    /// Windows that brought something. Dimension: what led to them (webhook, poll, request, continuation).
    ChangesSeen,
    /// A poll found a sync that no webhook had told of, on an account whose webhooks used to arrive.
    WebhookMissing,
    /// Seconds from the end of Merge's sync to the end of our fetch. Dimension: the poll class.
    DataLag,
    /// Fetches that ended later than the poll class promises. Dimension: the poll class.
    DataLate,
    /// A poll or a hint found that everything was known, and asked Merge nothing.
    LookSkipped,
    /// A linked account was deleted and purged.
    AccountPurged,
    /// A request ended in an internal error.
    InternalError,
}

/// Counts `value` of `metric`.
pub fn count(metric: Metric, value: u64) {
    emit(metric, value, None);
}

/// Counts `value` of `metric` under a dimension: a word of few values, never an id.
pub fn count_by(metric: Metric, dimension: &str, value: u64) {
    emit(metric, value, Some(dimension));
}

fn emit(metric: Metric, value: u64, dimension: Option<&str>) {
    let now = ambient::now().as_millisecond().max(0).unsigned_abs();
    let source = SOURCE.get().map_or(("Tether", ""), |source| (source.namespace.as_str(), source.function));
    ambient::print(&emf(source.0, source.1, metric, value, dimension, now));
}

/// One line of CloudWatch's embedded metric format.
fn emf(namespace: &str, function: &str, metric: Metric, value: u64, dimension: Option<&str>, now_ms: u64) -> String {
    let name = metric.name();
    let dimensions = if dimension.is_some() { serde_json::json!([["Kind"], []]) } else { serde_json::json!([[]]) };
    let mut line = serde_json::json!({
        "_aws": {
            "Timestamp": now_ms,
            "CloudWatchMetrics": [{ "Namespace": namespace, "Dimensions": dimensions, "Metrics": [{ "Name": name }] }],
        },
        "function": function,
        name: value,
    });
    if let Some(dimension) = dimension {
        line["Kind"] = dimension.into();
    }
    line.to_string()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What was printed.
    #[derive(Clone, Default)]
    struct Printed(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Printed {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_metric_is_one_line_that_cloudwatch_reads() {
        let line = emf("tether-prod", "webhook", Metric::WebhookForged, 1, None, 1_700_000_000_000);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(read["WebhookForged"], 1);
        assert_eq!(read["function"], "webhook");
        assert_eq!(read["_aws"]["CloudWatchMetrics"][0]["Namespace"], "tether-prod");
        assert_eq!(read["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"], "WebhookForged");
        assert_eq!(read["_aws"]["Timestamp"], 1_700_000_000_000_u64);
    }

    #[test]
    fn a_dimension_is_counted_on_its_own_and_in_total() {
        let line = emf("Tether", "webhook", Metric::WebhookQueued, 3, Some("Issue.new\n"), 0);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(read["Kind"], "Issue.new\n");
        assert_eq!(read["_aws"]["CloudWatchMetrics"][0]["Dimensions"], serde_json::json!([["Kind"], []]));
    }

    #[test]
    fn an_organization_is_told_apart_but_not_named() {
        let acme = OrganizationId::parse("org_acme").unwrap();
        let globex = OrganizationId::parse("org_globex").unwrap();
        assert_eq!(hashed(&acme).len(), 12);
        assert_ne!(hashed(&acme), hashed(&globex));
        assert!(!hashed(&acme).contains("acme"));
    }

    #[test]
    fn every_line_says_whose_invocation_it_is_once_that_is_known() {
        let printed = Printed::default();
        let writer = printed.clone();
        let lines = lines().with_writer(move || writer.clone());
        let only_errors = Targets::new().with_default(LevelFilter::ERROR);
        let acme = OrganizationId::parse("org_acme").unwrap();
        let account = AccountId::new(uuid::Uuid::from_u128(7));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(only_errors).with(lines), || {
            let _span = invocation("r1").entered();
            tracing::error!("before");
            about_account(&acme, account);
            tracing::error!("after");
        });
        let printed = String::from_utf8(printed.0.lock().unwrap().clone()).unwrap();
        let spans: Vec<serde_json::Value> = printed
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["span"].clone())
            .collect();
        assert_eq!(spans[0], serde_json::json!({"name": "invocation", "request_id": "r1"}));
        assert_eq!(spans[1]["organization"], hashed(&acme));
        assert_eq!(spans[1]["account"], account.to_string());
        assert_eq!(spans[1]["request_id"], "r1");
    }

    #[test]
    fn a_chain_names_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] Inner);
        #[derive(Debug, thiserror::Error)]
        #[error("inner")]
        struct Inner;
        assert_eq!(chain(&Outer(Inner)), "outer: inner");
    }
}
