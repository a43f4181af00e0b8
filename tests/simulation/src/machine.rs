//! Machine: a process with the handlers in it, built as each `main` builds its own.

use std::sync::Arc;
use std::time::Duration;

use functions::delete::{self, Deletes};
use functions::exchange::{self, Exchanges};
use functions::link_token::{self, LinkTokens};
use functions::poller::Poller;
use functions::relink::{self, Relinks};
use functions::sync_worker::{Bus, Settings, Worker};
use functions::webhook::Webhook;
use jiff::SignedDuration;
use lambda_http::Request;
use shared::api::limiter::Limiter;
use shared::config::{self, Section};
use shared::domain::secret::ApiKey;
use shared::http::{self, Answer};
use shared::linking::Linking;
use shared::merge::MergeClient;
use shared::queue::Queue;
use shared::secrets::{TokenCipher, WebhookKeyring};
use shared::store::Store;

use crate::cloud::{ACCOUNTS, QUEUE, RECORDS};
use crate::happenings::Happening;
use crate::merge::Merge;
use crate::process::Process;
use crate::sim::{MODELS, Sim};
use crate::wire::Wire;

/// The clients of one process.
struct Clients {
    process: Arc<Process>,
    store: Store,
    queue: Queue,
    merge: MergeClient,
    linking: Linking,
    sdk: aws_config::SdkConfig,
    retention: config::Retention,
}

/// A process of the sync worker.
pub struct WorkerMachine {
    pub process: Arc<Process>,
    pub worker: Worker,
}

/// A process of all the other functions: which of them share one makes no difference to them.
pub struct FrontMachine {
    pub process: Arc<Process>,
    pub links: LinkTokens,
    pub exchanges: Exchanges,
    pub relinks: Relinks,
    pub deletes: Deletes,
    pub webhook: Webhook,
    pub poller: Poller,
}

/// A route of the account API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Link,
    Exchange,
    Relink,
    Delete,
}

impl FrontMachine {
    /// Answers one request, as Lambda would carry it.
    pub async fn answer(&self, api: Api, request: Request) -> Answer {
        match api {
            Api::Link => http::respond(request, &|request| link_token::handle(&self.links, request)).await,
            Api::Exchange => http::respond(request, &|request| exchange::handle(&self.exchanges, request)).await,
            Api::Relink => http::respond(request, &|request| relink::handle(&self.relinks, request)).await,
            Api::Delete => http::respond(request, &|request| delete::handle(&self.deletes, request)).await,
        }
    }
}

fn section<S: Section>(variables: &[(&str, &str)]) -> S {
    let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    config::load_from(&find).unwrap_or_else(|faults| panic!("{faults:?}"))
}

/// A store whose calls nothing happens to, for whoever looks on.
pub fn quiet_store(sim: &Sim) -> Store {
    let process = Process::quiet();
    Store::new(aws_sdk_dynamodb::Client::new(&Wire::sdk(sim, &process)), ACCOUNTS, RECORDS)
}

/// A queue, likewise.
pub fn quiet_queue(sim: &Sim) -> Queue {
    let process = Process::quiet();
    Queue::new(&Wire::sdk(sim, &process), &config::Queue { url: QUEUE.to_owned() })
}

fn clients(sim: &Sim, name: String) -> Clients {
    let skew = {
        let most = if sim.is_calm() { 0 } else { sim.scenario().skew };
        let seconds = sim.chance().below(2 * most + 1);
        SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0) - i64::try_from(most).unwrap_or(0))
    };
    if !skew.is_zero() {
        sim.happened(Happening::ClockOff);
    }
    let process = Process::new(name, skew);
    let sdk = Wire::sdk(sim, &process);
    let store = Store::new(aws_sdk_dynamodb::Client::new(&sdk), ACCOUNTS, RECORDS);
    let transport = Merge { sim: sim.clone(), process: Arc::clone(&process) };
    let merge = MergeClient::over("http://127.0.0.1:2/api", ApiKey::new("dev-api-key"), Arc::new(transport));
    let merge = merge.unwrap_or_else(|error| panic!("{error}"));
    let retention: config::Retention = section(&[]);
    let tokens = Arc::new(TokenCipher::new(&sdk, &config::TokenKey { id: "token-key".to_owned(), previous: None }));
    let linking = Linking { store: store.clone(), merge: merge.clone(), tokens, history: retention.history };
    let queue = Queue::new(&sdk, &config::Queue { url: QUEUE.to_owned() });
    Clients { process, store, queue, merge, linking, sdk, retention }
}

impl WorkerMachine {
    pub fn new(sim: &Sim, number: u64) -> Self {
        let clients = clients(sim, format!("worker-{number}"));
        let scenario = sim.scenario();
        let limits: config::Worker = section(&[]);
        let settings = Settings {
            models: section(&[("MODELS", &MODELS.join(","))]),
            requests_per_minute: scenario.plan_limit,
            slice: scenario.slice,
            second_sweep_after: scenario.second_sweep.unwrap_or(limits.second_sweep_after),
            brake: shared::domain::window::Brake { share: 1.0, floor: u64::MAX },
            overlap: limits.overlap,
            retention: clients.retention,
            clock: config::Clock::REAL,
        };
        let bus = Bus::new(aws_sdk_eventbridge::Client::new(&clients.sdk), "bus");
        let worker = Worker::new(clients.store, clients.merge, clients.linking, clients.queue, bus, settings);
        Self { process: clients.process, worker }
    }
}

impl FrontMachine {
    pub fn new(sim: &Sim, number: u64) -> Self {
        let Clients { process, store, queue, merge, linking, sdk, retention } = clients(sim, format!("front-{number}"));
        let identity: config::Identity = section(&[]);
        let links: config::Linking = section(&[("LINK_TOKEN_BURST", "1000")]);
        Self {
            links: LinkTokens {
                store: store.clone(),
                merge: merge.clone(),
                identity: identity.clone(),
                linking: links.clone(),
                retention: retention.clone(),
                limiter: Limiter::new(1_000),
                refused: section(&[]),
            },
            exchanges: Exchanges {
                linking,
                queue: queue.clone(),
                identity: identity.clone(),
                refused: section(&[]),
                limit: section(&[]),
            },
            relinks: Relinks {
                store: store.clone(),
                merge,
                identity: identity.clone(),
                linking: links,
                retention: retention.clone(),
                limit: section(&[("RELINKS_PER_MINUTE", "1000")]),
                refused: section(&[]),
            },
            deletes: Deletes { store: store.clone(), queue: queue.clone(), identity, retention, limit: section(&[]) },
            webhook: Webhook {
                keys: WebhookKeyring::new(&sdk, &config::WebhookKeys { secret: "keys".to_owned() }),
                cipher: TokenCipher::new(&sdk, &config::TokenKey { id: "token-key".to_owned(), previous: None }),
                queue: queue.clone(),
                relay: None,
            },
            poller: Poller { store, queue, reserve: Duration::from_secs(10), settings: section(&[]) },
            process,
        }
    }
}
