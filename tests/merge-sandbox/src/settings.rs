//! Settings: what `POST /_sandbox/settings` changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::models::{self, Model};

/// What Merge does with a second production account of the same credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duplicates {
    /// Creates and flags it.
    #[default]
    Allow,
    /// Shows success; the public token is for the account that was there before.
    Silent,
    /// An error in the dialog.
    Block,
}

/// Whether Merge still accepts the organization's API keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiKey {
    #[default]
    Valid,
    Revoked,
    /// It is another organization's: accepted, but it sees none of the accounts.
    Foreign,
}

/// Whether the plan lets callers start syncs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resync {
    #[default]
    Allowed,
    Forbidden,
}

/// Whether a relink cures what it was needed for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relinks {
    #[default]
    Effective,
    Ineffective,
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub duplicates: Duplicates,
    /// Requests per minute and account token; 0 = no limit.
    pub plan_limit: u32,
    /// Wait before each page.
    pub page_delay_ms: u64,
    /// Upper bound of `page_size` on every list.
    pub max_page_size: usize,
    /// Sizes per model key, instead of the built-in ones; accounts linked before grow at their next sync, none shrinks.
    pub records: BTreeMap<String, u64>,
    pub api_key: ApiKey,
    /// Length of one model's run, before the division by speed.
    pub sync_duration_ms: i64,
    /// Between the beginnings of two rounds, before the division by speed.
    pub sync_interval_ms: i64,
    /// The signing key, then the one it replaced.
    pub webhook_keys: Vec<String>,
    pub resync: Resync,
    pub relinks: Relinks,
    /// Slugs that the organization does not offer any more.
    pub withdrawn: Vec<String>,
    /// 429 for everyone after 20 error answers in ten seconds.
    pub error_guard: bool,
    /// Also send `{Model}.changed` and `{Model}.removed` with the record.
    pub record_events: bool,
    /// Changes bear the very time at which their run finished, not times within it.
    pub changes_at_bound: bool,
    /// `modified_after` and `modified_before` belong to their window. Merge does not say.
    pub inclusive_bounds: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            duplicates: Duplicates::Allow,
            plan_limit: 0,
            page_delay_ms: 0,
            max_page_size: 100,
            records: BTreeMap::new(),
            api_key: ApiKey::Valid,
            sync_duration_ms: 3_000,
            sync_interval_ms: 3_600_000,
            webhook_keys: vec!["dev-webhook-key".to_owned(), "dev-webhook-key-old".to_owned()],
            resync: Resync::Allowed,
            relinks: Relinks::Effective,
            withdrawn: Vec::new(),
            error_guard: false,
            record_events: false,
            changes_at_bound: false,
            inclusive_bounds: false,
        }
    }
}

impl Settings {
    /// The settings after `body`'s keys replaced their own; an unknown key or wrong value is an error in words.
    pub fn merged(&self, body: &serde_json::Map<String, serde_json::Value>) -> Result<Settings, String> {
        let mut value = serde_json::to_value(self).map_err(|error| error.to_string())?;
        if let Some(map) = value.as_object_mut() {
            for (key, new) in body {
                // Sizes add up over several calls.
                match (map.get_mut(key).and_then(|old| old.as_object_mut()), new.as_object()) {
                    (Some(old), Some(new)) => old.extend(new.clone()),
                    _ => drop(map.insert(key.clone(), new.clone())),
                }
            }
        }
        let settings: Settings = serde_json::from_value(value).map_err(|error| error.to_string())?;
        if let Some(key) = settings.records.keys().find(|key| models::by_key(key).is_none()) {
            return Err(format!("unknown model key `{key}`"));
        }
        if settings.webhook_keys.is_empty() || settings.max_page_size == 0 {
            return Err("webhook_keys must not be empty, and max_page_size not 0".to_owned());
        }
        Ok(settings)
    }

    /// How many records of `model` a new account has. `employees` is the size of the whole (default 10,000).
    pub fn size(&self, model: &Model, employees: u32) -> u64 {
        if let Some(size) = self.records.get(&model.key) {
            return *size;
        }
        // A size set for employees is the size of the whole.
        let n = self.records.get("hris.Employee").copied().unwrap_or(u64::from(employees));
        let main = n.min(2_000);
        let some = |part: u64| (n / part).max(1).min(n);
        let dictionary = (main / 10).clamp(3, 200).min(main);
        match model.key.as_str() {
            "hris.Employee" | "hris.Employment" | "hris.EmployeePayrollRun" | "hris.BankInfo" => n,
            "hris.Benefit" | "hris.Dependent" | "hris.TimeOff" | "hris.TimeOffBalance" | "hris.TimesheetEntry" => {
                some(2)
            }
            "hris.Company" => some(5_000),
            "hris.Location" | "hris.Group" | "hris.Team" => some(50).min(200),
            "hris.PayGroup" => some(1_000).min(20),
            "hris.PayrollRun" => some(100).min(52),
            "hris.EmployerBenefit" => some(400).min(25),
            "accounting.CompanyInfo" => main.min(2),
            "accounting.BalanceSheet" | "accounting.CashFlowStatement" | "accounting.IncomeStatement" => main.min(24),
            "filestorage.FileStorageDrive" | "crm.Stage" | "crm.EngagementType" => main.min(8),
            "crm.CustomObjectClass" => main.min(4),
            "crm.CustomObject@custom-object-classes" => main,
            key if is_dictionary(key) => dictionary,
            _ => main,
        }
    }
}

fn is_dictionary(key: &str) -> bool {
    let name = key.split_once('.').map_or(key, |(_, name)| name);
    matches!(
        name,
        "Department"
            | "Office"
            | "Tag"
            | "RemoteUser"
            | "RejectReason"
            | "JobInterviewStage"
            | "Job"
            | "JobPosting"
            | "CRMUser"
            | "AccountingPeriod"
            | "PaymentMethod"
            | "PaymentTerm"
            | "TaxRate"
            | "TrackingCategory"
            | "Project"
            | "AccountingEmployee"
            | "BankFeedAccount"
            | "TicketingTeam"
            | "TicketingTag"
            | "Role"
            | "Collection"
            | "User"
            | "TicketingAccount"
            | "FileStorageGroup"
            | "FileStorageUser"
            | "KnowledgeBaseGroup"
            | "KnowledgeBaseUser"
            | "KnowledgeBaseContainer"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_stay_within_their_classes() {
        let settings = Settings::default();
        for model in models::all().iter().filter(|model| model.parent.is_none()) {
            let bound = if model.category == "hris" { 10_000 } else { 2_000 };
            assert!((1..=bound).contains(&settings.size(model, 10_000)), "{}", model.key);
            assert!((1..=200).contains(&settings.size(model, 200)), "{}", model.key);
        }
    }

    #[test]
    fn only_known_settings_are_taken() {
        let merge = |body: serde_json::Value| Settings::default().merged(body.as_object().unwrap());
        assert_eq!(merge(json!({"max_page_size": 5})).unwrap().max_page_size, 5);
        assert_eq!(merge(json!({"records": {"hris.Team": 3}})).unwrap().records["hris.Team"], 3);
        assert!(merge(json!({"page_size": 5})).is_err());
        assert!(merge(json!({"records": {"hris.Nobody": 3}})).is_err());
    }
}
