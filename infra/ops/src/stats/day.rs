//! The last day, as CloudWatch counted it: webhooks against polls, Merge's errors and limits, and DynamoDB's capacity with
//! its price. Of the whole stack, whichever accounts are asked for.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use shared::merge::ErrorKind;
use shared::telemetry::Metric;

use crate::connection::Connection;
use crate::failure::Failure;
use crate::metrics::Counted;
use crate::output::{Cell, Output};

const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Dollars for a million request units on demand, at the list prices of us-east-1.
const READ_PRICE: f64 = 0.125;
const WRITE_PRICE: f64 = 0.625;

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
    dynamodb: Capacity,
}

/// What DynamoDB bills.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Capacity {
    read_units: u64,
    write_units: u64,
    /// On demand, at the list prices of us-east-1.
    dollars: f64,
}

impl Capacity {
    fn new(read: f64, write: f64) -> Self {
        let dollars = (read * READ_PRICE + write * WRITE_PRICE) / 1e6;
        Self { read_units: whole(read), write_units: whole(write), dollars }
    }
}

impl LastDay {
    pub async fn of(connection: &Connection, now: Timestamp) -> Result<Self, Failure> {
        let metrics = &connection.metrics;
        let own = OWN.map(|(metric, _)| metrics.own(metric));
        let errors = ErrorKind::ALL.map(|kind| metrics.own_of(Metric::MergeError, kind.label()));
        let (reads, writes) =
            (units(connection, "ConsumedReadCapacityUnits"), units(connection, "ConsumedWriteCapacityUnits"));
        let wanted = [&own[..], &errors, &reads, &writes].concat();
        let sums = metrics.sums(&wanted, now - DAY, now).await?;
        let (own, rest) = sums.split_at(own.len().min(sums.len()));
        let (errors, rest) = rest.split_at(errors.len().min(rest.len()));
        let (reads, writes) = rest.split_at(reads.len().min(rest.len()));
        let happened = |(kind, count): (ErrorKind, &f64)| (*count > 0.0).then(|| (kind.label(), whole(*count)));
        Ok(Self {
            counted: OWN.iter().zip(own).map(|((metric, _), count)| (metric.name(), whole(*count))).collect(),
            merge_errors: ErrorKind::ALL.into_iter().zip(errors).filter_map(happened).collect(),
            dynamodb: Capacity::new(reads.iter().sum(), writes.iter().sum()),
        })
    }

    pub fn print(&self, output: &Output) -> Result<(), Failure> {
        let count = |metric: Metric| self.counted.get(metric.name()).copied().unwrap_or_default();
        let own = OWN.iter().map(|(metric, told)| [Cell::from(*told), count(*metric).to_string().into()]);
        let errors = self
            .merge_errors
            .iter()
            .map(|(label, count)| [Cell::from(format!("answers of Merge's: {label}")), count.to_string().into()]);
        let Capacity { read_units, write_units, dollars } = &self.dynamodb;
        let units = [
            [Cell::from("DynamoDB read units"), read_units.to_string().into()],
            [Cell::from("DynamoDB write units"), write_units.to_string().into()],
            [Cell::from("their list price in us-east-1"), format!("${dollars:.4}").into()],
        ];
        output.table(["LAST DAY", "COUNT"], &own.chain(errors).chain(units).collect::<Vec<_>>())
    }
}

/// One of DynamoDB's counts, of both tables and of the index.
fn units(connection: &Connection, name: &'static str) -> Vec<Counted> {
    let tables = [Some(&connection.tables.accounts), connection.tables.records.as_ref()];
    let of_table = |table: &String| vec![("TableName", table.clone())];
    let mut dimensions: Vec<_> = tables.into_iter().flatten().map(of_table).collect();
    let index = ("GlobalSecondaryIndexName", "due".to_owned());
    dimensions.push(vec![("TableName", connection.tables.accounts.clone()), index]);
    let counted = |dimensions| Counted { namespace: "AWS/DynamoDB".to_owned(), name, dimensions };
    dimensions.into_iter().map(counted).collect()
}

fn whole(count: f64) -> u64 {
    count.round().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_their_list_price() {
        let capacity = Capacity::new(2_000_000.0, 1_000_000.4);
        assert_eq!((capacity.read_units, capacity.write_units), (2_000_000, 1_000_000));
        assert!((capacity.dollars - 0.875).abs() < 1e-6, "{}", capacity.dollars);
    }
}
