//! Template errors: one sentence each, naming the file, the entry and the property at fault.

use std::fmt;
use std::path::PathBuf;

/// Why a template cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("{} cannot be read: {source}", file.display())]
    Read { file: PathBuf, source: std::io::Error },
    #[error("{} is not valid YAML: {source}", file.display())]
    Malformed { file: PathBuf, source: yaml_serde::Error },
    #[error("{}: {place} {problem}", file.display())]
    Invalid { file: PathBuf, place: Place, problem: String },
}

/// A spot in a template: an entry of one of its sections and, below it, a property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    kind: &'static str,
    name: String,
    path: String,
}

impl Place {
    /// The entry `name` of a section, whose singular noun is `kind` ("resource", "parameter", ...).
    pub fn new(kind: &'static str, name: &str) -> Self {
        Self { kind, name: name.to_owned(), path: String::new() }
    }

    /// The property `key` below this place.
    pub fn property(&self, key: &str) -> Self {
        let mut place = self.clone();
        if !place.path.is_empty() {
            place.path.push('.');
        }
        place.path.push_str(key);
        place
    }

    /// The element `index` (from 0) of the list at this place.
    pub fn element(&self, index: usize) -> Self {
        let mut place = self.clone();
        place.path.push_str(&format!("[{index}]"));
        place
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        if !self.path.is_empty() {
            write!(f, ", property {}:", self.path)?;
        }
        Ok(())
    }
}
