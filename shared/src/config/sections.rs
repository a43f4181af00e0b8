//! The sections that functions share. Each field says its variable, unit, default and why.

use std::time::Duration;

use jiff::Timestamp;

use super::{Reader, Section};
use crate::domain::endpoint::ModelFilter;
use crate::domain::origin::OriginIdStrategy;
use crate::domain::window::Brake;

/// The DynamoDB tables.
#[derive(Clone, Debug)]
pub struct Tables {
    /// `ACCOUNTS_TABLE`: name of the table of accounts, checkpoints and everything but records.
    pub accounts: String,
    /// `RECORDS_TABLE`: name of the table of synced records. Only functions that read or write
    /// records are given it; the others see `None`.
    pub records: Option<String>,
}

impl Section for Tables {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { accounts: reader.required("ACCOUNTS_TABLE"), records: reader.optional("RECORDS_TABLE") }
    }
}

/// The FIFO queue of the sync worker.
#[derive(Clone, Debug)]
pub struct Queue {
    /// `QUEUE_URL`: URL of the queue.
    pub url: String,
}

impl Section for Queue {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { url: reader.required("QUEUE_URL") }
    }
}

/// The bus on which the host product hears of accounts that need a person.
#[derive(Clone, Debug)]
pub struct EventBus {
    /// `EVENT_BUS`: name of the EventBridge bus.
    pub name: String,
}

impl Section for EventBus {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { name: reader.required("EVENT_BUS") }
    }
}

/// A staging stack's relay of webhooks.
#[derive(Clone, Debug)]
pub struct Relay {
    /// `RELAY_QUEUE_URL`, optional: URL of the queue of copies.
    pub queue: Option<String>,
}

impl Section for Relay {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { queue: reader.optional("RELAY_QUEUE_URL") }
    }
}

/// The KMS key of account tokens.
#[derive(Clone, Debug)]
pub struct TokenKey {
    /// `TOKEN_KEY`: ARN or id of the key.
    pub id: String,
    /// `PREVIOUS_TOKEN_KEY`, optional: the key before, which opens what was not moved to `TOKEN_KEY` yet.
    pub previous: Option<String>,
}

impl Section for TokenKey {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { id: reader.required("TOKEN_KEY"), previous: reader.optional("PREVIOUS_TOKEN_KEY") }
    }
}

/// Merge's API and the plan it is used under.
#[derive(Clone, Debug)]
pub struct Merge {
    /// `MERGE_BASE_URL`: base of every call, without a trailing slash. Ends in `/api`, because
    /// keys and accounts live in one region and a host alone is the front end's setting.
    pub base_url: String,
    /// `MERGE_API_KEY_SECRET`: ARN or name of the secret that holds the API key.
    pub api_key_secret: String,
    /// `PLAN_REQUESTS_PER_MINUTE`, requests a minute and linked account, default 100 (Launch):
    /// what Merge's plan allows before it answers 429.
    pub requests_per_minute: u32,
}

impl Section for Merge {
    fn read(reader: &mut Reader<'_>) -> Self {
        let base_url = reader.https_url("MERGE_BASE_URL");
        if !base_url.is_empty() && !base_url.ends_with("/api") {
            reader.fault("MERGE_BASE_URL", "must end in /api");
        }
        Self {
            base_url,
            api_key_secret: reader.required("MERGE_API_KEY_SECRET"),
            requests_per_minute: reader.number_or("PLAN_REQUESTS_PER_MINUTE", 100, 1, 100_000),
        }
    }
}

/// Where the keys are with which Merge signs webhooks.
#[derive(Clone, Debug)]
pub struct WebhookKeys {
    /// `WEBHOOK_KEYS_SECRET`: ARN or name of the secret: a JSON list, newest first.
    pub secret: String,
}

impl Section for WebhookKeys {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { secret: reader.required("WEBHOOK_KEYS_SECRET") }
    }
}

/// Whose the linked accounts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountOwner {
    /// Everybody of an organization shares its accounts; the organization is a claim.
    Organization,
    /// Each user has accounts of their own; the `sub` claim is the organization.
    User,
}

/// How a verified token names the caller.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `ACCOUNT_OWNER`, default `organization`.
    pub account_owner: AccountOwner,
    /// `ORGANIZATION_CLAIM`, default `org_id`: claim with the organization's id.
    pub organization_claim: String,
    /// `ORGANIZATION_NAME_CLAIM`, default `org_name`: claim with its name, a display label.
    pub organization_name_claim: String,
    /// `EMAIL_CLAIM`, default `email`: claim with the user's e-mail, a display label.
    pub email_claim: String,
    /// `SCOPE_PREFIX`, default `tether/`: put before every scope name. An explicit empty prefix
    /// cannot be told from an unset one and means the default.
    pub scope_prefix: String,
}

impl Section for Identity {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            account_owner: reader
                .choice("ACCOUNT_OWNER", &[("organization", AccountOwner::Organization), ("user", AccountOwner::User)]),
            organization_claim: reader.text_or("ORGANIZATION_CLAIM", "org_id"),
            organization_name_claim: reader.text_or("ORGANIZATION_NAME_CLAIM", "org_name"),
            email_claim: reader.text_or("EMAIL_CLAIM", "email"),
            scope_prefix: reader.text_or("SCOPE_PREFIX", "tether/"),
        }
    }
}

/// The settings of link tokens.
#[derive(Clone, Debug)]
pub struct Linking {
    /// `ORIGIN_ID_STRATEGY`, default `many_per_category`: which form new origin ids take; both
    /// forms are always understood.
    pub strategy: OriginIdStrategy,
    /// `LINK_EXPIRY_MINS`, minutes, 30 to 720, default 30: life of a link token. Merge accepts
    /// no less.
    pub expiry_minutes: u32,
    /// `LINK_TOKEN_BURST`, link tokens, default 60: what one subject may ask for at once; then 10
    /// a minute.
    pub token_burst: u32,
}

impl Section for Linking {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            strategy: reader.choice(
                "ORIGIN_ID_STRATEGY",
                &[
                    ("many_per_category", OriginIdStrategy::ManyPerCategory),
                    ("one_per_category", OriginIdStrategy::OnePerCategory),
                ],
            ),
            expiry_minutes: reader.number_or("LINK_EXPIRY_MINS", 30, 30, 720),
            token_burst: reader.number_or("LINK_TOKEN_BURST", 60, 1, 100_000),
        }
    }
}

/// Which models are synced.
#[derive(Clone, Debug)]
pub struct Models {
    /// `MODELS`, model keys such as `hris.Employee` separated by commas, default every model but nested lists.
    /// Nested lists (`ticketing.User@projects`, with `ticketing.Project`) are opt-in through it, because they cost a
    /// call per parent.
    pub filter: ModelFilter,
}

impl Section for Models {
    fn read(reader: &mut Reader<'_>) -> Self {
        let keys = reader.optional("MODELS").unwrap_or_default();
        let filter = ModelFilter::parse(&keys).unwrap_or_else(|unusable| {
            reader.fault("MODELS", unusable.to_string());
            ModelFilter::default()
        });
        Self { filter }
    }
}

/// How the sync worker spends an invocation.
#[derive(Clone, Debug)]
pub struct Worker {
    /// `WORK_SLICE_SECONDS`, seconds, 1 to 880, default 100: after them the worker checkpoints
    /// and queues a continuation. Must leave the function's timeout some 20 s to finish a page.
    pub slice: Duration,
    /// `SECOND_SWEEP_SECONDS`, seconds, default 180: how long after the first sweep of a deletion
    /// the second looks for what a late worker wrote. Longer than the worker's timeout.
    pub second_sweep_after: Duration,
    /// `BRAKE_SHARE`, share of a model's live records from 0 to 1, default 0.2, and `BRAKE_FLOOR`,
    /// records, default 50: a full read that misses more than both deletes nothing and tells the
    /// operator, because a lost permission at the provider looks like mass deletion.
    pub brake: Brake,
    /// `WINDOW_OVERLAP_SECONDS`, seconds, default 300: how far a window reaches back into the one before, and how old
    /// a record must be to be deleted for being absent.
    pub overlap: Duration,
}

impl Section for Worker {
    fn read(reader: &mut Reader<'_>) -> Self {
        let seconds = reader.number_or("WORK_SLICE_SECONDS", 100_u64, 1, 880);
        let brake = Brake {
            share: reader.number_or("BRAKE_SHARE", 0.2, 0.0, 1.0),
            floor: reader.number_or("BRAKE_FLOOR", 50_u64, 0, u64::MAX),
        };
        let sweep = reader.number_or("SECOND_SWEEP_SECONDS", 180_u64, 1, 3_600);
        let overlap = reader.number_or("WINDOW_OVERLAP_SECONDS", 300_u64, 0, 86_400);
        Self {
            slice: Duration::from_secs(seconds),
            second_sweep_after: Duration::from_secs(sweep),
            brake,
            overlap: Duration::from_secs(overlap),
        }
    }
}

/// How the poller spends a run.
#[derive(Clone, Copy, Debug)]
pub struct Poller {
    /// `POLLS_PER_RUN`, accounts, default 20 000: what one run queues at most, each minute. More than are due in a
    /// minute (a sixtieth of the accounts that are polled hourly, and so on), or the poller falls behind for good;
    /// after an outage it is the rate at which missed polls are made up for.
    pub rate: usize,
    /// `CENSUS_MINUTES`, minutes of the schedule, default 1440: how often Merge's list of accounts is compared with
    /// ours.
    pub census_every: i64,
}

impl Section for Poller {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            rate: reader.number_or("POLLS_PER_RUN", 20_000_usize, 1, 1_000_000),
            census_every: reader.number_or("CENSUS_MINUTES", 1_440_i64, 1, 100_000),
        }
    }
}

/// How long things are kept.
#[derive(Clone, Debug)]
pub struct Retention {
    /// `DELETED_RETENTION_DAYS`, days, default 30: records of an account that is gone at Merge's
    /// side, before they are purged.
    pub deleted: Duration,
    /// `HISTORY_RETENTION_DAYS`, days, default 30: change feed, window ledger and timeline.
    pub history: Duration,
}

impl Section for Retention {
    fn read(reader: &mut Reader<'_>) -> Self {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Self {
            deleted: DAY * reader.number_or("DELETED_RETENTION_DAYS", 30_u32, 1, 3650),
            history: DAY * reader.number_or("HISTORY_RETENTION_DAYS", 30_u32, 1, 3650),
        }
    }
}

/// The clock of the schedule: real in AWS, faster in the local stack, whose poller is invoked
/// every 60/speed seconds with an event time that advances one minute.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// `SCHEDULE_SPEED`, factor from 1 to 10 000, default 1.
    pub speed: f64,
    /// `SCHEDULE_ORIGIN`, Unix seconds, default 0: the real time at which the faster schedule
    /// started, and at which both clocks agree.
    pub origin: Timestamp,
}

impl Clock {
    /// The clock of AWS.
    pub const REAL: Self = Self { speed: 1.0, origin: Timestamp::UNIX_EPOCH };

    /// A poll, debounce or minimum-age setting in real time. Never for timeouts of Lambda or
    /// the queue, retention, or the life of tokens.
    pub fn real(&self, setting: Duration) -> Duration {
        setting.div_f64(self.speed)
    }

    /// The minute of the schedule, counted from the Unix epoch, at a real time. The keys of the
    /// time wheel are made of it.
    pub fn minute(&self, now: Timestamp) -> i64 {
        let origin = self.origin.as_millisecond();
        let elapsed = (now.as_millisecond() - origin) as f64 * self.speed;
        (origin + elapsed as i64).div_euclid(60_000)
    }

    /// The real time at which a minute of the schedule begins: the inverse of
    /// [`minute`](Self::minute).
    pub fn real_time(&self, minute: i64) -> Timestamp {
        let origin = self.origin.as_millisecond();
        let elapsed = (minute.saturating_mul(60_000).saturating_sub(origin)) as f64 / self.speed;
        Timestamp::from_millisecond(origin.saturating_add(elapsed.ceil() as i64)).unwrap_or(Timestamp::MAX)
    }
}

impl Section for Clock {
    fn read(reader: &mut Reader<'_>) -> Self {
        let speed = reader.number_or("SCHEDULE_SPEED", 1.0, 1.0, 10_000.0);
        let seconds = reader.number_or("SCHEDULE_ORIGIN", 0_i64, 0, 253_402_300_799);
        let origin = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
        Self { speed, origin }
    }
}

/// What is logged and counted.
#[derive(Clone, Debug)]
pub struct Logging {
    /// `LOG_LEVEL`, `error`, `warn`, `info` or `debug`, default `info`.
    pub level: tracing::Level,
    /// `METRICS_NAMESPACE`, default `Tether`: CloudWatch namespace of the metrics. The stack's name, so that two stacks
    /// in one account are counted apart.
    pub metrics_namespace: String,
}

impl Section for Logging {
    fn read(reader: &mut Reader<'_>) -> Self {
        use tracing::Level;
        let levels = [("info", Level::INFO), ("error", Level::ERROR), ("warn", Level::WARN), ("debug", Level::DEBUG)];
        Self {
            level: reader.choice("LOG_LEVEL", &levels),
            metrics_namespace: reader.text_or("METRICS_NAMESPACE", "Tether"),
        }
    }
}
