//! Physical ids: what `!Ref` and `!GetAtt` of a resource resolve to. They follow from the stack's
//! name and the resource's logical id, so nothing has to exist yet.

use serde_json::Value as Json;
use yaml_serde::Value;

use super::error::{Place, TemplateError};
use super::intrinsics::Resolver;
use super::properties::text;

/// A resource as far as its identity goes.
struct Identity<'v> {
    logical_id: String,
    kind: String,
    properties: Option<&'v Value>,
}

/// The value of `!Ref name`.
pub fn reference(resolver: &Resolver, name: &str, at: &Place) -> Result<Json, TemplateError> {
    // SAM makes `{function}.Alias` of a function that publishes one.
    if let Some(function) = name.strip_suffix(".Alias") {
        return published_alias(resolver, function, at).map(Json::from);
    }
    let resource = find(resolver, name, at)?;
    let id = match resource.kind.as_str() {
        "AWS::KMS::Key" => key_arn(resolver, name),
        "AWS::SQS::Queue" => queue_url(resolver, &physical_name(resolver, &resource)?),
        "AWS::Lambda::Url" => arn(resolver, &resource)?,
        // API Gateway's and Cognito's generated ids; the logical id stands for them.
        "AWS::ApiGatewayV2::Stage" => property(resolver, &resource, "StageName")?
            .ok_or_else(|| resolver.fault(at, format!("refers to {name}, which has no StageName")))?,
        kind if kind.starts_with("AWS::ApiGatewayV2::") => name.to_owned(),
        "AWS::Cognito::UserPool" => format!("{}_{name}", resolver.inputs.region),
        "AWS::Cognito::UserPoolClient" => name.to_owned(),
        "AWS::SNS::Topic" => arn(resolver, &resource)?,
        _ => physical_name(resolver, &resource)?,
    };
    Ok(Json::from(id))
}

/// The value of `!GetAtt name.attribute`.
pub fn attribute(resolver: &Resolver, name: &str, attribute: &str, at: &Place) -> Result<Json, TemplateError> {
    let resource = find(resolver, name, at)?;
    let inputs = resolver.inputs;
    let value = match (resource.kind.as_str(), attribute) {
        ("AWS::KMS::Key", "Arn") => key_arn(resolver, name),
        ("AWS::KMS::Key", "KeyId") => key_alias(&inputs.stack_name, name),
        ("AWS::SQS::Queue", "QueueName") => physical_name(resolver, &resource)?,
        ("AWS::SQS::Queue", "QueueUrl") => queue_url(resolver, &physical_name(resolver, &resource)?),
        ("AWS::SecretsManager::Secret", "Id") => physical_name(resolver, &resource)?,
        ("AWS::DynamoDB::Table", "StreamArn") => {
            format!("{}/stream/local", arn(resolver, &resource)?)
        }
        ("AWS::Events::EventBus", "Name") => physical_name(resolver, &resource)?,
        ("AWS::ApiGatewayV2::Api", "ApiEndpoint") => inputs.api_endpoint.clone(),
        ("AWS::ApiGatewayV2::Api", "ApiId") => name.to_owned(),
        ("AWS::Lambda::Url", "FunctionUrl") => inputs.function_url.clone(),
        ("AWS::Lambda::Url", "FunctionArn") => arn(resolver, &resource)?,
        ("AWS::Cognito::UserPool", "ProviderURL") => {
            format!("https://cognito-idp.{0}.amazonaws.com/{0}_{name}", inputs.region)
        }
        ("AWS::IAM::Role", "RoleId") => name.to_owned(),
        (_, "Arn" | "TopicArn" | "UserPoolArn") => arn(resolver, &resource)?,
        (kind, _) => {
            return Err(resolver
                .fault(at, format!("refers to {name}.{attribute}, an attribute of {kind} that is not supported")));
        }
    };
    Ok(Json::from(value))
}

/// ARN of the alias that a function publishes (`AutoPublishAlias`).
fn published_alias(resolver: &Resolver, name: &str, at: &Place) -> Result<String, TemplateError> {
    let function = find(resolver, name, at)?;
    let global = resolver.document.function_globals().and_then(|globals| globals.get("AutoPublishAlias"));
    let alias = match property(resolver, &function, "AutoPublishAlias")? {
        Some(own) => Some(own),
        None => global.and_then(Value::as_str).map(str::to_owned),
    };
    let none = || resolver.fault(at, format!("refers to {name}.Alias, but {name} publishes no alias"));
    Ok(format!("{}:{}", arn(resolver, &function)?, alias.ok_or_else(none)?))
}

/// `alias/{stack}-{logical id}`: the alias by which a key is called on this machine.
pub fn key_alias(stack_name: &str, logical_id: &str) -> String {
    format!("alias/{stack_name}-{logical_id}")
}

fn key_arn(resolver: &Resolver, logical_id: &str) -> String {
    let inputs = resolver.inputs;
    format!("arn:aws:kms:{}:{}:{}", inputs.region, inputs.account_id, key_alias(&inputs.stack_name, logical_id))
}

fn queue_url(resolver: &Resolver, name: &str) -> String {
    let inputs = resolver.inputs;
    format!("{}/{}/{name}", inputs.aws_endpoint, inputs.account_id)
}

fn find<'v>(resolver: &Resolver<'v>, name: &str, at: &Place) -> Result<Identity<'v>, TemplateError> {
    let missing = || resolver.fault(at, format!("refers to {name}, which does not exist"));
    // SAM makes `{function}Url` from a function's FunctionUrlConfig.
    let function_of_url = || {
        let function = resolver.document.entry("Resources", name.strip_suffix("Url")?)?;
        function.get("Properties")?.get("FunctionUrlConfig").map(|_| function)
    };
    let (entry, kind) = match resolver.document.entry("Resources", name) {
        Some(entry) => (entry, entry.get("Type").and_then(Value::as_str)),
        None => (function_of_url().ok_or_else(missing)?, Some("AWS::Lambda::Url")),
    };
    if !resolver.wanted(entry, &Place::new("resource", name))? {
        return Err(resolver.fault(at, format!("refers to {name}, which does not exist under its condition")));
    }
    Ok(Identity {
        logical_id: name.to_owned(),
        kind: kind.ok_or_else(missing)?.to_owned(),
        properties: entry.get("Properties"),
    })
}

/// The resource's own name: the one that it is given, or `{stack}-{logical id}`.
fn physical_name(resolver: &Resolver, resource: &Identity) -> Result<String, TemplateError> {
    let given = match resource.kind.as_str() {
        "AWS::DynamoDB::Table" => "TableName",
        "AWS::SQS::Queue" => "QueueName",
        "AWS::Logs::LogGroup" => "LogGroupName",
        "AWS::IAM::Role" => "RoleName",
        "AWS::Serverless::Function" | "AWS::Lambda::Url" => "FunctionName",
        "AWS::CloudWatch::Alarm" => "AlarmName",
        "AWS::CloudWatch::Dashboard" => "DashboardName",
        "AWS::SNS::Topic" => "TopicName",
        _ => "Name",
    };
    if let Some(name) = property(resolver, resource, given)? {
        return Ok(name);
    }
    let (stack, logical_id) = (&resolver.inputs.stack_name, &resource.logical_id);
    Ok(match resource.kind.as_str() {
        "AWS::SQS::Queue" if property(resolver, resource, "FifoQueue")?.as_deref() == Some("true") => {
            format!("{stack}-{logical_id}.fifo")
        }
        "AWS::Lambda::Url" => {
            let function = logical_id.strip_suffix("Url").unwrap_or(logical_id);
            format!("{stack}-{function}")
        }
        _ => format!("{stack}-{logical_id}"),
    })
}

fn property(resolver: &Resolver, resource: &Identity, key: &str) -> Result<Option<String>, TemplateError> {
    let place = Place::new("resource", &resource.logical_id).property(key);
    match resource.properties.and_then(|properties| properties.get(key)) {
        None => Ok(None),
        Some(node) => match resolver.resolve(node, &place)? {
            None => Ok(None),
            Some(value) => text(&value).map(Some).ok_or_else(|| resolver.fault(&place, "must be a single value")),
        },
    }
}

fn arn(resolver: &Resolver, resource: &Identity) -> Result<String, TemplateError> {
    let name = physical_name(resolver, resource)?;
    let inputs = resolver.inputs;
    let (region, account) = (&inputs.region, &inputs.account_id);
    Ok(match resource.kind.as_str() {
        "AWS::DynamoDB::Table" => format!("arn:aws:dynamodb:{region}:{account}:table/{name}"),
        "AWS::SQS::Queue" => format!("arn:aws:sqs:{region}:{account}:{name}"),
        "AWS::Serverless::Function" | "AWS::Lambda::Url" => {
            format!("arn:aws:lambda:{region}:{account}:function:{name}")
        }
        "AWS::IAM::Role" => format!("arn:aws:iam::{account}:role/{name}"),
        // As CloudFormation gives it, with the `:*` that log streams need in a policy.
        "AWS::Logs::LogGroup" => format!("arn:aws:logs:{region}:{account}:log-group:{name}:*"),
        "AWS::Events::EventBus" => format!("arn:aws:events:{region}:{account}:event-bus/{name}"),
        "AWS::SNS::Topic" => format!("arn:aws:sns:{region}:{account}:{name}"),
        "AWS::SecretsManager::Secret" => {
            format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}")
        }
        "AWS::Cognito::UserPool" => {
            format!("arn:aws:cognito-idp:{region}:{account}:userpool/{region}_{name}")
        }
        kind => {
            let service = kind.split("::").nth(1).unwrap_or_default().to_lowercase();
            format!("arn:aws:{service}:{region}:{account}:{name}")
        }
    })
}
