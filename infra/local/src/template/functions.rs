//! Functions: the Lambda functions of a template with their roles' policies and what invokes them.

use serde_json::Value as Json;

use super::error::TemplateError;
use super::properties::{Properties, text};
use super::resources::{Resource, Resources};
use crate::deployment::{Deployment, EventSource, Function, Schedule};

/// Adds every function, event source and schedule of the template to `deployment`.
pub fn collect(resources: &Resources, deployment: &mut Deployment) -> Result<(), TemplateError> {
    for resource in resources.of_kind("AWS::Serverless::Function") {
        let properties = resources.properties(resource);
        deployment.functions.push(function(resources, resource)?);
        let Some(events) = properties.child("Events")? else {
            continue;
        };
        for (name, event) in events.entries()? {
            let kind = event.text("Type")?;
            let details = event.child("Properties")?.ok_or_else(|| event.fault("Properties", "is missing"))?;
            match kind.as_str() {
                "SQS" => deployment.event_sources.extend(event_source(resources, resource, &details)?),
                "ScheduleV2" | "Schedule" => deployment.schedules.extend(schedule(resource, &details)?),
                other => {
                    return Err(event.fault(
                        "Type",
                        format!("is {other} for the event {name}; only SQS and ScheduleV2 are supported"),
                    ));
                }
            }
        }
    }
    Ok(())
}

fn function(resources: &Resources, resource: &Resource) -> Result<Function, TemplateError> {
    let properties = resources.properties(resource);
    let metadata = resources.metadata(resource);
    let binary = metadata
        .child("BuildProperties")?
        .ok_or_else(|| metadata.fault("BuildProperties", "is missing: it names the Binary"))?
        .text("Binary")?;

    let mut environment = std::collections::BTreeMap::new();
    if let Some(variables) = match properties.child("Environment")? {
        Some(environment) => environment.child("Variables")?,
        None => None,
    } && let Json::Object(entries) = variables.value()
    {
        for (name, value) in entries {
            let value = text(value).ok_or_else(|| variables.fault(name, "must be a single value"))?;
            environment.insert(name.clone(), value);
        }
    }

    let function_url = match properties.child("FunctionUrlConfig")? {
        None => false,
        Some(url) => match url.text("AuthType")?.as_str() {
            "NONE" => true,
            other => {
                return Err(url.fault("AuthType", format!("is {other}; only NONE is supported")));
            }
        },
    };
    let recursive_loop_allowed = match properties.optional_text("RecursiveLoop")?.as_deref() {
        None | Some("Terminate") => false,
        Some("Allow") => true,
        Some(other) => {
            return Err(properties.fault("RecursiveLoop", format!("must be Allow or Terminate, not {other:?}")));
        }
    };
    Ok(Function {
        logical_id: resource.logical_id.clone(),
        binary,
        timeout_seconds: properties.number("Timeout")?.unwrap_or(3),
        memory_mb: properties.small_number("MemorySize")?.unwrap_or(128),
        environment,
        recursive_loop_allowed,
        function_url,
        policy_statements: policy_statements(resources, &properties)?,
    })
}

/// The statements of the function's own role, or of its inline `Policies` when it names no role.
fn policy_statements(resources: &Resources, properties: &Properties) -> Result<Vec<Json>, TemplateError> {
    let mut statements = Vec::new();
    match properties.optional_text("Role")? {
        None => {
            for policy in properties.children("Policies")? {
                statements.extend(statements_of(&policy)?);
            }
        }
        Some(arn) => {
            let role = resources
                .by_arn("AWS::IAM::Role", &arn)?
                .ok_or_else(|| properties.fault("Role", "is no role of this template"))?;
            let role = resources.properties(role);
            if role.get("ManagedPolicyArns").is_some() {
                return Err(role.fault("ManagedPolicyArns", "is not supported: name the actions"));
            }
            for policy in role.children("Policies")? {
                let document =
                    policy.child("PolicyDocument")?.ok_or_else(|| policy.fault("PolicyDocument", "is missing"))?;
                statements.extend(statements_of(&document)?);
            }
        }
    }
    Ok(statements)
}

fn statements_of(document: &Properties) -> Result<Vec<Json>, TemplateError> {
    match document.get("Statement") {
        Some(Json::Array(statements)) => Ok(statements.clone()),
        Some(statement @ Json::Object(_)) => Ok(vec![statement.clone()]),
        _ => Err(document.fault("Statement", "must be a list of statements")),
    }
}

fn event_source(
    resources: &Resources,
    function: &Resource,
    details: &Properties,
) -> Result<Option<EventSource>, TemplateError> {
    if details.flag("Enabled")? == Some(false) {
        return Ok(None);
    }
    let arn = details.text("Queue")?;
    let queue = resources
        .by_arn("AWS::SQS::Queue", &arn)?
        .ok_or_else(|| details.fault("Queue", format!("is {arn:?}, no queue of this template")))?;
    let maximum_concurrency = match details.child("ScalingConfig")? {
        Some(scaling) => scaling.small_number("MaximumConcurrency")?,
        None => None,
    };
    Ok(Some(EventSource {
        function: function.logical_id.clone(),
        queue: queue.logical_id.clone(),
        batch_size: details.small_number("BatchSize")?.unwrap_or(10),
        maximum_concurrency,
        report_batch_item_failures: details
            .texts("FunctionResponseTypes")?
            .iter()
            .any(|kind| kind == "ReportBatchItemFailures"),
    }))
}

fn schedule(function: &Resource, details: &Properties) -> Result<Option<Schedule>, TemplateError> {
    let off = details.optional_text("State")?.as_deref() == Some("DISABLED") || details.flag("Enabled")? == Some(false);
    if off {
        return Ok(None);
    }
    // SAM calls it Schedule in a `Schedule` event and ScheduleExpression in a `ScheduleV2` one.
    let key = match details.get("Schedule") {
        Some(_) => "Schedule",
        None => "ScheduleExpression",
    };
    let expression = details.text(key)?;
    let every_seconds = rate_seconds(&expression).ok_or_else(|| {
        details.fault(key, format!("is {expression:?}; only rate(n minutes|hours|days) is supported"))
    })?;
    Ok(Some(Schedule {
        function: function.logical_id.clone(),
        every_seconds,
        input: details.optional_text("Input")?.unwrap_or_else(|| "{}".to_owned()),
    }))
}

/// Seconds of `rate(5 minutes)`; `None` for anything else.
fn rate_seconds(expression: &str) -> Option<u64> {
    let inner = expression.strip_prefix("rate(")?.strip_suffix(')')?;
    let (count, unit) = inner.trim().split_once(' ')?;
    let count: u64 = count.parse().ok().filter(|count| *count > 0)?;
    let unit = match unit.trim() {
        "minute" | "minutes" => 60,
        "hour" | "hours" => 3_600,
        "day" | "days" => 86_400,
        _ => return None,
    };
    count.checked_mul(unit)
}
