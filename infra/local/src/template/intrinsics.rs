//! Intrinsic functions: `!Ref`, `!GetAtt`, `!Sub` and their kin, in the short form (a YAML tag) and
//! the long form (`Fn::GetAtt: ...`), replaced by their values.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use yaml_serde::Value;

use super::Inputs;
use super::document::Document;
use super::error::{Place, TemplateError};
use super::parameters::scalar;
use super::physical;
use super::properties::text;

/// More nested references than any honest template has: beyond it, they form a circle.
const DEEPEST: usize = 64;

/// Resolves the values of one template.
pub struct Resolver<'a> {
    pub document: &'a Document,
    pub inputs: &'a Inputs,
    parameters: BTreeMap<String, Json>,
    depth: Cell<usize>,
}

/// An intrinsic function's name without `!` or `Fn::`, and its argument.
struct Call<'v> {
    name: String,
    argument: &'v Value,
}

impl<'a> Resolver<'a> {
    pub fn new(document: &'a Document, inputs: &'a Inputs, parameters: BTreeMap<String, Json>) -> Self {
        Self { document, inputs, parameters, depth: Cell::new(0) }
    }

    pub fn fault(&self, place: &Place, problem: impl Into<String>) -> TemplateError {
        self.document.fault(place, problem)
    }

    /// Whether an entry exists: its `Condition`, if it names one, holds.
    pub fn wanted(&self, entry: &Value, place: &Place) -> Result<bool, TemplateError> {
        match entry.get("Condition") {
            None => Ok(true),
            Some(Value::String(name)) => self.condition(name, &place.property("Condition")),
            Some(_) => Err(self.fault(&place.property("Condition"), "must name a condition")),
        }
    }

    /// `node` with every intrinsic function replaced; `None` for `AWS::NoValue`.
    pub fn resolve(&self, node: &Value, at: &Place) -> Result<Option<Json>, TemplateError> {
        if let Some(call) = call(node) {
            return self.nested(at, || self.apply(&call, at));
        }
        Ok(Some(match node {
            Value::Null => Json::Null,
            Value::Bool(flag) => Json::from(*flag),
            Value::String(text) => Json::from(text.as_str()),
            Value::Number(number) => {
                serde_json::to_value(number).map_err(|_| self.fault(at, format!("has the number {number}")))?
            }
            Value::Sequence(elements) => {
                let mut list = Vec::with_capacity(elements.len());
                for (index, element) in elements.iter().enumerate() {
                    list.extend(self.resolve(element, &at.element(index))?);
                }
                Json::from(list)
            }
            Value::Mapping(entries) => {
                let mut map = Map::new();
                for (key, value) in entries {
                    let key = scalar(key).ok_or_else(|| self.fault(at, "has a key that is not a string"))?;
                    if let Some(value) = self.resolve(value, &at.property(&key))? {
                        map.insert(key, value);
                    }
                }
                Json::from(map)
            }
            Value::Tagged(tagged) => {
                return Err(self.fault(at, format!("uses {}, which is not supported", tagged.tag)));
            }
        }))
    }

    fn apply(&self, call: &Call, at: &Place) -> Result<Option<Json>, TemplateError> {
        let argument = call.argument;
        match call.name.as_str() {
            "Ref" => {
                let name =
                    argument.as_str().ok_or_else(|| self.fault(at, "Ref must name a parameter or a resource"))?;
                self.reference(name, at)
            }
            "GetAtt" => self.get_att(argument, at).map(Some),
            "Sub" => self.sub(argument, at).map(Some),
            "If" => {
                let [condition, yes, no] = self.list(argument, "If", at)?;
                let name = condition.as_str().ok_or_else(|| self.fault(at, "If must name a condition"))?;
                self.resolve(if self.condition(name, at)? { yes } else { no }, at)
            }
            "Join" => {
                let [separator, parts] = self.list(argument, "Join", at)?;
                let separator = self.string(separator, at)?;
                let parts = self.strings(parts, "Join", at)?;
                Ok(Some(Json::from(parts.join(&separator))))
            }
            "Split" => {
                let [separator, source] = self.list(argument, "Split", at)?;
                let (separator, source) = (self.string(separator, at)?, self.string(source, at)?);
                Ok(Some(source.split(&separator).map(Json::from).collect()))
            }
            "Select" => {
                let [index, list] = self.list(argument, "Select", at)?;
                let index = self.string(index, at)?;
                let values = self.strings(list, "Select", at)?;
                let value = index.parse().ok().and_then(|index: usize| values.get(index));
                value
                    .cloned()
                    .map(Json::from)
                    .map(Some)
                    .ok_or_else(|| self.fault(at, format!("Select has no element {index} of {}", values.len())))
            }
            "FindInMap" => {
                let [map, first, second] = self.list(argument, "FindInMap", at)?;
                let (map, first) = (self.string(map, at)?, self.string(first, at)?);
                let second = self.string(second, at)?;
                let found =
                    self.document.entry("Mappings", &map).and_then(|map| map.get(first.as_str())?.get(second.as_str()));
                match found {
                    Some(value) => self.resolve(value, at),
                    None => Err(self.fault(at, format!("FindInMap finds no {map}.{first}.{second}"))),
                }
            }
            "ImportValue" => {
                Err(self.fault(at, "uses ImportValue: there is no other stack on this machine to import from"))
            }
            "Equals" | "Not" | "And" | "Or" | "Condition" => {
                Err(self.fault(at, format!("uses {} outside the section Conditions", call.name)))
            }
            other => Err(self.fault(at, format!("uses {other}, which is not supported"))),
        }
    }

    fn reference(&self, name: &str, at: &Place) -> Result<Option<Json>, TemplateError> {
        if let Some(value) = self.parameters.get(name) {
            return Ok(Some(value.clone()));
        }
        let inputs = self.inputs;
        let pseudo = match name {
            "AWS::NoValue" => return Ok(None),
            "AWS::Region" => inputs.region.clone(),
            "AWS::AccountId" => inputs.account_id.clone(),
            "AWS::Partition" => "aws".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            "AWS::StackName" => inputs.stack_name.clone(),
            "AWS::StackId" => format!(
                "arn:aws:cloudformation:{}:{}:stack/{}/local",
                inputs.region, inputs.account_id, inputs.stack_name
            ),
            "AWS::NotificationARNs" => return Ok(Some(Json::Array(Vec::new()))),
            _ => return self.nested(at, || physical::reference(self, name, at).map(Some)),
        };
        Ok(Some(Json::from(pseudo)))
    }

    fn get_att(&self, argument: &Value, at: &Place) -> Result<Json, TemplateError> {
        let parts = match argument {
            Value::String(path) => path.split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())),
            Value::Sequence(parts) => match parts.as_slice() {
                [Value::String(name), attribute] => Some((name.clone(), self.string(attribute, at)?)),
                _ => None,
            },
            _ => None,
        };
        let (name, attribute) = parts.ok_or_else(|| self.fault(at, "GetAtt must have the form Resource.Attribute"))?;
        self.nested(at, || physical::attribute(self, &name, &attribute, at))
    }

    fn sub(&self, argument: &Value, at: &Place) -> Result<Json, TemplateError> {
        let (template, variables) = match argument {
            Value::Sequence(_) => {
                let [template, variables] = self.list(argument, "Sub", at)?;
                (template, Some(variables))
            }
            template => (template, None),
        };
        let template = scalar(template).ok_or_else(|| self.fault(at, "Sub must have a string to fill in"))?;
        let mut filled = String::with_capacity(template.len());
        let mut rest = template.as_str();
        while let Some(start) = rest.find("${") {
            filled.push_str(&rest[..start]);
            let after = &rest[start + 2..];
            let end = after.find('}').ok_or_else(|| self.fault(at, "Sub has a ${ without its }"))?;
            let name = &after[..end];
            if let Some(literal) = name.strip_prefix('!') {
                filled.push_str(&format!("${{{literal}}}"));
            } else {
                filled.push_str(&self.substitute(name.trim(), variables, at)?);
            }
            rest = &after[end + 1..];
        }
        filled.push_str(rest);
        Ok(Json::from(filled))
    }

    fn substitute(&self, name: &str, variables: Option<&Value>, at: &Place) -> Result<String, TemplateError> {
        if let Some(value) = variables.and_then(|variables| variables.get(name)) {
            return self.string(value, at);
        }
        let value = match name.split_once('.') {
            Some((resource, attribute)) => Some(physical::attribute(self, resource, attribute, at)?),
            None => self.reference(name, at)?,
        };
        value
            .as_ref()
            .and_then(text)
            .ok_or_else(|| self.fault(at, format!("Sub cannot write ${{{name}}} into a string")))
    }

    /// Whether the condition `name` holds.
    fn condition(&self, name: &str, at: &Place) -> Result<bool, TemplateError> {
        let node = self
            .document
            .entry("Conditions", name)
            .ok_or_else(|| self.fault(at, format!("refers to the condition {name}, which does not exist")))?;
        self.nested(at, || self.truth(node, &Place::new("condition", name)))
    }

    fn truth(&self, node: &Value, at: &Place) -> Result<bool, TemplateError> {
        let call = call(node)
            .or_else(|| condition_entry(node))
            .ok_or_else(|| self.fault(at, "must be one of Equals, Not, And, Or and Condition"))?;
        let operands = || match call.argument {
            Value::Sequence(operands) => Ok(operands),
            _ => Err(self.fault(at, format!("{} must have a list", call.name))),
        };
        match call.name.as_str() {
            "Equals" => {
                let [left, right] = self.list(call.argument, "Equals", at)?;
                Ok(self.string(left, at)? == self.string(right, at)?)
            }
            "Not" => {
                let [operand] = self.list(call.argument, "Not", at)?;
                Ok(!self.truth(operand, at)?)
            }
            "And" => {
                let mut all = true;
                for operand in operands()? {
                    all &= self.truth(operand, at)?;
                }
                Ok(all)
            }
            "Or" => {
                let mut any = false;
                for operand in operands()? {
                    any |= self.truth(operand, at)?;
                }
                Ok(any)
            }
            "Condition" => match call.argument {
                Value::String(name) => self.condition(name, at),
                _ => Err(self.fault(at, "Condition must name a condition")),
            },
            other => Err(self.fault(at, format!("uses {other}, which is no condition"))),
        }
    }

    /// An argument list of exactly `N` elements.
    fn list<'v, const N: usize>(
        &self,
        argument: &'v Value,
        name: &str,
        at: &Place,
    ) -> Result<&'v [Value; N], TemplateError> {
        match argument {
            Value::Sequence(elements) => elements.as_slice().try_into().ok(),
            _ => None,
        }
        .ok_or_else(|| self.fault(at, format!("{name} must have a list of {N}")))
    }

    fn string(&self, node: &Value, at: &Place) -> Result<String, TemplateError> {
        self.resolve(node, at)?.as_ref().and_then(text).ok_or_else(|| self.fault(at, "must be a single value"))
    }

    fn strings(&self, node: &Value, name: &str, at: &Place) -> Result<Vec<String>, TemplateError> {
        match self.resolve(node, at)? {
            Some(Json::Array(elements)) => elements.iter().map(text).collect(),
            _ => None,
        }
        .ok_or_else(|| self.fault(at, format!("{name} must have a list of single values")))
    }

    /// Runs `inner` one level deeper.
    fn nested<T>(&self, at: &Place, inner: impl FnOnce() -> Result<T, TemplateError>) -> Result<T, TemplateError> {
        if self.depth.get() >= DEEPEST {
            return Err(self.fault(at, "is part of a circle of references"));
        }
        self.depth.set(self.depth.get() + 1);
        let outcome = inner();
        self.depth.set(self.depth.get() - 1);
        outcome
    }
}

/// The intrinsic function that `node` is, if it is one.
fn call(node: &Value) -> Option<Call<'_>> {
    match node {
        Value::Tagged(tagged) => {
            Some(Call { name: tagged.tag.to_string().trim_start_matches('!').to_owned(), argument: &tagged.value })
        }
        Value::Mapping(entries) if entries.len() == 1 => {
            let (key, argument) = entries.iter().next()?;
            let name = match key.as_str()? {
                "Ref" => "Ref",
                key => key.strip_prefix("Fn::")?,
            };
            Some(Call { name: name.to_owned(), argument })
        }
        _ => None,
    }
}

/// `{Condition: Name}`, which means a condition only where one is expected.
fn condition_entry(node: &Value) -> Option<Call<'_>> {
    match node {
        Value::Mapping(entries) if entries.len() == 1 => {
            Some(Call { name: "Condition".to_owned(), argument: entries.get("Condition")? })
        }
        _ => None,
    }
}
