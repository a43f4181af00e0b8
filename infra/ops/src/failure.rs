//! A failure: why the tool could not do what it was asked, in one sentence and its causes. What a command finds out is
//! no failure.

use std::path::PathBuf;

use shared::config::ConfigError;
use shared::config::tls::TlsError;
use shared::domain::ids::InvalidId;
use shared::linking::LinkError;
use shared::merge::MergeError;
use shared::queue::QueueError;
use shared::relay::RelayError;
use shared::secrets::SecretsError;
use shared::store::StoreError;

use crate::metrics::MetricsError;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("no stack is named: pass --stack NAME or --local, or set the stack's variables")]
    Environment(#[source] ConfigError),
    #[error("the stack {0} does not say all that is needed: deploy this version's template, or set what is missing")]
    Outputs(String, #[source] ConfigError),
    #[error(
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (`aws configure export-credentials --format env` prints those of a profile)"
    )]
    NoCredentials,
    #[error("the stack {name} cannot be read: {why}")]
    Stack { name: String, why: String },
    #[error("no `cargo dev` answers on port {0} and the ones after it: start it, or pass its --port-base")]
    NoLocalStack(u16),
    #[error("no TLS client can be made")]
    Tls(#[from] TlsError),
    #[error("the tables cannot be used")]
    Store(#[from] StoreError),
    #[error("the queues cannot be used")]
    Queue(#[from] QueueError),
    #[error("Merge did not do it")]
    Merge(#[from] MergeError),
    #[error("a secret cannot be used")]
    Secrets(#[from] SecretsError),
    #[error("a link cannot be worked on")]
    Link(#[from] LinkError),
    #[error("what the stack counts cannot be read")]
    Metrics(#[from] MetricsError),
    #[error("a webhook cannot be relayed")]
    Relay(#[from] RelayError),
    #[error("this is not an id")]
    Id(#[from] InvalidId),
    #[error("there is no account {0}")]
    NoAccount(String),
    #[error("{0} is no model of this account")]
    NoModel(String),
    #[error("{0} is being fetched just now: try again")]
    Busy(String),
    #[error("{0}")]
    Usage(String),
    #[error("{} cannot be used", .path.display())]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the output is closed")]
    Output(#[from] std::io::Error),
    #[error("nothing was done: the question was not answered with yes")]
    Declined,
    #[error("this needs a yes: there is no terminal to ask on, so pass --yes")]
    NobodyToAsk,
}
