//! Parameters: the values that a deployer chooses, checked against what the template allows.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use yaml_serde::Value;

use super::Inputs;
use super::document::Document;
use super::error::{Place, TemplateError};

/// Every parameter's value: a string, or a list of strings for list types.
pub fn resolve(document: &Document, inputs: &Inputs) -> Result<BTreeMap<String, Json>, TemplateError> {
    let declared = document.entries("Parameters")?;
    for name in inputs.parameters.keys() {
        if !declared.iter().any(|(known, _)| known == name) {
            return Err(document.fault(&Place::new("parameter", name), "was given a value but is not declared"));
        }
    }
    let mut values = BTreeMap::new();
    for (name, declaration) in declared {
        let place = Place::new("parameter", name);
        let text = match inputs.parameters.get(name) {
            Some(value) => value.clone(),
            None => match declaration.get("Default") {
                Some(default) => {
                    scalar(default).ok_or_else(|| document.fault(&place, "has a Default that is not a scalar"))?
                }
                None => return Err(document.fault(&place, "has no Default and was given no value")),
            },
        };
        let secret = declaration.get("NoEcho").and_then(Value::as_bool) == Some(true);
        check(&text, declaration).map_err(|problem| {
            let shown = if secret { "****" } else { &text };
            document.fault(&place, format!("has the value {shown:?}, {problem}"))
        })?;
        let kind = declaration.get("Type").and_then(Value::as_str);
        let value = match kind {
            None => return Err(document.fault(&place, "has no Type")),
            Some(kind) if kind == "CommaDelimitedList" || kind.starts_with("List<") => {
                text.split(',').map(|element| Json::from(element.trim())).collect()
            }
            Some(_) => Json::from(text),
        };
        values.insert(name.to_owned(), value);
    }
    Ok(values)
}

/// Checks a value against Type, AllowedValues and the bounds; the error completes "has the value x, ".
fn check(text: &str, declaration: &Value) -> Result<(), String> {
    if declaration.get("Type").and_then(Value::as_str) == Some("Number") {
        let number: f64 = text.parse().map_err(|_| "which is not a number".to_owned())?;
        if let Some(least) = declaration.get("MinValue").and_then(number_of)
            && number < least
        {
            return Err(format!("which is less than {least}"));
        }
        if let Some(most) = declaration.get("MaxValue").and_then(number_of)
            && number > most
        {
            return Err(format!("which is more than {most}"));
        }
    }
    let length = text.chars().count() as f64;
    if let Some(least) = declaration.get("MinLength").and_then(number_of)
        && length < least
    {
        return Err(format!("which is shorter than {least} characters"));
    }
    if let Some(most) = declaration.get("MaxLength").and_then(number_of)
        && length > most
    {
        return Err(format!("which is longer than {most} characters"));
    }
    if let Some(Value::Sequence(allowed)) = declaration.get("AllowedValues") {
        let allowed: Vec<String> = allowed.iter().filter_map(scalar).collect();
        if !allowed.iter().any(|value| value == text) {
            return Err(format!("which is not one of {}", allowed.join(", ")));
        }
    }
    Ok(())
}

fn number_of(value: &Value) -> Option<f64> {
    scalar(value)?.parse().ok()
}

/// A YAML scalar as CloudFormation's string.
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
