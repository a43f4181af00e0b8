//! Setup: how a file of tests wants its stack. The default is small and fast: sixty employees, time sixty times as
//! fast, no limit by Merge's plan.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use local_stack::Options;
use serde_json::{Value, json};

/// See the module.
pub struct Setup {
    pub options: Options,
    /// Posted to the sandbox's settings once it runs.
    pub sandbox: Value,
}

/// The functions as Cargo has just built them.
fn binaries() -> BTreeMap<String, PathBuf> {
    let built = [
        ("link-token", env!("CARGO_BIN_EXE_link-token")),
        ("exchange", env!("CARGO_BIN_EXE_exchange")),
        ("relink", env!("CARGO_BIN_EXE_relink")),
        ("delete", env!("CARGO_BIN_EXE_delete")),
        ("accounts", env!("CARGO_BIN_EXE_accounts")),
        ("integrations", env!("CARGO_BIN_EXE_integrations")),
        ("records", env!("CARGO_BIN_EXE_records")),
        ("page", env!("CARGO_BIN_EXE_page")),
        ("webhook", env!("CARGO_BIN_EXE_webhook")),
        ("sync-worker", env!("CARGO_BIN_EXE_sync-worker")),
        ("poller", env!("CARGO_BIN_EXE_poller")),
        ("token-claims", env!("CARGO_BIN_EXE_token-claims")),
    ];
    built.into_iter().map(|(name, path)| (name.to_owned(), PathBuf::from(path))).collect()
}

/// The workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whether the tests run at full length (`tests/run --long`).
pub fn long() -> bool {
    std::env::var_os("TETHER_LONG").is_some()
}

impl Default for Setup {
    fn default() -> Self {
        let options = Options {
            template: root().join("infra/template.yaml"),
            functions: binaries(),
            speed: 60.0,
            employees: 60,
            ..Options::default()
        };
        // Merge syncs once a day by its own clock, so that what happens is a test's doing.
        let setup = Self { options, sandbox: json!({"sync_interval_ms": 86_400_000}) };
        setup
            .variable("sync-worker", "SECOND_SWEEP_SECONDS", "2")
            .variable("sync-worker", "PLAN_REQUESTS_PER_MINUTE", "100000")
            .variable("accounts", "PLAN_REQUESTS_PER_MINUTE", "100000")
            .variable("link-token", "LINK_TOKEN_BURST", "1000")
            .variable("accounts", "REFRESHES_PER_MINUTE", "100000")
    }
}

impl Setup {
    /// Sets an environment variable of one function.
    pub fn variable(mut self, binary: &str, name: &str, value: &str) -> Self {
        let variables = self.options.environment.entry(binary.to_owned()).or_default();
        variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a parameter of the template.
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.options.parameters.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Runs another template than `infra/template.yaml`.
    pub fn template(mut self, path: PathBuf) -> Self {
        self.options.template = path;
        self
    }

    pub fn employees(mut self, employees: u32) -> Self {
        self.options.employees = employees;
        self
    }

    /// How many times as fast as the machine's clock Merge and the schedule run.
    pub fn speed(mut self, speed: f64) -> Self {
        self.options.speed = speed;
        self
    }

    /// The sandbox sends no webhooks at all.
    pub fn without_webhooks(mut self) -> Self {
        self.options.webhooks = false;
        self
    }

    /// The poller does not run.
    pub fn without_schedule(mut self) -> Self {
        self.options.schedule = false;
        self
    }

    /// How long a message stays hidden after its worker died.
    pub fn visibility_seconds(mut self, seconds: u32) -> Self {
        let attributes = self.options.queue_attributes.entry("SyncQueue".to_owned()).or_default();
        attributes.insert("VisibilityTimeout".to_owned(), seconds.to_string());
        self
    }

    /// Settings of the sandbox.
    pub fn sandbox(mut self, settings: Value) -> Self {
        for (name, value) in settings.as_object().into_iter().flatten() {
            self.sandbox[name] = value.clone();
        }
        self
    }
}
