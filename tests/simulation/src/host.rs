//! Host: what AWS does around the functions. It gives messages to workers, requests to the front, and the poller its
//! minute; each in a process that may die, and that is used again if it does not.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lambda_events::event::sqs::SqsEvent;
use functions::poller::{Polled, Tick, poll};
use functions::sync_worker::{self, Invocation};
use jiff::Timestamp;
use lambda_http::{Body, Request};
use serde_json::{Value, json};
use shared::ambient;
use tokio::time::Instant;

use crate::cloud::{POISON, QUEUE};
use crate::happenings::Happening;
use crate::machine::{Api, FrontMachine, WorkerMachine};
use crate::merge::pause;
use crate::process::Ended;
use crate::sim::Sim;

/// Left of an invocation's time when no more work is taken up, as in the worker's `main`.
const RESERVE: Duration = Duration::from_secs(20);

/// See the module. Cheap to share.
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    sim: Sim,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    workers: Vec<WorkerMachine>,
    fronts: Vec<Arc<FrontMachine>>,
    started: u64,
    running: u64,
    /// Ids of the messages that are worked on.
    at_work: BTreeSet<String>,
}

impl Host {
    pub fn new(sim: &Sim) -> Self {
        Self(Arc::new(Inner { sim: sim.clone(), state: Mutex::default() }))
    }

    pub fn sim(&self) -> &Sim {
        &self.0.sim
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Workers at work.
    pub fn running(&self) -> u64 {
        self.state().running
    }

    /// Fresh processes from now on.
    pub fn recycle(&self) {
        let mut state = self.state();
        state.workers.clear();
        state.fronts.clear();
    }

    fn number(&self) -> u64 {
        let mut state = self.state();
        state.started += 1;
        state.started
    }

    /// Gives messages to workers, for ever.
    pub async fn event_source(self) {
        loop {
            pause(self.sim(), 200, 900).await;
            self.meddle();
            while self.running() < 6 {
                let Some(message) = self.sim().cloud().receive(self.millis()) else { break };
                let id = message["MessageId"].as_str().unwrap_or_default();
                if self.state().at_work.contains(id) {
                    self.sim().happened(Happening::SeenAgain);
                }
                let (late, twice) = {
                    let (faults, mut chance) = (self.sim().faults(), self.sim().chance());
                    let late = chance.hits(faults.delivery_late).then(|| chance.millis(1_000, 60_000));
                    (late, chance.hits(faults.delivery_twice).then(|| chance.millis(0, 30_000)))
                };
                if let Some(later) = twice {
                    self.sim().happened(Happening::GivenTwice);
                    self.start(message.clone(), later);
                }
                if late.is_some() {
                    self.sim().happened(Happening::GivenLate);
                }
                self.start(message, late.unwrap_or_default());
            }
            if self.sim().cloud().take_buried() {
                self.sim().happened(Happening::Buried);
            }
        }
    }

    /// Now and then somebody queues what nobody can read, or redrives what lies in the dead-letter queue.
    fn meddle(&self) {
        let faults = self.sim().faults();
        if self.sim().chance().hits(faults.poison) {
            let groups: Vec<String> = self.sim().merge().world().0.store.accounts.keys().cloned().collect();
            let place = self.sim().chance().below(2 * groups.len() as u64 + 1) as usize;
            self.sim().cloud().poison(groups.get(place).map_or("nobody", String::as_str), self.millis());
            self.sim().happened(Happening::Poison);
        }
        if self.sim().chance().hits(faults.poison) {
            self.redrive();
        }
    }

    /// Puts the dead letters back on the queue; how many there were.
    pub fn redrive(&self) -> usize {
        let letters = self.sim().cloud().redrive(self.millis());
        for body in &letters {
            self.sim().note(&format!("redriven: {body}"));
            self.sim().happened(Happening::Redriven);
        }
        letters.len()
    }

    fn millis(&self) -> u64 {
        self.sim().now().as_millisecond().unsigned_abs()
    }

    fn start(&self, message: Value, after: Duration) {
        self.state().running += 1;
        let host = self.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(after).await;
            host.work(&message).await;
            host.state().running -= 1;
        });
    }

    async fn work(&self, message: &Value) {
        let warm = self.state().workers.pop();
        let machine = match warm {
            Some(machine) => machine,
            None => WorkerMachine::new(self.sim(), self.number()),
        };
        let id = message["MessageId"].as_str().unwrap_or_default().to_owned();
        let name = machine.process.name.clone();
        self.sim().note(&format!("{name} begins {id} {}", message["Body"].as_str().unwrap_or_default()));
        let record = json!({
            "messageId": id, "body": message["Body"], "receiptHandle": message["ReceiptHandle"],
            "attributes": message["Attributes"], "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "us-east-1",
        });
        let event: SqsEvent = serde_json::from_value(json!({"Records": [record]})).expect("an SQS event");
        let scenario = self.sim().scenario();
        let slice = scenario.slice.min(scenario.timeout.saturating_sub(RESERVE));
        let request_id = ambient::uuid().to_string();
        let invocation = Invocation { request_id, stop_at: Instant::now() + slice };
        let work = sync_worker::handle(&machine.worker, event, &invocation);
        self.state().at_work.insert(id.clone());
        let ended = machine.process.invoke(scenario.timeout, work).await;
        self.state().at_work.remove(&id);
        let faulted = machine.process.was_faulted();
        match ended {
            Ended::Answered(answer) => {
                self.sim().note(&format!("{name} ends {id}, {} failed", answer.batch_item_failures.len()));
                if answer.batch_item_failures.is_empty() {
                    self.acknowledge(message);
                } else {
                    self.sim().happened(Happening::WorkFailed);
                    if !faulted && message["Body"] != POISON {
                        let what = format!("I7: {id} failed though nothing went wrong: {}", message["Body"]);
                        self.sim().watch().broken(what);
                    }
                }
                self.state().workers.push(machine);
            }
            Ended::Crashed => self.sim().note(&format!("{name} died over {id}")),
            Ended::TimedOut => {
                self.sim().happened(Happening::EndedAtTimeout);
                self.sim().note(&format!("{name} was ended over {id}"));
            }
        }
    }

    fn acknowledge(&self, message: &Value) {
        let faults = self.sim().faults();
        if self.sim().chance().hits(faults.ack_lost) {
            self.sim().note("the acknowledgement is lost");
            self.sim().happened(Happening::AckLost);
            return;
        }
        let input = json!({"QueueUrl": QUEUE, "ReceiptHandle": message["ReceiptHandle"]});
        self.sim().cloud().sqs("DeleteMessage", &input, self.millis());
    }

    /// Runs a handler of the front in a process; `None` when it died over it.
    pub async fn front<T, F>(&self, most: Duration, work: impl FnOnce(Arc<FrontMachine>) -> F) -> Option<T>
    where
        F: Future<Output = T>,
    {
        let warm = self.state().fronts.pop();
        let machine = match warm {
            Some(machine) => machine,
            None => Arc::new(FrontMachine::new(self.sim(), self.number())),
        };
        match machine.process.invoke(most, work(Arc::clone(&machine))).await {
            Ended::Answered(answer) => {
                self.state().fronts.push(machine);
                Some(answer)
            }
            Ended::Crashed | Ended::TimedOut => None,
        }
    }

    /// One request to the API: status and body; `None` without an answer.
    pub async fn ask(&self, api: Api, organization: &str, route: &str, body: Value) -> Option<(u16, Value)> {
        let request = event(organization, route, &body);
        let most = Duration::from_secs(29);
        let answer = self.front(most, |machine| async move { machine.answer(api, request).await }).await;
        let answered = answer.map(|answer| {
            let text = match answer.body() {
                Body::Text(text) => text.clone(),
                _ => String::new(),
            };
            // A link token is what that route is for.
            if matches!(api, Api::Exchange | Api::Delete) {
                self.sim().watch().public("an answer", &text);
            }
            (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_default())
        });
        let status = answered.as_ref().map_or(0, |(status, _)| *status);
        self.sim().note(&format!("{organization} {route} {status}"));
        answered
    }

    /// Gives the poller each of its minutes, for ever.
    pub async fn schedule(self) {
        loop {
            let left = 60 - self.sim().now().as_second().rem_euclid(60).unsigned_abs();
            tokio::time::sleep(Duration::from_secs(left)).await;
            let scheduled = self.sim().now();
            let (missed, wait, twice) = {
                let faults = self.sim().faults();
                let mut chance = self.sim().chance();
                let late = chance.hits(faults.tick_late);
                let wait = if late { chance.millis(1_000, 150_000) } else { Duration::ZERO };
                (chance.hits(faults.tick_missed), wait, chance.hits(faults.tick_twice))
            };
            if missed {
                self.sim().happened(Happening::TickMissed);
                continue;
            }
            if !wait.is_zero() {
                self.sim().happened(Happening::TickLate);
            }
            self.tick(scheduled, wait);
            if twice {
                self.sim().happened(Happening::TickTwice);
                self.tick(scheduled, wait + Duration::from_secs(1));
            }
        }
    }

    fn tick(&self, scheduled_time: Timestamp, wait: Duration) {
        let host = self.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(wait).await;
            host.poll(scheduled_time, Duration::from_secs(50), None).await;
        });
    }

    /// Runs the poller for a minute, which queues so many accounts at most; `None` when it failed, or died because it
    /// took longer than `most`.
    pub async fn poll(&self, scheduled_time: Timestamp, most: Duration, rate: Option<usize>) -> Option<Polled> {
        let tick = Tick { scheduled_time };
        let deadline = Instant::now() + Duration::from_secs(50);
        let run = |machine: Arc<FrontMachine>| async move {
            let mut poller = machine.poller.clone();
            poller.settings.rate = rate.unwrap_or(poller.settings.rate);
            poll(&poller, &tick, deadline).await
        };
        let polled = self.front(most, run).await?.ok()?;
        self.sim().note(&format!("the poller queued {}, finished: {}", polled.queued, polled.finished));
        Some(polled)
    }
}

/// What API Gateway makes of a request.
fn event(organization: &str, route: &str, body: &Value) -> Request {
    let (method, path) = route.split_once(' ').unwrap_or(("GET", route));
    let id = path.strip_prefix("/v1/linked-accounts/").and_then(|rest| rest.split('/').next());
    let parameters = id.map_or(json!({}), |id| json!({"id": id}));
    let scope = "tether/linked-accounts:read tether/linked-accounts:write tether/records:read";
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "headers": {},
        "pathParameters": parameters,
        "requestContext": {
            "accountId": "1", "apiId": "a", "stage": "$default", "requestId": "request", "routeKey": "$default",
            "timeEpoch": 0,
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1" },
            "authorizer": { "jwt": { "scopes": [], "claims": {
                "sub": format!("{organization}-user"), "org_id": organization, "scope": scope,
                "email": "admin@example.com", "org_name": "Example",
            }}},
        },
        "body": body, "isBase64Encoded": false,
    });
    lambda_http::request::from_str(&event.to_string()).expect("an event of API Gateway")
}
