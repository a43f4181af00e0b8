//! Model: one of Merge's 101 list endpoints, with its fields, its sizes and what it can do.
//!
//! Read once from `data/models.csv` and `data/schemas.json` (see `data/reduce.py` for their origin).

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::ids::hash_str;

/// Position of a model in [`all`].
pub type ModelIndex = usize;

/// Shape of a field's values.
#[derive(Debug, Clone)]
pub enum Kind {
    String,
    Uuid,
    Email,
    Uri,
    Datetime,
    Date,
    Integer,
    Number,
    Boolean,
    Json,
    Enum(Vec<String>),
    /// The id of a record of that model.
    Ref(ModelIndex),
    List(Box<Kind>),
    Object(Vec<Field>),
}

/// A field and its kind; `hash` is its name's.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub hash: u64,
    pub kind: Kind,
}

/// One list endpoint.
#[derive(Debug)]
pub struct Model {
    /// Model key: Merge's `model_id`, with `@…` for nested lists.
    pub key: String,
    /// `hris.Employee`, as in sync-status and webhooks.
    pub model_id: String,
    /// Display name.
    pub name: String,
    pub category: String,
    /// Path segments after `v1`; a parameter is `{…}`.
    pub segments: Vec<String>,
    /// The list whose records are this nested list's parents.
    pub parent: Option<ModelIndex>,
    pub fields: Vec<Field>,
    pub hash: u64,
    pub has_id: bool,
    /// Whether rows carry `remote_was_deleted`; without it a deleted record just vanishes.
    pub has_deleted: bool,
    /// Whether the list takes `modified_after` and its siblings.
    pub filters_modified: bool,
}

impl Model {
    /// `Employee`: what comes before `.synced` in a webhook's event.
    pub fn webhook_name(&self) -> &str {
        self.model_id.split_once('.').map_or(self.model_id.as_str(), |(_, name)| name)
    }
}

#[derive(Deserialize)]
struct RawModel {
    name: String,
    fields: Vec<(String, RawKind)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawKind {
    Word(String),
    Tagged(RawTagged),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawTagged {
    Enum(Vec<String>),
    Ref(String),
    List(Box<RawKind>),
    Object(Vec<(String, RawKind)>),
}

static MODELS: LazyLock<Vec<Model>> = LazyLock::new(load);
static BY_KEY: LazyLock<HashMap<&'static str, ModelIndex>> =
    LazyLock::new(|| all().iter().enumerate().map(|(index, model)| (model.key.as_str(), index)).collect());

/// All list endpoints, in the order of the table.
pub fn all() -> &'static [Model] {
    &MODELS
}

/// The model of a key (`ticketing.User@projects`).
pub fn by_key(key: &str) -> Option<ModelIndex> {
    BY_KEY.get(key).copied()
}

/// The lists of a category.
pub fn of_category(category: &str) -> impl Iterator<Item = (ModelIndex, &'static Model)> {
    all().iter().enumerate().filter(move |(_, model)| model.category == category)
}

/// The list that a path (segments after `v1`) names, with its parameters from left to right.
pub fn by_path<'p>(category: &str, segments: &[&'p str]) -> Option<(ModelIndex, Vec<&'p str>)> {
    of_category(category).find_map(|(index, model)| {
        if model.segments.len() != segments.len() {
            return None;
        }
        let mut parameters = Vec::new();
        for (pattern, segment) in model.segments.iter().zip(segments) {
            if pattern.starts_with('{') {
                parameters.push(*segment);
            } else if pattern != segment {
                return None;
            }
        }
        Some((index, parameters))
    })
}

/// Category slugs, in Merge's order.
pub const CATEGORIES: [&str; 7] = ["hris", "ats", "crm", "accounting", "ticketing", "filestorage", "knowledgebase"];

fn load() -> Vec<Model> {
    let mut schemas: HashMap<String, RawModel> =
        serde_json::from_str(include_str!("../data/schemas.json")).expect("data/schemas.json is generated");
    let rows: Vec<Vec<&str>> =
        include_str!("../data/models.csv").lines().skip(1).map(|line| line.split(',').collect()).collect();
    let paths: Vec<Vec<String>> =
        rows.iter().map(|row| row[3].split('/').skip(2).map(str::to_owned).collect()).collect();
    let keys: Vec<String> = rows.iter().zip(&paths).map(|(row, path)| key_of(row[2], path)).collect();
    let positions: HashMap<&str, ModelIndex> = keys.iter().enumerate().map(|(i, key)| (key.as_str(), i)).collect();
    let mut models = Vec::with_capacity(rows.len());
    for ((row, segments), key) in rows.iter().zip(&paths).zip(&keys) {
        let raw = schemas.remove(key).expect("every row of models.csv has a schema");
        let fields = fields(raw.fields, &positions);
        let has = |name: &str| fields.iter().any(|field| field.name == name);
        let parent = (segments.len() > 1).then(|| {
            let wanted = &segments[..segments.len() - 2];
            rows.iter().zip(&paths).position(|(other, path)| other[0] == row[0] && path == wanted).expect("a parent")
        });
        models.push(Model {
            key: key.clone(),
            model_id: row[2].to_owned(),
            name: raw.name,
            category: row[0].to_owned(),
            segments: segments.clone(),
            parent,
            hash: hash_str(key),
            has_id: has("id"),
            has_deleted: has("remote_was_deleted"),
            filters_modified: row[4] == "true",
            fields,
        });
    }
    models
}

fn key_of(model_id: &str, path: &[String]) -> String {
    let parents: Vec<&str> =
        path[..path.len() - 1].iter().filter(|s| !s.starts_with('{')).map(String::as_str).collect();
    if parents.is_empty() { model_id.to_owned() } else { format!("{model_id}@{}", parents.join(".")) }
}

fn fields(raw: Vec<(String, RawKind)>, positions: &HashMap<&str, ModelIndex>) -> Vec<Field> {
    raw.into_iter().map(|(name, kind)| Field { hash: hash_str(&name), kind: kind_of(kind, positions), name }).collect()
}

fn kind_of(raw: RawKind, positions: &HashMap<&str, ModelIndex>) -> Kind {
    match raw {
        RawKind::Word(word) => match word.as_str() {
            "uuid" => Kind::Uuid,
            "email" => Kind::Email,
            "uri" => Kind::Uri,
            "datetime" => Kind::Datetime,
            "date" => Kind::Date,
            "integer" => Kind::Integer,
            "number" => Kind::Number,
            "boolean" => Kind::Boolean,
            "json" => Kind::Json,
            _ => Kind::String,
        },
        RawKind::Tagged(RawTagged::Enum(values)) => Kind::Enum(values),
        RawKind::Tagged(RawTagged::Ref(key)) => Kind::Ref(positions[key.as_str()]),
        RawKind::Tagged(RawTagged::List(inner)) => Kind::List(Box::new(kind_of(*inner, positions))),
        RawKind::Tagged(RawTagged::Object(inner)) => Kind::Object(fields(inner, positions)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_101_lists_are_there_with_unique_keys_and_resolvable_parents() {
        assert_eq!(all().len(), 101);
        assert_eq!(BY_KEY.len(), 101);
        let nested = &all()[by_key("crm.Association@custom-object-classes.custom-objects").unwrap()];
        assert_eq!(all()[nested.parent.unwrap()].key, "crm.CustomObject@custom-object-classes");
        assert!(!nested.has_id);
        assert!(!all()[by_key("ats.Tag").unwrap()].has_id);
        assert!(!all()[by_key("ticketing.TicketingViewer@tickets").unwrap()].has_deleted);
    }

    #[test]
    fn a_path_finds_its_list_and_its_parameters() {
        let (index, parameters) = by_path("ats", &["jobs", "42", "screening-questions"]).unwrap();
        assert_eq!(all()[index].key, "ats.ScreeningQuestion@jobs");
        assert_eq!(parameters, ["42"]);
        assert!(by_path("ats", &["employees"]).is_none());
    }
}
