//! Generation: the bytes of one record, as Merge's list would send them.
//!
//! A pure function of seed, account, model, number, version and times. Relations point at records that exist; a parent
//! always has a smaller number than its child, so that trees have no circles.

use std::fmt::Write;

use crate::clock::Time;
use crate::dataset::{Change, children};
use crate::ids::{self, mix};
use crate::models::{self, Field, Kind, Model, ModelIndex};
use crate::values::{self, Person};

/// What the records of one account have in common.
pub struct Scope<'a> {
    /// Hash of seed and account.
    pub seed: u64,
    /// The day all other dates lie around.
    pub anchor: Time,
    /// Number of records that relations to a model may point at.
    pub sizes: &'a dyn Fn(ModelIndex) -> u64,
}

impl Scope<'_> {
    /// Seed of a model's ids.
    pub fn model_seed(&self, model: &Model) -> u64 {
        mix(self.seed, model.hash)
    }
}

/// One record's identity and state.
pub struct Record {
    pub index: u64,
    pub created_at: Time,
    pub change: Change,
    pub remote_data: RemoteData,
    /// It has a member, and in its enumerations values, that Merge does not publish.
    pub drifts: bool,
}

/// Whether the provider's own object is shown (`include_remote_data`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemoteData {
    Omitted,
    Included,
}

/// A model's `remote_id`s are readable back, so that the filter of that name needs no search.
pub fn remote_id(model: &Model, index: u64) -> String {
    format!("{}", 1_000 + model.hash % 9_000 * 100 + index)
}

/// The number of the record with this `remote_id`, should it exist.
pub fn index_of_remote_id(model: &Model, remote_id: &str) -> Option<u64> {
    let index = remote_id.parse::<u64>().ok()?.checked_sub(1_000 + model.hash % 9_000 * 100)?;
    (self::remote_id(model, index) == remote_id).then_some(index)
}

/// Appends the record's JSON, without a trailing newline.
pub fn write_record(scope: &Scope, model: &Model, record: &Record, out: &mut String) {
    let model_seed = scope.model_seed(model);
    let writer = Writer {
        scope,
        model,
        record,
        seed: mix(model_seed, record.index),
        person: Person::of(mix(model_seed ^ 0x9E35, record.index)),
    };
    writer.object(&model.fields, writer.seed, 0, out);
}

struct Writer<'a> {
    scope: &'a Scope<'a>,
    model: &'a Model,
    record: &'a Record,
    seed: u64,
    person: Person,
}

impl Writer<'_> {
    fn object(&self, fields: &[Field], seed: u64, depth: u8, out: &mut String) {
        out.push('{');
        for (position, field) in fields.iter().enumerate() {
            if position > 0 {
                out.push(',');
            }
            values::write_string(&field.name, out);
            out.push(':');
            self.field(field, seed, depth, out);
        }
        if self.record.drifts && depth == 0 {
            out.push_str(r#","star_sign":{"of":["\u264e",null,1e3]}"#);
        }
        out.push('}');
    }

    fn field(&self, field: &Field, seed: u64, depth: u8, out: &mut String) {
        let top = depth == 0;
        match field.name.as_str() {
            "id" if top => self.text(ids::record_id(self.scope.model_seed(self.model), self.record.index), out),
            "remote_id" if top => values::write_string(&remote_id(self.model, self.record.index), out),
            "created_at" => self.text(self.record.created_at, out),
            "modified_at" => self.text(self.record.change.modified_at, out),
            "remote_was_deleted" => out.push_str(if top && self.record.change.deleted { "true" } else { "false" }),
            "remote_data" if top && self.record.remote_data == RemoteData::Included => self.remote_data(out),
            "remote_data" => out.push_str("null"),
            "field_mappings" => {
                out.push_str(r#"{"organization_defined_targets":{},"linked_account_defined_targets":{}}"#);
            }
            "remote_fields" => out.push_str("[]"),
            _ => {
                let mut hash = mix(seed, field.hash);
                if self.record.change.version > 0 && is_volatile(field) {
                    hash = mix(hash, u64::from(self.record.change.version));
                }
                self.value(field, &field.kind, hash, depth, out);
            }
        }
    }

    fn remote_data(&self, out: &mut String) {
        let path = self.model.segments.last().map_or("", String::as_str);
        let remote_id = remote_id(self.model, self.record.index);
        let version = self.record.change.version;
        write!(out, r#"[{{"path":"/{path}/{remote_id}","data":{{"id":"{remote_id}","revision":{version}}}}}]"#)
            .expect("a String takes everything");
    }

    fn value(&self, field: &Field, kind: &Kind, hash: u64, depth: u8, out: &mut String) {
        match kind {
            Kind::Ref(target) => self.relation(field, *target, hash, out),
            Kind::List(inner) => self.list(field, inner, hash, depth, out),
            Kind::Object(fields) => self.object(fields, hash, depth + 1, out),
            // Merge's free objects are mostly empty; only these say something.
            Kind::Json => out.push_str(match field.name.as_str() {
                "custom_fields" | "fields" | "labels" => r#"{"cost_center":"R&D \u2013 EMEA","badge":"T-7"}"#,
                "source_object_class" => r#"{"id":null,"origin_type":"CUSTOM_OBJECT"}"#,
                "sub_items" => "{}",
                _ => "null",
            }),
            Kind::Uuid if field.name == "id" => self.text(ids::uuid(hash, mix(hash, 1)), out),
            Kind::Uuid => out.push_str("null"),
            Kind::Enum(_) if self.record.drifts && depth == 0 => out.push_str(r#""BEYOND_THE_LIST""#),
            _ if hash.is_multiple_of(11) && !values::is_essential(&field.name) => out.push_str("null"),
            Kind::Enum(options) => values::write_string(values::option(&field.name, options, hash), out),
            Kind::Boolean => out.push_str(if hash & 4 == 0 { "true" } else { "false" }),
            Kind::Integer => values::write_integer(&field.name, hash, out),
            Kind::Number => values::write_number(&field.name, hash, out),
            Kind::Datetime | Kind::Date => self.date(field, kind, hash, out),
            Kind::Email => values::write_string(&self.person.email(&field.name), out),
            Kind::Uri => values::write_string(&values::url(&field.name, hash), out),
            Kind::String => values::write_text(&field.name, hash, &self.person, &self.model.name, out),
        }
    }

    /// A related record: side by side where both have as many, a parent where the relation is to the own model.
    fn relation(&self, field: &Field, target: ModelIndex, hash: u64, out: &mut String) {
        let own = self.record.index;
        let size = (self.scope.sizes)(target);
        let other = &models::all()[target];
        let index = if std::ptr::eq(other, self.model) {
            if own == 0 { None } else { Some((own - 1) / 8) }
        } else if self.model.parent == Some(target) {
            Some(children::parent_of(own))
        } else if (self.scope.sizes)(self.position()) == size {
            Some(own)
        } else if hash.is_multiple_of(13) && !values::is_essential(&field.name) {
            None
        } else {
            Some(hash % size.max(1))
        };
        match index.filter(|index| *index < size && other.has_id) {
            Some(index) => self.text(ids::record_id(self.scope.model_seed(other), index), out),
            None => out.push_str("null"),
        }
    }

    fn position(&self) -> ModelIndex {
        models::by_key(&self.model.key).unwrap_or_default()
    }

    fn list(&self, field: &Field, inner: &Kind, hash: u64, depth: u8, out: &mut String) {
        let count = match inner {
            Kind::Ref(target) if (self.scope.sizes)(*target) == (self.scope.sizes)(self.position()) => 1,
            Kind::Ref(target) => (hash % 4).min((self.scope.sizes)(*target)),
            Kind::Object(_) if depth >= 1 => 0,
            Kind::Object(_) => 1 + hash % 3,
            Kind::Json => 0,
            _ => 1 + hash % 2,
        };
        out.push('[');
        for position in 0..count {
            let element = mix(hash, position);
            let length = out.len();
            if position > 0 {
                out.push(',');
            }
            let start = out.len();
            self.value(field, inner, element, depth, out);
            // A list holds no nulls.
            if &out[start..] == "null" {
                out.truncate(length);
                break;
            }
        }
        out.push(']');
    }

    fn date(&self, field: &Field, kind: &Kind, hash: u64, out: &mut String) {
        let day = self.scope.anchor.day();
        let days = |range: u64| (hash % range) as i64;
        let name = field.name.as_str();
        let time = match name {
            "date_of_birth" => day.plus_days(-7_300 - days(16_000)),
            "termination_date" if !self.is_inactive() => return out.push_str("null"),
            "due_date" | "end_date" | "end_time" | "end_at" | "close_date" | "delivery_date" => {
                day.plus_days(days(120))
            }
            _ if name.ends_with("_at") => Time(day.plus_days(-1 - days(700)).0 + (hash % 86_400_000_000) as i64),
            _ => day.plus_days(-1 - days(2_500)),
        };
        match kind {
            Kind::Date => values::write_string(&time.day().to_string()[..10], out),
            _ => self.text(time, out),
        }
    }

    /// Only those who left have a date on which they left.
    fn is_inactive(&self) -> bool {
        let status = self.model.fields.iter().find(|field| field.name == "employment_status");
        status.is_some_and(|field| match &field.kind {
            Kind::Enum(options) => {
                let mut hash = mix(self.seed, field.hash);
                if self.record.change.version > 0 && is_volatile(field) {
                    hash = mix(hash, u64::from(self.record.change.version));
                }
                values::option(&field.name, options, hash) == "INACTIVE"
            }
            _ => false,
        })
    }

    fn text(&self, value: impl std::fmt::Display, out: &mut String) {
        // Ids, times and numbers need no escaping; writing to a String cannot fail.
        let quoted = Quoted(value);
        write!(out, "{quoted}").expect("a String takes everything");
    }
}

struct Quoted<T>(T);

impl<T: std::fmt::Display> std::fmt::Display for Quoted<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// Whether a change at the provider touches this field: some of the values, never an identity.
fn is_volatile(field: &Field) -> bool {
    let kind = matches!(field.kind, Kind::String | Kind::Number | Kind::Integer | Kind::Enum(_) | Kind::Boolean);
    kind && !values::is_identity(&field.name) && (!field.hash.is_multiple_of(3) || values::is_essential(&field.name))
}
