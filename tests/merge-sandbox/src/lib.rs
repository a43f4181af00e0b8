//! The simulated Merge: every route that a backend uses, with seeded data, syncs, webhooks and faults.
//!
//! [`Sandbox`] runs it behind a listener. For a simulation in one process, [`service::Service`] with a manual
//! [`clock::Clock`] has the same routes as a `tower` service, and [`world::World`] is the logic alone.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod account;
pub mod clock;
pub mod dataset;
mod delivery;
pub mod faults;
mod generate;
mod ids;
pub mod integrations;
pub mod issue;
pub mod linking;
pub mod listing;
pub mod models;
mod pager;
mod reply;
mod requests;
mod routes;
pub mod service;
pub mod settings;
mod snapshot;
pub mod sync;
mod throttle;
mod values;
pub mod webhook;
pub mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::service::Service;
use crate::world::{Config, World};

/// How a sandbox starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Where webhooks go (`http` only).
    pub webhook_url: Option<String>,
    /// False: no webhook is ever sent.
    pub webhooks: bool,
    /// Syncs and their intervals run this many times as fast.
    pub speed: f64,
    /// The same seed gives the same accounts, tokens and records.
    pub seed: u64,
    /// Accounts and tokens are kept here across restarts; `None`: in memory.
    pub data_dir: Option<PathBuf>,
    /// Size of an account.
    pub employees: u32,
    /// The address under which browsers reach the sandbox; default: the one it listens on.
    pub public_base: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            webhook_url: None,
            webhooks: true,
            speed: 1.0,
            seed: 1,
            data_dir: None,
            employees: 10_000,
            public_base: None,
        }
    }
}

/// Why a sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the Merge sandbox cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the Merge sandbox cannot read its state in {}: {source}", folder.display())]
    State { folder: PathBuf, source: std::io::Error },
    #[error("the Merge sandbox must listen on a loopback address, not on {0}: its control API has no key")]
    NotLoopback(SocketAddr),
    #[error("the Merge sandbox's speed must be a positive number")]
    Speed,
}

/// The sandbox without a socket and without tasks, in memory: its [`Service::router`] answers in process, `clock` alone
/// moves it, and whoever drives it takes the webhooks from `world().0.webhooks` and tells their outcome back.
pub fn in_process(options: &Options, clock: Clock) -> Arc<Service> {
    let world = World::new(config(options, options.listen), world::Store::default());
    Service::new(world, clock, None)
}

fn config(options: &Options, address: SocketAddr) -> Config {
    Config {
        seed: options.seed,
        speed: options.speed,
        employees: options.employees,
        webhook_url: options.webhook_url.clone(),
        webhooks: options.webhooks,
        base: options.public_base.clone().unwrap_or_else(|| format!("http://{address}")),
    }
}

/// A running sandbox. Dropping it stops it without a last save; [`Sandbox::stop`] does it properly.
pub struct Sandbox {
    address: SocketAddr,
    service: Arc<Service>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<()>,
    delivery: JoinHandle<()>,
}

impl Sandbox {
    /// Listens and answers until stopped.
    pub async fn start(options: Options) -> Result<Sandbox, StartError> {
        if !(options.speed.is_finite() && options.speed > 0.0) {
            return Err(StartError::Speed);
        }
        if !options.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(options.listen));
        }
        let store = match &options.data_dir {
            Some(folder) => {
                snapshot::read(folder).map_err(|source| StartError::State { folder: folder.clone(), source })?
            }
            None => world::Store::default(),
        };
        let failed = |source| StartError::Listen { address: options.listen, source };
        let listener = listen(options.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let world = World::new(config(&options, address), store);
        let service = Service::new(world, Clock::System, options.data_dir);
        let (stop, stopped) = oneshot::channel();
        let router = service.router();
        let server = tokio::spawn(async move {
            let until = async move { drop(stopped.await) };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(until).await {
                tracing::error!(%error, "the sandbox stopped listening");
            }
        });
        let delivery = tokio::spawn(delivery::run(Arc::clone(&service)));
        Ok(Sandbox { address, service, stop: Some(stop), server, delivery })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends webhooks elsewhere from now on.
    pub fn set_webhook_url(&self, url: Option<String>) {
        self.service.world().0.config.webhook_url = url;
    }

    /// Saves and stops. Calls under way may finish for a moment.
    pub async fn stop(mut self) {
        self.delivery.abort();
        if self.stop.take().is_some_and(|stop| stop.send(()).is_err()) {
            tracing::debug!("the server had ended by itself");
        }
        // Idle keep-alive connections would hold a graceful stop for ever.
        let patience = std::time::Duration::from_millis(200);
        if tokio::time::timeout(patience, &mut self.server).await.is_err() {
            self.server.abort();
        }
        self.service.save();
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.delivery.abort();
        self.server.abort();
    }
}

/// How long an address that was just given up may still be held by a process that is being started: until it executes
/// its program, a forked child holds every listener of its parent.
const HELD: std::time::Duration = std::time::Duration::from_secs(5);

/// Listens on an address, also when it was in use a moment ago.
///
/// # Errors
///
/// When the address is in use for longer, or may not be listened on.
pub async fn listen(address: std::net::SocketAddr) -> std::io::Result<tokio::net::TcpListener> {
    let until = tokio::time::Instant::now() + HELD;
    let mut pause = tokio::time::interval(std::time::Duration::from_millis(20));
    loop {
        pause.tick().await;
        match tokio::net::TcpListener::bind(address).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && tokio::time::Instant::now() < until => {}
            outcome => return outcome,
        }
    }
}
