//! The last day, as CloudWatch counted it: webhooks against polls, Merge's errors and limits, and what it cost. Of the
//! whole stack, whichever accounts are asked for.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared::merge::ErrorKind;
use shared::telemetry::Metric;

use super::cost::Cost;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::output::{Cell, Output};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What the functions count, and how it is told.
const OWN: [(Metric, &str); 13] = [
    (Metric::WebhookQueued, "webhooks queued"),
    (Metric::WebhookIgnored, "webhooks with nothing to do"),
    (Metric::WebhookForged, "webhooks forged"),
    (Metric::WebhookOlderKey, "webhooks signed with an older key"),
    (Metric::WebhookUnavailable, "webhooks refused, to be sent again"),
    (Metric::AccountsPolled, "accounts polled"),
    (Metric::WindowFinished, "windows fetched"),
    (Metric::RecordsWritten, "records written"),
    (Metric::MessageFailed, "messages failed"),
    (Metric::ModelDegraded, "models degraded"),
    (Metric::DeletionsHeld, "deletions held"),
    (Metric::MergeContractDrift, "unknown values of Merge's"),
    (Metric::MergeApiKeyRefused, "refusals of the API key"),
];

/// See the module.
#[derive(Debug, PartialEq, Serialize)]
pub struct LastDay {
    /// By the metric's name.
    counted: BTreeMap<&'static str, u64>,
    /// By what Merge's answer was; `rate_limited` is its limit. Without those that did not happen.
    merge_errors: BTreeMap<&'static str, u64>,
    cost: Cost,
}

impl LastDay {
    pub async fn of(connection: &Connection, now: Timestamp) -> Result<Self, Failure> {
        let metrics = &connection.metrics;
        let own = OWN.map(|(metric, _)| metrics.own(metric));
        let errors = ErrorKind::ALL.map(|kind| metrics.own_of(Metric::MergeError, kind.label()));
        let sums = metrics.sums(&[&own[..], &errors].concat(), now - DAY, now).await?;
        let (own, errors) = sums.split_at(own.len().min(sums.len()));
        let happened = |(kind, count): (ErrorKind, &f64)| (*count > 0.0).then(|| (kind.label(), whole(*count)));
        Ok(Self {
            counted: OWN.iter().zip(own).map(|((metric, _), count)| (metric.name(), whole(*count))).collect(),
            merge_errors: ErrorKind::ALL.into_iter().zip(errors).filter_map(happened).collect(),
            cost: Cost::of(connection, now - DAY, now).await?,
        })
    }

    pub fn print(&self, output: &Output) -> Result<(), Failure> {
        let count = |metric: Metric| self.counted.get(metric.name()).copied().unwrap_or_default();
        let own = OWN.iter().map(|(metric, told)| [Cell::from(*told), count(*metric).to_string().into()]);
        let errors = self
            .merge_errors
            .iter()
            .map(|(label, count)| [Cell::from(format!("answers of Merge's: {label}")), count.to_string().into()]);
        output.table(["LAST DAY", "COUNT"], &own.chain(errors).collect::<Vec<_>>())?;
        output.line("")?;
        output.table(["COST OF THE LAST DAY", "COUNT", "DOLLARS"], &self.cost.rows())
    }
}

/// A count, which CloudWatch gives as a fraction.
pub fn whole(count: f64) -> u64 {
    count.round().max(0.0) as u64
}
