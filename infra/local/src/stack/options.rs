//! What a stack is started with, and why it may not start.

use std::collections::BTreeMap;
use std::path::PathBuf;

use thiserror::Error;

use crate::issuer::IssuerError;
use crate::logs::Echo;
use crate::ports::PortError;
use crate::template::TemplateError;

/// How to start a stack. The default runs everything in memory on any free ports.
#[derive(Debug, Clone)]
pub struct Options {
    /// The SAM template.
    pub template: PathBuf,
    /// Executables by Cargo binary; the template's functions must all be there.
    pub functions: BTreeMap<String, PathBuf>,
    /// First of six consecutive ports; `None`: a free block is found.
    pub port_base: Option<u16>,
    /// Keeps accounts, records, queue, keys and the sandbox's state across restarts.
    pub data_dir: Option<PathBuf>,
    /// The sandbox's syncs and the schedule run this many times as fast.
    pub speed: f64,
    /// Another AWS-compatible endpoint in place of the embedded one. The credentials of the
    /// environment are used for it, `test`/`test` when there are none.
    pub aws_endpoint: Option<String>,
    /// Whether the sandbox sends webhooks.
    pub webhooks: bool,
    /// Size of the sandbox's accounts.
    pub employees: u32,
    /// Of the sandbox's data.
    pub seed: u64,
    /// Template parameters that replace the local defaults.
    pub parameters: BTreeMap<String, String>,
    /// Further environment variables by Cargo binary; for tests.
    pub environment: BTreeMap<String, BTreeMap<String, String>>,
    /// Which log lines of functions are echoed to standard error.
    pub echo_logs: Echo,
    /// Whether the template's schedules run; without, [`Stack::tick`](super::Stack::tick) does.
    pub schedule: bool,
    /// Queue attributes that replace the template's, by logical id; for tests that cannot wait for a
    /// visibility timeout.
    pub queue_attributes: BTreeMap<String, BTreeMap<String, String>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            template: PathBuf::from("infra/template.yaml"),
            functions: BTreeMap::new(),
            port_base: None,
            data_dir: None,
            speed: 1.0,
            aws_endpoint: None,
            webhooks: true,
            employees: 10_000,
            seed: 1,
            parameters: BTreeMap::new(),
            environment: BTreeMap::new(),
            echo_logs: Echo::Nothing,
            schedule: true,
            queue_attributes: BTreeMap::new(),
        }
    }
}

/// Why a stack did not start; each is one sentence for whoever started it.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error("the speed must be a number from 1 to 1000, not {0}")]
    Speed(f64),
    #[error("the template's function {function} runs the binary `{binary}`, which was not built")]
    MissingBinary { function: String, binary: String },
    #[error("the template's {what} names {name}, which is no {wanted} of the template")]
    Dangling { what: &'static str, name: String, wanted: &'static str },
    #[error("the data directory {} cannot be used: {source}", path.display())]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error("the AWS services did not start: {0}")]
    Aws(String),
    #[error("{0}")]
    Provision(String),
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    #[error(transparent)]
    Sandbox(#[from] merge_sandbox::StartError),
    #[error("the Lambda host did not start: {0}")]
    Host(std::io::Error),
    #[error("{service} does not answer at {url}: {why}")]
    Unhealthy { service: &'static str, url: String, why: String },
}
