//! Units: what AWS bills for an operation, counted at the local AWS endpoint: requests of every service, and DynamoDB's
//! capacity units. A change that makes an operation dearer fails here.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::harness::{BOUND, Connected, Delivery, KEY, Setup, System, alone, signed, until};

/// What a function has used.
#[derive(Debug, Clone, Default, PartialEq)]
struct Usage {
    /// By action, such as `dynamodb:PutItem`; only what was called.
    requests: BTreeMap<String, u64>,
    /// Capacity units of the accounts table and of refused writes.
    accounts: Capacity,
    /// Capacity units of the records table.
    records: Capacity,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Capacity {
    read: f64,
    write: f64,
}

impl Usage {
    fn of(system: &System, binary: &str) -> Self {
        let aws = system.stack.aws().expect("embedded services");
        let key = format!("local-{binary}");
        let mut usage = Usage::default();
        for ((_, service, action), count) in aws.request_counts().into_iter().filter(|((caller, ..), _)| *caller == key)
        {
            usage.requests.insert(format!("{service}:{action}"), count);
        }
        let records = &system.ready().tables["records"];
        for ((_, table), units) in aws.units().into_iter().filter(|((caller, _), _)| *caller == key) {
            let capacity = if table == *records { &mut usage.records } else { &mut usage.accounts };
            capacity.read += units.read;
            capacity.write += units.write;
        }
        usage
    }

    /// What was used since `before`.
    fn since(&self, before: &Usage) -> Usage {
        let more = |(action, count): (&String, &u64)| {
            let more = count - before.requests.get(action).unwrap_or(&0);
            (more > 0).then(|| (action.clone(), more))
        };
        let capacity = |now: Capacity, before: Capacity| Capacity {
            read: now.read - before.read,
            write: now.write - before.write,
        };
        Usage {
            requests: self.requests.iter().filter_map(more).collect(),
            accounts: capacity(self.accounts, before.accounts),
            records: capacity(self.records, before.records),
        }
    }

    fn only(action: &str, count: u64) -> BTreeMap<String, u64> {
        BTreeMap::from([(action.to_owned(), count)])
    }
}

/// What `binary` uses while `work` runs.
async fn used<T>(system: &System, binary: &str, work: impl AsyncFnOnce() -> T) -> (Usage, T) {
    let before = Usage::of(system, binary);
    let outcome = work().await;
    (Usage::of(system, binary).since(&before), outcome)
}

#[test]
fn a_webhook_is_one_request_to_the_queue() {
    alone(
        || Setup::default().without_schedule(),
        async |system| {
            // The first delivery of a process finds the keys unread.
            post(system, "Employee.synced", json!({}), 0).await;
            let (usage, ()) = used(system, "webhook", async || {
                for n in 1..=10 {
                    post(system, "Employee.synced", json!({}), n).await;
                }
            })
            .await;
            assert_eq!(usage, Usage { requests: Usage::only("sqs:SendMessage", 10), ..Usage::default() });

            // A forged one is none.
            let (usage, ()) = used(system, "webhook", async || {
                let body = event("Employee.synced", json!({}), 11);
                let signature = signed(&body, "another-key");
                for _ in 0..10 {
                    let answer = Delivery { body: body.clone(), signature: Some(&signature) }.post(system).await;
                    assert_eq!(answer.0, 401);
                }
            })
            .await;
            let reads = usage.requests.get("secretsmanager:GetSecretValue").copied().unwrap_or_default();
            assert!(reads <= 1, "an unknown key is looked for once: {usage:?}");
            assert_eq!(usage.requests.values().sum::<u64>(), reads, "{usage:?}");

            // The one event that carries a token has it encrypted.
            let (usage, ()) = used(system, "webhook", async || {
                post(system, "LinkedAccount.linked", json!({"account_token": "a-token", "is_relink": false}), 12).await;
            })
            .await;
            let both = [("kms:Encrypt".to_owned(), 1), ("sqs:SendMessage".to_owned(), 1)];
            assert_eq!(usage.requests, BTreeMap::from(both));
        },
    );
}

#[test]
fn a_link_token_for_a_pending_attempt_is_one_write_and_one_call_to_merge() {
    alone(
        || Setup::default().without_schedule(),
        async |system| {
            let api = system.api("org_acme").await;
            api.link_token("hris").await;
            let route = "POST /api/hris/v1/link-token";
            let calls = system.sandbox().calls(route).await;
            let (usage, _) = used(system, "link-token", async || api.link_token("hris").await).await;
            assert_eq!(usage.requests, Usage::only("dynamodb:PutItem", 1));
            assert_eq!(usage.accounts, Capacity { read: 0.0, write: 1.0 });
            assert_eq!(system.sandbox().calls(route).await - calls, 1);
        },
    );
}

#[test]
fn a_refresh_pays_for_its_key_only_if_it_has_one() {
    alone(
        || Setup::default().without_schedule().without_webhooks(),
        async |system| {
            let api = system.api("org_acme").await;
            let account = system.connect(&api, "hris", "bamboohr").await;
            let path = format!("/v1/linked-accounts/{}/sync", account.id);
            let refresh = async |model: &str, headers: &[(&str, &str)]| {
                // Each of a model of its own: the same one is not queued twice within five seconds.
                let body = json!({"models": [model]});
                let answer = api.send(reqwest::Method::POST, &path, Some(body), headers).await;
                assert_eq!(answer.status, 202, "{answer:?}");
            };
            refresh("hris.Team", &[]).await;
            let (plain, ()) = used(system, "accounts", async || refresh("hris.Employee", &[]).await).await;
            let key = [("Idempotency-Key", "refresh-1")];
            let (first, ()) = used(system, "accounts", async || refresh("hris.Group", &key).await).await;
            let (again, ()) = used(system, "accounts", async || refresh("hris.Group", &key).await).await;
            // The account; the minute's count; the turn and the event; the message.
            let requests = |put: u64, update: u64, send: u64| {
                let counts = [("GetItem", 1), ("PutItem", put), ("UpdateItem", update)];
                let counts = counts.map(|(action, count)| (format!("dynamodb:{action}"), count));
                let counts = counts.into_iter().chain([("sqs:SendMessage".to_owned(), send)]);
                counts.filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>()
            };
            assert_eq!(plain.requests, requests(2, 1, 1));
            assert_eq!(first.requests, requests(3, 2, 1), "the claim, and what came of it");
            assert_eq!(again.requests, requests(1, 1, 0), "the claim, which is refused");
            system.idle().await;
        },
    );
}

/// Units of a read whatever its length: a full one is opened, swept in eight shards, closed, and told.
const ONCE: f64 = 16.0;

/// A synced account of 200 employees in pages of five, whom nobody polls unless the test does.
fn quiet() -> Setup {
    Setup::default().employees(200).without_webhooks().without_schedule().sandbox(json!({"max_page_size": 5}))
}

/// Connects, and polls until the first sync is stored.
async fn connected(system: &System, minutes: &mut Minutes, category: &str, integration: &str) -> Connected {
    let api = system.api("org_acme").await;
    let account = system.connect(&api, category, integration).await;
    until("the first sync is stored", BOUND * 2, async || {
        minutes.pass(system).await;
        match api.account(&account.id).await["initial_sync_completed"].as_bool() {
            Some(true) => Ok(()),
            _ => Err("it is not".to_owned()),
        }
    })
    .await;
    settled(system).await;
    account
}

/// The schedule in a test's hand.
struct Minutes(Timestamp);

impl Minutes {
    async fn pass(&mut self, system: &System) {
        self.skip(system, 1).await;
    }

    /// Lets `count` minutes pass, of which the schedule missed all but the last.
    async fn skip(&mut self, system: &System, count: i64) {
        self.0 += SignedDuration::from_mins(count);
        system.stack.tick(self.0).await;
    }
}

/// Waits until nothing is queued or being worked on.
async fn settled(system: &System) {
    until("the queues are empty", BOUND, async || {
        let depths = system.stack.queue_depths().await;
        let busy = depths.into_iter().find(|(_, depth)| *depth != Default::default());
        busy.map_or(Ok(()), |(queue, depth)| Err(format!("{queue}: {depth:?}")))
    })
    .await;
}

#[test]
fn an_idle_poll_writes_nothing_and_what_did_not_change_is_not_written_again() {
    alone(quiet, async |system| {
        let mut minutes = Minutes(Timestamp::now());
        let account = connected(system, &mut minutes, "hris", "bamboohr").await;
        let api = system.api("org_acme").await;

        // A day in one tick: every slot of the wheel comes round, so the account is polled, once.
        minutes.skip(system, 1_440).await;
        settled(system).await;
        let polls = system.sandbox().calls("GET /api/hris/v1/sync-status").await;
        let before = Usage::of(system, "poller");
        let (worker, ()) = used(system, "sync-worker", async || {
            minutes.skip(system, 1_440).await;
            settled(system).await;
        })
        .await;
        assert!(system.sandbox().calls("GET /api/hris/v1/sync-status").await > polls, "it was polled");
        assert_eq!((worker.accounts.write, worker.records.write), (0.0, 0.0), "{worker:?}");
        let poller = Usage::of(system, "poller").since(&before);
        assert_eq!(poller.accounts.write, 1.0, "its own row, once a run, whatever the number of accounts: {poller:?}");

        // Everything again: no record is written, and a page costs what its commit costs.
        let route = "GET /api/hris/v1/employees";
        let pages = system.sandbox().calls(route).await;
        let (full, ()) = used(system, "sync-worker", async || {
            let sync = json!({"mode": "full", "models": ["hris.Employee"]});
            api.post(&format!("/v1/linked-accounts/{}/sync", account.id), sync, 202).await;
            settled(system).await;
        })
        .await;
        let pages = (system.sandbox().calls(route).await - pages) as f64;
        assert!(pages >= 40.0, "it was read in full: {pages} pages");
        assert_eq!(full.records.write, 0.0, "{full:?}");
        let most = 3.0 * pages + ONCE;
        assert!(full.accounts.write <= most, "{} units for {pages} pages: {full:?}", full.accounts.write);

        let (changes, changed) = half_changes(system, &mut minutes, &account, "hris.Employee").await;
        assert_eq!(changes.records.write, changed, "{changes:?}");
    });
}

/// What the commit of a page of five changed records takes of the accounts table at most: its block of changes and the
/// checkpoint in one transaction, which counts double.
const COMMIT: f64 = 6.0;

/// A model of which records are changed.
struct Changed {
    category: &'static str,
    integration: &'static str,
    model: &'static str,
    list: &'static str,
    /// That a record has at Merge on the average.
    bytes: usize,
    /// That it takes to write one at most.
    units: f64,
}

const LEADS: Changed =
    Changed { category: "crm", integration: "salesforce", model: "crm.Lead", list: "leads", bytes: 1_950, units: 1.0 };

/// Its texts and ids leave some 0.95 kB of it: with key and marks that is one unit or two.
const TICKETS: Changed = Changed {
    category: "ticketing",
    integration: "jira",
    model: "ticketing.Ticket",
    list: "tickets",
    bytes: 2_400,
    units: 2.0,
};

#[test]
fn a_changed_record_of_two_kilobytes_is_one_unit_and_its_share_of_a_commit() {
    LEADS.cost(|| LEADS.setup());
}

#[test]
fn a_changed_ticket_of_two_and_a_half_kilobytes_is_two_units_at_most() {
    TICKETS.cost(|| TICKETS.setup());
}

impl Changed {
    fn setup(&self) -> Setup {
        quiet()
            .sandbox(json!({"max_page_size": 5, "records": {self.model: 200}}))
            .variable("sync-worker", "MODELS", self.model)
            // What was read just before is not read again with what changed.
            .variable("sync-worker", "WINDOW_OVERLAP_SECONDS", "0")
    }

    /// Changes half of two hundred records: each is one write, and each page a commit.
    fn cost(&self, setup: fn() -> Setup) {
        let Self { category, integration, model, list, bytes, units } = *self;
        let route = format!("GET /api/{category}/v1/{list}");
        alone(setup, async |system| {
            let mut minutes = Minutes(Timestamp::now());
            let account = connected(system, &mut minutes, category, integration).await;
            let records = system.sandbox().records(&account.merge_id, model).await;
            assert!(records.len() >= 200 * bytes, "{} bytes in all", records.len());
            let pages = system.sandbox().calls(&route).await;
            let (changes, changed) = half_changes(system, &mut minutes, &account, model).await;
            let pages = (system.sandbox().calls(&route).await - pages) as f64;
            assert!(pages >= changed / 5.0, "{pages} pages of five");
            let (least, most) = (changed, units * changed);
            assert!((least..=most).contains(&changes.records.write), "{changed} records: {changes:?}");
            let most = COMMIT * pages + ONCE;
            assert!(changes.accounts.write <= most, "{} units for {pages} pages: {changes:?}", changes.accounts.write);
        });
    }
}

/// Lets Merge find that a hundred records of a model have changed, and the worker that Merge did: what that takes, and
/// the hundred.
async fn half_changes(system: &System, minutes: &mut Minutes, account: &Connected, model: &str) -> (Usage, f64) {
    let changed = system.sandbox().mark(&account.merge_id, "mutate", model, 100).await;
    // The API's own word may be that of before: it asks Merge once for all who want to know within a moment.
    let (usage, ()) = used(system, "sync-worker", async || {
        system.sandbox().sync(&account.merge_id).await;
        minutes.skip(system, 1_440).await;
        settled(system).await;
    })
    .await;
    (usage, changed.len() as f64)
}

fn event(name: &str, data: serde_json::Value, n: usize) -> Vec<u8> {
    let id = format!("00000000-0000-4000-8000-{n:012}");
    json!({"hook": {"event": name}, "linked_account": {"id": id, "category": "hris"}, "data": data})
        .to_string()
        .into_bytes()
}

async fn post(system: &System, name: &str, data: serde_json::Value, n: usize) {
    let body = event(name, data, n);
    let signature = signed(&body, KEY);
    let answer = Delivery { body, signature: Some(&signature) }.post(system).await;
    assert_eq!(answer.0, 200);
}
