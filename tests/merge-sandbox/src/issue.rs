//! Issue: a trouble with a linked account, as Merge's dashboard lists it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::account::EndUser;
use crate::clock::Time;

/// What is wrong, in the control API's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueKind {
    BadApiKey,
    InvalidLoginCredentials,
    ExpiredMfa,
    MissingPermissions,
    ApiError,
    ThirdPartyOffline,
    IssueTypePending,
    /// Of a kind that nobody has heard of yet.
    Unheard,
}

impl IssueKind {
    /// Merge's `error_description`.
    fn description(self) -> &'static str {
        match self {
            IssueKind::BadApiKey => "Bad API Key",
            IssueKind::InvalidLoginCredentials => "Invalid Login Credentials",
            IssueKind::ExpiredMfa => "Expired Multi-Factor Authentication",
            IssueKind::MissingPermissions => "Missing Permissions",
            IssueKind::ApiError => "API Error",
            IssueKind::ThirdPartyOffline => "Third-Party Offline",
            IssueKind::IssueTypePending => "Issue Type Pending",
            IssueKind::Unheard => "Tidal Interference",
        }
    }

    fn detail(self) -> &'static str {
        match self {
            IssueKind::BadApiKey => "The API key was rejected by the third party.",
            IssueKind::InvalidLoginCredentials => "The user name or password was rejected by the third party.",
            IssueKind::ExpiredMfa => "The third party asks for a new second factor.",
            IssueKind::MissingPermissions => "The connected user lacks the permission to read some objects.",
            IssueKind::ApiError => "The third party's API answered with an unexpected error.",
            IssueKind::ThirdPartyOffline => "The third party's API cannot be reached.",
            IssueKind::IssueTypePending => "The cause is being looked into.",
            IssueKind::Unheard => "The moon is in the way.",
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Issue {
    pub id: String,
    pub kind: IssueKind,
    pub is_ongoing: bool,
    pub first_incident_time: Time,
    pub last_incident_time: Time,
}

impl Issue {
    /// Merge's Issue object. It does not say which account it belongs to: callers filter.
    pub fn to_json(&self, end_user: &EndUser) -> Value {
        json!({
            "id": self.id,
            "status": if self.is_ongoing { "ONGOING" } else { "RESOLVED" },
            "error_description": self.kind.description(),
            "end_user": {
                "organization_name": end_user.organization_name,
                "email_address": end_user.email_address,
                "origin_id": end_user.origin_id,
            },
            "first_incident_time": self.first_incident_time.to_string(),
            "last_incident_time": self.last_incident_time.to_string(),
            "is_muted": false,
            "error_details": [self.kind.detail()],
        })
    }
}
