//! Resources: every resource of a template that exists under its condition, with its properties
//! resolved.

use serde_json::Value as Json;
use yaml_serde::Value;

use super::document::{Document, merge_globals};
use super::error::{Place, TemplateError};
use super::intrinsics::Resolver;
use super::physical;
use super::properties::Properties;

/// One resource with its properties resolved.
pub struct Resource {
    pub logical_id: String,
    pub kind: String,
    properties: Json,
    metadata: Json,
}

/// The resources of a template, in its order.
pub struct Resources<'a> {
    resolver: &'a Resolver<'a>,
    all: Vec<Resource>,
}

impl<'a> Resources<'a> {
    /// Resolves all properties of all resources, so that a dangling reference anywhere is found.
    pub fn resolve(resolver: &'a Resolver<'a>) -> Result<Self, TemplateError> {
        let document = resolver.document;
        let mut all = Vec::new();
        for (name, entry) in document.entries("Resources")? {
            let place = Place::new("resource", name);
            let kind = match entry.get("Type") {
                Some(Value::String(kind)) => kind.clone(),
                _ => return Err(document.fault(&place, "has no Type")),
            };
            if !resolver.wanted(entry, &place)? {
                continue;
            }
            check_dependencies(document, entry, &place)?;
            let own = entry.get("Properties").unwrap_or(&Value::Null);
            let merged = match document.function_globals() {
                Some(globals) if kind == "AWS::Serverless::Function" => &merge_globals(globals, own),
                _ => own,
            };
            if !matches!(merged, Value::Mapping(_) | Value::Null) {
                return Err(document.fault(&place.property("Properties"), "must be a mapping"));
            }
            let metadata = entry.get("Metadata").unwrap_or(&Value::Null);
            all.push(Resource {
                logical_id: name.to_owned(),
                properties: resolver.resolve(merged, &place)?.unwrap_or_default(),
                metadata: resolver.resolve(metadata, &place.property("Metadata"))?.unwrap_or_default(),
                kind,
            });
        }
        if all.is_empty() {
            return Err(document.fault(&Place::new("section", "Resources"), "holds no resource"));
        }
        Ok(Self { resolver, all })
    }

    /// The resources of one type, in the template's order.
    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Resource> {
        self.all.iter().filter(move |resource| resource.kind == kind)
    }

    /// The resource of `kind` with this logical id.
    pub fn get(&self, kind: &str, logical_id: &str) -> Option<&Resource> {
        self.of_kind(kind).find(|resource| resource.logical_id == logical_id)
    }

    pub fn properties<'r>(&'r self, resource: &'r Resource) -> Properties<'r> {
        let place = Place::new("resource", &resource.logical_id);
        Properties::new(self.resolver.document, place, &resource.properties)
    }

    pub fn metadata<'r>(&'r self, resource: &'r Resource) -> Properties<'r> {
        let place = Place::new("resource", &resource.logical_id).property("Metadata");
        Properties::new(self.resolver.document, place, &resource.metadata)
    }

    /// What `!Ref` of the resource resolves to.
    pub fn reference(&self, resource: &Resource) -> Result<String, TemplateError> {
        let place = Place::new("resource", &resource.logical_id);
        let value = physical::reference(self.resolver, &resource.logical_id, &place)?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    /// What `!GetAtt` of the resource's `attribute` resolves to.
    pub fn attribute(&self, resource: &Resource, attribute: &str) -> Result<String, TemplateError> {
        let place = Place::new("resource", &resource.logical_id);
        let value = physical::attribute(self.resolver, &resource.logical_id, attribute, &place)?;
        Ok(value.as_str().unwrap_or_default().to_owned())
    }

    /// The resource of `kind` whose ARN is `arn`.
    pub fn by_arn(&self, kind: &str, arn: &str) -> Result<Option<&Resource>, TemplateError> {
        for resource in self.of_kind(kind) {
            if self.attribute(resource, "Arn")? == arn {
                return Ok(Some(resource));
            }
        }
        Ok(None)
    }

    pub fn stack_name(&self) -> &str {
        &self.resolver.inputs.stack_name
    }
}

fn check_dependencies(document: &Document, entry: &Value, place: &Place) -> Result<(), TemplateError> {
    let names = match entry.get("DependsOn") {
        None => return Ok(()),
        Some(Value::Sequence(names)) => names.iter().collect(),
        Some(name) => vec![name],
    };
    for name in names {
        let known = name.as_str().is_some_and(|name| document.entry("Resources", name).is_some());
        if !known {
            let name = name.as_str().unwrap_or("something that is not a name");
            return Err(document.fault(&place.property("DependsOn"), format!("refers to {name}, which does not exist")));
        }
    }
    Ok(())
}
