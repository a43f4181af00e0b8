//! The document: a template as parsed YAML, still with its intrinsic functions in it.

use std::path::{Path, PathBuf};

use yaml_serde::{Mapping, Value};

use super::error::{Place, TemplateError};

/// A parsed template and the file that it came from.
pub struct Document {
    file: PathBuf,
    root: Mapping,
}

impl Document {
    /// Parses the text of `file`.
    pub fn parse(file: &Path, text: &str) -> Result<Self, TemplateError> {
        let root: Value =
            yaml_serde::from_str(text).map_err(|source| TemplateError::Malformed { file: file.to_owned(), source })?;
        let document = |root| Self { file: file.to_owned(), root };
        match root {
            Value::Mapping(root) => Ok(document(root)),
            _ => Err(document(Mapping::new()).fault(&Place::new("the template", ""), "must be a mapping of sections")),
        }
    }

    /// The error that `place` of this file has `problem`.
    pub fn fault(&self, place: &Place, problem: impl Into<String>) -> TemplateError {
        TemplateError::Invalid { file: self.file.clone(), place: place.clone(), problem: problem.into() }
    }

    /// The entries of a section such as `Resources`; none when the section is absent.
    pub fn entries(&self, section: &str) -> Result<Vec<(&str, &Value)>, TemplateError> {
        let place = Place::new("section", section);
        match self.root.get(section) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Mapping(entries)) => entries
                .iter()
                .map(|(name, entry)| match name {
                    Value::String(name) => Ok((name.as_str(), entry)),
                    _ => Err(self.fault(&place, "has a name that is not a string")),
                })
                .collect(),
            Some(_) => Err(self.fault(&place, "must be a mapping")),
        }
    }

    /// One entry of a section.
    pub fn entry(&self, section: &str, name: &str) -> Option<&Value> {
        self.root.get(section)?.as_mapping()?.get(name)
    }

    /// `Globals.Function`: what every function starts from.
    pub fn function_globals(&self) -> Option<&Value> {
        self.root.get("Globals")?.get("Function")
    }
}

/// SAM's merge of `Globals` with a resource: mappings merge, lists are joined with the globals
/// first, anything else is replaced by the resource's own.
pub fn merge_globals(globals: &Value, own: &Value) -> Value {
    match (globals, own) {
        (Value::Mapping(globals), Value::Mapping(own)) => {
            let mut merged = globals.clone();
            for (key, value) in own {
                let value = match globals.get(key) {
                    Some(global) => merge_globals(global, value),
                    None => value.clone(),
                };
                merged.insert(key.clone(), value);
            }
            Value::Mapping(merged)
        }
        (Value::Sequence(globals), Value::Sequence(own)) => {
            Value::Sequence(globals.iter().chain(own).cloned().collect())
        }
        _ => own.clone(),
    }
}
