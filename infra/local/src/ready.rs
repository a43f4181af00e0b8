//! The ready file: where everything is, written once all of it answers. Other tools wait for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Where a started stack is. Serializes to the ready file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ready {
    /// Of this shape: 1.
    pub version: u32,
    pub pid: u32,
    pub port_base: u16,
    /// The connect page.
    pub page: String,
    /// Base URL of `/v1/...`.
    pub api: String,
    /// Where Merge posts webhooks.
    pub webhook: String,
    /// Merge's base URL; ends in `/api`.
    pub merge: String,
    /// The sandbox's control API.
    pub sandbox: String,
    pub aws: String,
    pub issuer: String,
    pub token: String,
    pub runtime: String,
    pub region: String,
    /// Physical names by `accounts` and `records`.
    pub tables: BTreeMap<String, String>,
    pub queue_url: String,
    pub dlq_url: String,
    pub data_dir: Option<PathBuf>,
}

impl Ready {
    /// Writes the file in one step: whoever sees it sees all of it.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        std::fs::write(&partial, serde_json::to_vec(self)?)?;
        std::fs::rename(partial, path)
    }
}
