//! Properties: the resolved properties of one resource, read with a fault that names the property.

use serde_json::Value as Json;

use super::document::Document;
use super::error::{Place, TemplateError};

/// A resolved value as CloudFormation's string; `None` for lists, mappings and null.
pub fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A mapping of resolved properties with its place in the template.
#[derive(Clone)]
pub struct Properties<'a> {
    document: &'a Document,
    place: Place,
    value: &'a Json,
}

impl<'a> Properties<'a> {
    pub fn new(document: &'a Document, place: Place, value: &'a Json) -> Self {
        Self { document, place, value }
    }

    pub fn fault(&self, key: &str, problem: impl Into<String>) -> TemplateError {
        self.document.fault(&self.place.property(key), problem)
    }

    /// The raw value of a property; `None` when absent.
    pub fn get(&self, key: &str) -> Option<&'a Json> {
        self.value.get(key).filter(|value| !value.is_null())
    }

    /// This mapping as it stands.
    pub fn value(&self) -> &'a Json {
        self.value
    }

    pub fn optional_text(&self, key: &str) -> Result<Option<String>, TemplateError> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => text(value).map(Some).ok_or_else(|| self.fault(key, "must be a single value")),
        }
    }

    pub fn text(&self, key: &str) -> Result<String, TemplateError> {
        self.optional_text(key)?.ok_or_else(|| self.fault(key, "is missing"))
    }

    /// A whole number from 0, or written as a string as parameters are.
    pub fn number(&self, key: &str) -> Result<Option<u64>, TemplateError> {
        match self.optional_text(key)? {
            None => Ok(None),
            Some(text) => {
                text.parse().map(Some).map_err(|_| self.fault(key, format!("must be a whole number, not {text:?}")))
            }
        }
    }

    /// A whole number that fits 32 bits.
    pub fn small_number(&self, key: &str) -> Result<Option<u32>, TemplateError> {
        match self.number(key)? {
            None => Ok(None),
            Some(number) => {
                u32::try_from(number).map(Some).map_err(|_| self.fault(key, format!("is too large: {number}")))
            }
        }
    }

    pub fn flag(&self, key: &str) -> Result<Option<bool>, TemplateError> {
        match self.optional_text(key)?.as_deref() {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(self.fault(key, format!("must be true or false, not {other:?}"))),
        }
    }

    /// A list of single values; a lone value counts as a list of one, absence as none.
    pub fn texts(&self, key: &str) -> Result<Vec<String>, TemplateError> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Json::Array(elements)) => elements
                .iter()
                .map(|element| text(element).ok_or_else(|| self.fault(key, "must be a list of single values")))
                .collect(),
            Some(value) => {
                text(value).map(|value| vec![value]).ok_or_else(|| self.fault(key, "must be a list of single values"))
            }
        }
    }

    /// The mapping at a property; `None` when absent.
    pub fn child(&self, key: &str) -> Result<Option<Properties<'a>>, TemplateError> {
        match self.get(key) {
            None => Ok(None),
            Some(value @ Json::Object(_)) => Ok(Some(Self::new(self.document, self.place.property(key), value))),
            Some(_) => Err(self.fault(key, "must be a mapping")),
        }
    }

    /// The mappings in the list at a property; none when absent.
    pub fn children(&self, key: &str) -> Result<Vec<Properties<'a>>, TemplateError> {
        let place = self.place.property(key);
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Json::Array(elements)) => elements
                .iter()
                .enumerate()
                .map(|(index, value)| {
                    let place = place.element(index);
                    if value.is_object() {
                        Ok(Self::new(self.document, place, value))
                    } else {
                        Err(self.document.fault(&place, "must be a mapping"))
                    }
                })
                .collect(),
            Some(_) => Err(self.fault(key, "must be a list")),
        }
    }

    /// The entries of this mapping, each of which must be a mapping.
    pub fn entries(&self) -> Result<Vec<(&'a str, Properties<'a>)>, TemplateError> {
        let Json::Object(entries) = self.value else {
            return Ok(Vec::new());
        };
        let mut children = Vec::with_capacity(entries.len());
        for key in entries.keys() {
            if let Some(child) = self.child(key)? {
                children.push((key.as_str(), child));
            }
        }
        Ok(children)
    }
}
