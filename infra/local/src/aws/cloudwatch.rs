//! CloudWatch: what was counted. One action, `GetMetricData`, over the metrics that functions print in their logs (in
//! CloudWatch's embedded metric format), DynamoDB's capacity units, SQS's messages and Lambda's invocations. Sums only;
//! other metrics have no data.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::Fault;
use super::meter::Meter;
use crate::lambda::Host;
use crate::logs::Logs;

/// The CloudWatch service of one stack.
#[derive(Default)]
pub struct CloudWatch {
    logs: OnceLock<Logs>,
    functions: OnceLock<Functions>,
}

/// The host of a stack's functions, and their binaries by name.
struct Functions {
    host: Host,
    binaries: BTreeMap<String, String>,
}

/// A metric, and dimensions by name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Dimension {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Query {
    id: String,
    metric_stat: Stat,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stat {
    metric: Metric,
    period: i64,
    stat: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ask {
    start_time: f64,
    end_time: f64,
    metric_data_queries: Vec<Query>,
}

/// A value at a second.
type Datum = (i64, f64);

impl CloudWatch {
    /// From now on metrics are read from these logs.
    pub fn read_from(&self, logs: Logs) {
        // A stack has one log.
        self.logs.set(logs).ok();
    }

    /// From now on invocations are those of this host, whose `binaries` are given by the functions' names.
    pub fn watch(&self, host: Host, binaries: BTreeMap<String, String>) {
        // A stack has one host.
        self.functions.set(Functions { host, binaries }).ok();
    }

    /// Runs an action with the JSON body `input`.
    pub fn call(&self, action: &str, input: Value, meter: &Meter, now: i64) -> Result<Value, Fault> {
        if action != "GetMetricData" {
            return Err(Fault::unknown_operation("CloudWatch", action));
        }
        let ask: Ask = serde_json::from_value(input)
            .map_err(|error| Fault::client("SerializationException", error.to_string()))?;
        let (start, end) = (ask.start_time as i64, ask.end_time as i64);
        let results = ask.metric_data_queries.into_iter().map(|query| {
            if query.metric_stat.stat != "Sum" || query.metric_stat.period < 60 || query.metric_stat.period % 60 != 0 {
                return Err(Fault::client("InvalidParameterValue", "a sum over whole minutes is all there is here"));
            }
            let mut sums: BTreeMap<i64, f64> = BTreeMap::new();
            for (at, value) in self.data(&query.metric_stat.metric, meter, now) {
                if (start..end).contains(&at) {
                    *sums.entry(at - at.rem_euclid(query.metric_stat.period)).or_default() += value;
                }
            }
            let (times, values): (Vec<_>, Vec<_>) = sums.into_iter().rev().unzip();
            let label = query.metric_stat.metric.metric_name;
            Ok(json!({"Id": query.id, "Label": label, "StatusCode": "Complete", "Timestamps": times, "Values": values}))
        });
        Ok(json!({"MetricDataResults": results.collect::<Result<Vec<_>, _>>()?, "Messages": []}))
    }

    fn data(&self, metric: &Metric, meter: &Meter, now: i64) -> Vec<Datum> {
        match (metric.namespace.as_str(), metric.metric_name.as_str(), metric.dimensions.as_slice()) {
            // Meters know no times: what was used, was used just now.
            ("AWS/DynamoDB", name, [table]) if table.name == "TableName" => {
                let used = meter.units().into_iter().filter(|((_, named), _)| *named == table.value);
                let units = used.map(|(_, units)| match name {
                    "ConsumedReadCapacityUnits" => units.read,
                    "ConsumedWriteCapacityUnits" => units.write,
                    _ => 0.0,
                });
                vec![(now - 1, units.sum())]
            }
            ("AWS/SQS", name, [queue]) if queue.name == "QueueName" => {
                vec![(now - 1, meter.messages(name, &queue.value) as f64)]
            }
            ("AWS/Lambda", name, [function]) if function.name == "FunctionName" => {
                let functions = self.functions.get();
                let binary = functions.and_then(|functions| functions.binaries.get(&function.value));
                let used = functions.zip(binary).map(|(functions, binary)| functions.host.usage(binary));
                let used = used.unwrap_or_default();
                match name {
                    "Invocations" => vec![(now - 1, used.invocations as f64)],
                    "Duration" => vec![(now - 1, used.milliseconds)],
                    _ => Vec::new(),
                }
            }
            (_, name, _) => {
                let quoted = format!("\"{name}\":");
                let lines = self.logs.get().map(Logs::lines).unwrap_or_default().into_iter();
                lines
                    .filter(|line| line.line.contains(&quoted))
                    .filter_map(|line| printed(&line.line, metric))
                    .collect()
            }
        }
    }
}

/// The value of a metric in a line of a log, if it is in there with the same dimensions.
fn printed(line: &str, metric: &Metric) -> Option<Datum> {
    let line: Value = serde_json::from_str(line).ok()?;
    let directive = line["_aws"]["CloudWatchMetrics"].as_array()?.iter().find(|directive| {
        let names = directive["Metrics"].as_array().into_iter().flatten();
        directive["Namespace"] == metric.namespace.as_str()
            && names.filter_map(|named| named["Name"].as_str()).any(|name| name == metric.metric_name)
    })?;
    let sets = directive["Dimensions"].as_array()?;
    let wanted: Vec<&str> = metric.dimensions.iter().map(|dimension| dimension.name.as_str()).collect();
    let set = |set: &&Value| {
        set.as_array().is_some_and(|names| names.iter().map(Value::as_str).eq(wanted.iter().copied().map(Some)))
    };
    sets.iter().find(set)?;
    let same = metric.dimensions.iter().all(|dimension| line[&dimension.name] == dimension.value.as_str());
    let at = line["_aws"]["Timestamp"].as_i64()?.div_euclid(1_000);
    same.then_some((at, line[&metric.metric_name].as_f64()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Echo;

    #[test]
    fn what_functions_print_is_summed_by_dimension_and_in_total() {
        let service = CloudWatch::default();
        let logs = Logs::new(Echo::Nothing);
        service.read_from(logs.clone());
        for (kind, value) in [("a", 2), ("b", 3)] {
            let directive = json!({"Namespace": "stack", "Dimensions": [["Kind"], []], "Metrics": [{"Name": "Seen"}]});
            let line =
                json!({"_aws": {"Timestamp": 90_000, "CloudWatchMetrics": [directive]}, "Seen": value, "Kind": kind});
            logs.written("webhook", line.to_string());
        }
        logs.written("webhook", json!({"message": "\"Seen\": nothing"}).to_string());
        let sum = |namespace: &str, dimensions: Value, start: i64| {
            let metric = json!({"Namespace": namespace, "MetricName": "Seen", "Dimensions": dimensions});
            let query = json!({"Id": "m", "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}});
            let ask = json!({"StartTime": start, "EndTime": 120, "MetricDataQueries": [query]});
            let answer = service.call("GetMetricData", ask, &Meter::default(), 120).expect("an answer");
            answer["MetricDataResults"][0]["Values"].clone()
        };
        assert_eq!(sum("stack", json!([]), 0), json!([5.0]));
        assert_eq!(sum("stack", json!([{"Name": "Kind", "Value": "a"}]), 0), json!([2.0]));
        assert_eq!(sum("other", json!([]), 0), json!([]));
        assert_eq!(sum("stack", json!([]), 100), json!([]), "before");
        assert!(service.call("PutMetricData", json!({}), &Meter::default(), 0).is_err());
    }
}
