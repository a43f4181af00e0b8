//! The cost of the last day, from what AWS counts, at the list prices of us-east-1 and without any free tier:
//! DynamoDB's request units, Lambda's invocations and time, SQS's messages. KMS counts nothing for one key: its calls
//! are estimated.

use jiff::Timestamp;
use serde::Serialize;

use super::day::whole;
use crate::connection::{Connection, Function};
use crate::metrics::{Counted, MetricsError};
use crate::output::Cell;
use crate::prices::{GB_SECOND, INVOCATIONS, KEY_REQUESTS, QUEUE_REQUESTS, READ_UNITS, WRITE_UNITS};

/// What SQS counts. It bills requests, of which a batch is one: each message on its own is the most that it can be.
const MESSAGES: [&str; 4] =
    ["NumberOfMessagesSent", "NumberOfMessagesReceived", "NumberOfMessagesDeleted", "NumberOfEmptyReceives"];

/// Whose runs open an account token each, at most once a minute.
const WORKER: &str = "sync-worker";

/// See the module.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Cost {
    pub dynamodb: Capacity,
    /// Null where the stack does not name its functions: deploy this version's template.
    pub lambda: Option<Compute>,
    pub sqs: Requests,
    /// Estimated: a call for each run of the worker. Null as for `lambda`.
    pub kms_estimated: Option<Requests>,
    /// Of all these.
    pub dollars: f64,
}

/// What DynamoDB bills.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Capacity {
    pub read_units: u64,
    pub write_units: u64,
    pub dollars: f64,
}

/// What Lambda bills, without the initialisation of new processes.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Compute {
    pub invocations: u64,
    pub gb_seconds: f64,
    pub dollars: f64,
}

#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Requests {
    pub requests: u64,
    pub dollars: f64,
}

impl Capacity {
    fn new(read: f64, write: f64) -> Self {
        let dollars = (read * READ_UNITS + write * WRITE_UNITS) / 1e6;
        Self { read_units: whole(read), write_units: whole(write), dollars }
    }
}

impl Compute {
    fn new(invocations: f64, gb_seconds: f64) -> Self {
        let dollars = invocations * INVOCATIONS / 1e6 + gb_seconds * GB_SECOND;
        Self { invocations: whole(invocations), gb_seconds, dollars }
    }
}

impl Requests {
    fn new(requests: f64, price: f64) -> Self {
        Self { requests: whole(requests), dollars: requests * price / 1e6 }
    }
}

impl Cost {
    /// Asks CloudWatch.
    pub async fn of(connection: &Connection, from: Timestamp, to: Timestamp) -> Result<Self, MetricsError> {
        let reads = units(connection, "ConsumedReadCapacityUnits");
        let writes = units(connection, "ConsumedWriteCapacityUnits");
        let queues = connection.queue_names.iter();
        let messages = queues.flat_map(|queue| MESSAGES.map(|name| counted("AWS/SQS", name, "QueueName", queue)));
        let messages: Vec<_> = messages.collect();
        let lambda = |name| {
            let functions = connection.functions.iter();
            functions.map(move |of| counted("AWS/Lambda", name, "FunctionName", &of.name)).collect::<Vec<_>>()
        };
        let groups = [reads, writes, messages, lambda("Invocations"), lambda("Duration")];
        let sums = connection.metrics.sums(&groups.concat(), from, to).await?;
        let mut sums = sums.into_iter();
        let [reads, writes, messages, invocations, durations] =
            groups.map(|group| sums.by_ref().take(group.len()).collect::<Vec<f64>>());
        let capacity = Capacity::new(reads.iter().sum(), writes.iter().sum());
        Ok(Self::counted(capacity, messages.iter().sum(), &connection.functions, &invocations, &durations))
    }

    /// `invocations` and `milliseconds` are those of the functions, in their order.
    fn counted(
        dynamodb: Capacity,
        messages: f64,
        functions: &[Function],
        invocations: &[f64],
        milliseconds: &[f64],
    ) -> Self {
        let sqs = Requests::new(messages, QUEUE_REQUESTS);
        let gigabytes = functions.iter().map(|function| f64::from(function.memory_mb) / 1_024.0);
        let gb_seconds = gigabytes.zip(milliseconds).map(|(gigabytes, time)| gigabytes * time / 1e3).sum();
        let known = !functions.is_empty();
        let lambda = known.then(|| Compute::new(invocations.iter().sum(), gb_seconds));
        let runs = functions.iter().zip(invocations).filter(|(function, _)| function.binary == WORKER);
        let kms_estimated = known.then(|| Requests::new(runs.map(|(_, count)| count).sum(), KEY_REQUESTS));
        let named = [lambda.as_ref().map(|l| l.dollars), kms_estimated.as_ref().map(|kms| kms.dollars)];
        let dollars = dynamodb.dollars + sqs.dollars + named.into_iter().flatten().sum::<f64>();
        Self { dynamodb, lambda, sqs, kms_estimated, dollars }
    }

    /// As rows of what was used, how much, and what it costs.
    pub fn rows(&self) -> Vec<[Cell; 3]> {
        let row = |what: &str, count: String, dollars: Option<f64>| -> [Cell; 3] {
            let dollars = dollars.map_or_else(String::new, |dollars| format!("${dollars:.4}"));
            [what.into(), count.into(), dollars.into()]
        };
        let Capacity { read_units, write_units, dollars } = &self.dynamodb;
        let units = format!("{read_units} read, {write_units} write");
        let mut rows = vec![row("DynamoDB units", units, Some(*dollars))];
        rows.push(match &self.lambda {
            Some(lambda) => {
                let used = format!("{} in {:.1} GB-seconds", lambda.invocations, lambda.gb_seconds);
                row("Lambda invocations", used, Some(lambda.dollars))
            }
            None => row("Lambda invocations", "the stack does not name its functions".to_owned(), None),
        });
        rows.push(row("SQS requests, at most", self.sqs.requests.to_string(), Some(self.sqs.dollars)));
        if let Some(kms) = &self.kms_estimated {
            let used = format!("{}, one for each run of the worker", kms.requests);
            rows.push(row("KMS calls, estimated", used, Some(kms.dollars)));
        }
        rows.push(row("all of it, at us-east-1's list prices", String::new(), Some(self.dollars)));
        rows
    }
}

/// One of DynamoDB's counts, of both tables and of the index.
fn units(connection: &Connection, name: &'static str) -> Vec<Counted> {
    let tables = [Some(&connection.tables.accounts), connection.tables.records.as_ref()].into_iter().flatten();
    let mut all: Vec<_> = tables.map(|table| counted("AWS/DynamoDB", name, "TableName", table)).collect();
    let mut index = counted("AWS/DynamoDB", name, "TableName", &connection.tables.accounts);
    index.dimensions.push(("GlobalSecondaryIndexName", "due".to_owned()));
    all.push(index);
    all
}

fn counted(namespace: &str, name: &'static str, dimension: &'static str, value: &str) -> Counted {
    Counted { namespace: namespace.to_owned(), name, dimensions: vec![(dimension, value.to_owned())] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(binary: &str, memory_mb: u32) -> Function {
        Function { binary: binary.to_owned(), name: format!("stack-{binary}"), memory_mb }
    }

    #[track_caller]
    fn about(is: f64, expected: f64) {
        assert!((is - expected).abs() < 1e-6, "{is}, not {expected}");
    }

    #[test]
    fn units_have_their_list_price() {
        let capacity = Capacity::new(2_000_000.0, 1_000_000.4);
        assert_eq!((capacity.read_units, capacity.write_units), (2_000_000, 1_000_000));
        about(capacity.dollars, 0.875);
    }

    #[test]
    fn a_day_costs_what_its_parts_do() {
        let functions = [function("webhook", 256), function(WORKER, 512)];
        let cost = Cost::counted(
            Capacity::new(2_000_000.0, 1_000_000.0),
            3_000_000.0,
            &functions,
            &[1_000_000.0, 500_000.0],
            &[4_000_000.0, 2_000_000.0],
        );
        let lambda = cost.lambda.as_ref().unwrap();
        assert_eq!(lambda.invocations, 1_500_000);
        about(lambda.gb_seconds, 2_000.0);
        about(lambda.dollars, 0.3 + 0.026_666_8);
        assert_eq!(cost.kms_estimated, Some(Requests { requests: 500_000, dollars: 1.5 }));
        about(cost.sqs.dollars, 1.5);
        about(cost.dollars, 0.875 + 0.326_666_8 + 1.5 + 1.5);
        let older = Cost::counted(Capacity::default(), 0.0, &[], &[], &[]);
        assert_eq!((older.lambda, older.kms_estimated), (None, None), "unknown is not nothing");
    }
}
