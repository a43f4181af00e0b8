//! AWS: one server that speaks DynamoDB, SQS, KMS, Secrets Manager and EventBridge over their AWS
//! JSON protocols, and as much of CloudFormation and CloudWatch as names a stack's outputs and sums, for any AWS SDK or
//! CLI that is given its address as endpoint URL.
//!
//! Emulators are libraries in this process, but for SQS ([`sqs`]) and the bus of events. With a data
//! directory everything but events survives a restart.

mod caller;
mod cloudformation;
mod cloudwatch;
mod dynamodb;
mod embedded;
mod events;
mod fault;
mod files;
mod gateway;
mod guard;
mod meter;
pub mod policy;
pub mod sqs;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use caller::Call;
pub use dynamodb::DynamoDb;
pub use fault::Fault;
pub use meter::Units;

use crate::lambda::Host;
use crate::logs::Logs;
use gateway::Services;
use policy::{Permission, Policies};

/// How long a stop waits for requests that are being answered.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What to serve, and where.
#[derive(Debug, Clone)]
pub struct AwsOptions {
    /// Port 0 takes any free port.
    pub listen: SocketAddr,
    /// Where state is kept; `None` keeps it in memory.
    pub data_dir: Option<PathBuf>,
    pub region: String,
    /// Twelve digits.
    pub account_id: String,
}

/// Why the AWS services could not start.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    #[error("AWS services: cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("AWS services: the data directory {} cannot be used: {source}", directory.display())]
    Data { directory: PathBuf, source: std::io::Error },
    #[error("AWS services: the data directory {} is in use by another stack", directory.display())]
    InUse { directory: PathBuf },
    #[error("AWS services: the database cannot be opened: {0}")]
    Database(String),
}

/// The running AWS services.
pub struct Aws {
    address: SocketAddr,
    /// Locked for as long as the services run: two stacks on one directory would ruin it.
    _lock: Option<File>,
    services: Arc<Services>,
    closing: watch::Sender<bool>,
    server: JoinHandle<()>,
    sweeper: JoinHandle<()>,
}

impl Aws {
    /// Starts to serve.
    ///
    /// # Errors
    ///
    /// When the address is taken or the data directory cannot be read or written.
    pub async fn start(options: AwsOptions) -> Result<Self, AwsError> {
        let listening = async {
            let listener = merge_sandbox::listen(options.listen).await?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) =
            listening.await.map_err(|source| AwsError::Listen { address: options.listen, source })?;
        let lock = match &options.data_dir {
            None => None,
            Some(directory) => Some(lock(directory)?),
        };
        let (closing, closed) = watch::channel(false);
        let services = Services::open(&options, address, closed.clone()).await?;
        let services = Arc::new(services);
        let sweeper = services.dynamodb.sweep_periodically();
        let router = gateway::router(Arc::clone(&services));
        let server = tokio::spawn(async move {
            let mut closed = closed;
            let stopped = async move {
                // An error means that the sender is gone, which stops the server as well.
                closed.wait_for(|closed| *closed).await.map_or((), |_| ())
            };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
                tracing::error!(%error, "the AWS services ended");
            }
        });
        Ok(Self { address, _lock: lock, services, closing, server, sweeper })
    }

    /// Where the services answer.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint URL, without a trailing slash.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests so far by (access key, service, action), for example `("test", "dynamodb", "PutItem")`.
    pub fn request_counts(&self) -> BTreeMap<(String, String, String), u64> {
        self.services.observer.counts()
    }

    /// DynamoDB's capacity units so far by (access key, table); the table is empty for refused writes.
    pub fn units(&self) -> BTreeMap<(String, String), Units> {
        self.services.meter.units()
    }

    /// From now on, refuses what a caller's policy does not allow. Before, and to callers without one, all is allowed.
    pub fn enforce(&self, policies: Policies) {
        self.services.guard.enforce(policies);
    }

    /// From now on the stack can be described, by its outputs.
    pub fn deployed(&self, stack: &str, outputs: BTreeMap<String, String>) {
        self.services.cloudformation.deployed(stack, outputs);
    }

    /// From now on what functions print in these logs is counted.
    pub fn count_from(&self, logs: Logs) {
        self.services.cloudwatch.read_from(logs);
    }

    /// From now on this host's invocations are counted, whose `binaries` are given by the functions' names.
    pub fn watch(&self, host: Host, binaries: BTreeMap<String, String>) {
        self.services.cloudwatch.watch(host, binaries);
    }

    /// Every permission that was needed and granted so far, by access key.
    pub fn permissions_used(&self) -> BTreeMap<String, BTreeSet<Permission>> {
        self.services.guard.used()
    }

    /// What was refused so far because no policy allows it, as sentences.
    pub fn refused(&self) -> Vec<String> {
        self.services.guard.refused()
    }

    /// Bodies of the latest messages put on any queue, oldest first.
    pub fn messages(&self) -> Vec<String> {
        self.services.observer.messages()
    }

    /// Every event put on a bus so far, as its `PutEvents` entry plus `Id`.
    pub fn events(&self) -> Vec<Value> {
        self.services.events.events()
    }

    /// Answers what is being asked, then stops. State in a data directory is complete at every moment,
    /// so that dropping without a stop loses nothing.
    pub async fn stop(mut self) {
        self.sweeper.abort();
        self.closing.send_replace(true);
        if tokio::time::timeout(STOP_GRACE, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

/// Creates the data directory, if need be, and locks it for this process.
fn lock(directory: &Path) -> Result<File, AwsError> {
    let data = |source| AwsError::Data { directory: directory.to_owned(), source };
    std::fs::create_dir_all(directory).map_err(data)?;
    let lock = files::empty(&directory.join("lock")).map_err(data)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(AwsError::InUse { directory: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(data(source)),
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.sweeper.abort();
        self.closing.send_replace(true);
        self.server.abort();
    }
}
