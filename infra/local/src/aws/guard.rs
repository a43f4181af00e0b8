//! The guard: stands before the services, refuses what a caller's policy does not allow, and remembers both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::Value;

use super::caller::Call;
use super::fault::Fault;
use super::policy::{Permission, Policies, Realm, needed};

/// Judges every request; lets all pass until policies are enforced.
pub struct Guard {
    realm: Realm,
    policies: OnceLock<Policies>,
    used: Mutex<BTreeMap<String, BTreeSet<Permission>>>,
    refused: Mutex<Vec<String>>,
}

impl Guard {
    pub fn new(realm: Realm) -> Self {
        Self { realm, policies: OnceLock::new(), used: Mutex::default(), refused: Mutex::default() }
    }

    /// Enforces `policies` from now on; those enforced before stay.
    pub fn enforce(&self, policies: Policies) {
        self.policies.get_or_init(|| policies);
    }

    /// Every permission that was needed and granted so far, by access key.
    pub fn used(&self) -> BTreeMap<String, BTreeSet<Permission>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was refused so far, as sentences.
    pub fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why the call is refused; `None` lets it pass.
    pub fn refusal(&self, call: &Call, body: &[u8]) -> Option<Fault> {
        // Before that, the stack provisions itself. What is no JSON is refused by the service itself.
        let policies = self.policies.get().filter(|policies| policies.judge(&call.access_key))?;
        let input: Value = serde_json::from_slice(body).ok()?;
        let needed = needed(&self.realm, call.service, &call.action, &input);
        let fault = policies.refusal(&call.access_key, &needed);
        if let Some(fault) = &fault {
            tracing::error!("{}", fault.message);
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).push(fault.message.clone());
        } else {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.entry(call.access_key.clone()).or_default().extend(needed);
        }
        fault
    }
}
