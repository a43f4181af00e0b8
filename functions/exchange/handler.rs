//! The exchange: `POST /v1/linked-accounts` turns what the dialog gave the page into a linked account.
//!
//! Merge takes a public token once, so its answer is written down before anything else happens; a repeat goes on from
//! there. The token proves nothing about whose account it opens: [`Linking`] compares it with what this organization
//! reserved. Somebody else's public token, a wrong one and one of another organization's exchange are answered alike.

use std::time::Duration;

use jiff::Timestamp;
use lambda_http::Request;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared::{
    ambient,
    api::{
        accounts::AccountView,
        allowance::{self, Risked},
        links,
        once::{Asked, Once},
    },
    config,
    domain::{
        account::LinkedAccount,
        category::Category,
        ids::AccountId,
        message::{AccountRef, Message, SyncMode, Work},
        secret::PublicToken,
    },
    http::{self, Answer, Caller, Code, Problem, Scope},
    linking::{Admission, Claim, Linking, Source},
    merge::ErrorKind,
    queue::Queue,
    secrets::TokenContext,
    store::{
        accounts::AccountPage,
        exchange::{InFlight, Stage},
        limits::Counter,
        pending::SlotState,
    },
    telemetry::{self, Metric},
};
use tokio::time::{Instant, sleep};

/// What the function works with.
pub struct Exchanges {
    pub linking: Linking,
    pub queue: Queue,
    pub identity: config::Identity,
    pub refused: config::RefusedLimit,
    /// Of exchanges that name themselves.
    pub limit: config::RefreshLimit,
}

/// What is kept for the repeats of an exchange that names itself: the account is shown as it is then.
#[derive(Serialize, Deserialize)]
struct Kept {
    account: AccountId,
    fresh: bool,
}

const ROUTE: &str = "POST /v1/linked-accounts";

/// How long the loser of two exchanges of one public token waits for the winner.
const WAIT: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Accounts looked at when asking whether the organization has one in the category.
const PAGE: usize = 100;

/// Answers one request.
pub async fn handle(exchanges: &Exchanges, request: Request) -> Result<Answer, Problem> {
    // 1. Who asks, with a token that can stand in a path.
    let caller = Caller::of(&request, &exchanges.identity)?;
    caller.require(Scope::LinkedAccountsWrite)?;
    let asked: links::Exchange = http::body(&request)?;
    let public_token = PublicToken::parse(&asked.public_token)
        .ok_or_else(|| Problem::invalid("public_token has a character or a length that no public token has."))?;
    let hash = hash_of(&public_token);
    let now = ambient::now();

    // 2. A repeat that names itself is answered as the first one was.
    let store = &exchanges.linking.store;
    if http::idempotency_key(&request)?.is_some() {
        allowance::take(store, &caller.organization, Counter::Named, exchanges.limit.0, now).await?;
    }
    let (account, fresh) = match Once::begin(store, &caller.organization, ROUTE, &request).await? {
        Asked::Again(Kept { account, fresh }) => {
            let account = store.account(&caller.organization, account).await?;
            (account.ok_or_else(Problem::not_found)?, fresh)
        }
        Asked::First(once) => {
            let connected = connect(exchanges, &caller, asked.category, &public_token, &hash, now).await;
            once.end(connected, |(account, fresh)| Kept { account: account.id, fresh: *fresh }).await?
        }
    };
    telemetry::about_account(&caller.organization, account.id);

    // 3. Reply: 201 for a new connection, 200 for one that stood.
    let view = AccountView::of_account(&account, ambient::now());
    if fresh { http::created(&view) } else { http::ok(&view) }
}

/// Turns the public token into an account. The flag: the account is new.
async fn connect(
    exchanges: &Exchanges,
    caller: &Caller,
    category: Category,
    public_token: &PublicToken,
    hash: &str,
    now: Timestamp,
) -> Result<(LinkedAccount, bool), Problem> {
    // 1. A repeat goes on from what is written down; a first one asks Merge.
    let store = &exchanges.linking.store;
    let (in_flight, resumed) = match store.exchange(hash, now).await? {
        Some(in_flight) => (ours(in_flight, caller, category)?, true),
        None => {
            expects_one(exchanges, caller, category).await?;
            (first(exchanges, caller, category, public_token, hash, now).await?, false)
        }
    };

    // 2. Whose account is it? Merge's account-details and our rows decide.
    match &in_flight.stage {
        Stage::Done(id) => {
            let account = store.account(&caller.organization, *id).await?;
            Ok((account.ok_or_else(Problem::not_found)?, false))
        }
        Stage::Answered { .. } if resumed => {
            // It may be repeated for an hour, whatever Merge says of its token by now.
            let risked = Risked::take(store, &caller.organization, exchanges.refused, now).await?;
            let admitted = admit(exchanges, caller, &in_flight, hash, now).await?;
            risked.accepted(store).await?;
            Ok(admitted)
        }
        Stage::Answered { .. } => admit(exchanges, caller, &in_flight, hash, now).await,
    }
}

/// An exchange that is written down belongs to one organization and category.
fn ours(in_flight: InFlight, caller: &Caller, category: Category) -> Result<InFlight, Problem> {
    if in_flight.organization != caller.organization || in_flight.category != category {
        foreign("in_flight");
        return Err(Problem::not_found());
    }
    Ok(in_flight)
}

/// 404 without a call, unless the organization has a reservation or an account that the token could be for.
async fn expects_one(exchanges: &Exchanges, caller: &Caller, category: Category) -> Result<(), Problem> {
    let store = &exchanges.linking.store;
    let slot = store.slot(&caller.organization, category).await?;
    if slot.is_some_and(|slot| slot.state == SlotState::Pending) {
        return Ok(());
    }
    let mut after = None;
    loop {
        let AccountPage { accounts, next } = store.accounts_of(&caller.organization, after, PAGE).await?;
        if accounts.iter().any(|account| account.category == category && account.status.connected()) {
            return Ok(());
        }
        after = next;
        if after.is_none() {
            return Err(Problem::not_found());
        }
    }
}

/// Asks Merge, and writes its answer down.
async fn first(
    exchanges: &Exchanges,
    caller: &Caller,
    category: Category,
    public_token: &PublicToken,
    hash: &str,
    now: Timestamp,
) -> Result<InFlight, Problem> {
    let linking = &exchanges.linking;
    let risked = Risked::take(&linking.store, &caller.organization, exchanges.refused, now).await?;
    let exchanged = match linking.merge.exchange_public_token(category, public_token).await {
        Ok(exchanged) => exchanged,
        Err(error) if matches!(error.kind(), ErrorKind::Rejected | ErrorKind::NotFound | ErrorKind::Forbidden) => {
            return second(exchanges, caller, category, hash).await;
        }
        Err(error) => return Err(error.into()),
    };
    let context = TokenContext::Account { organization: &caller.organization, merge_id: &exchanged.merge_id };
    let token = linking.tokens.encrypt(&exchanged.account_token, context).await?;
    let stage = Stage::Answered { merge_id: exchanged.merge_id, token, integration: exchanged.integration };
    let in_flight = InFlight { organization: caller.organization.clone(), category, stage };
    if !linking.store.put_exchange(hash, &in_flight, now).await? {
        foreign("in_flight");
        return Err(Problem::not_found());
    }
    risked.accepted(&linking.store).await?;
    Ok(in_flight)
}

/// Merge does not know the token. Another exchange of the same one may be under way: it is waited for.
async fn second(exchanges: &Exchanges, caller: &Caller, category: Category, hash: &str) -> Result<InFlight, Problem> {
    let until = Instant::now() + WAIT;
    let mut seen = false;
    while Instant::now() < until {
        if let Some(in_flight) = exchanges.linking.store.exchange(hash, ambient::now()).await? {
            let in_flight = ours(in_flight, caller, category)?;
            if matches!(in_flight.stage, Stage::Done(_)) {
                return Ok(in_flight);
            }
            seen = true;
        }
        sleep(LOOK_EVERY).await;
    }
    if seen {
        let problem = Problem::new(Code::ExchangeInProgress, "The connection is being completed; ask again.");
        return Err(problem.retry_after(WAIT));
    }
    Err(Problem::new(Code::PublicTokenInvalid, "Start the connection again."))
}

/// Verifies the token, stores the account, queues its first sync. The flag: the account is new.
async fn admit(
    exchanges: &Exchanges,
    caller: &Caller,
    in_flight: &InFlight,
    hash: &str,
    now: Timestamp,
) -> Result<(LinkedAccount, bool), Problem> {
    let linking = &exchanges.linking;
    let Stage::Answered { merge_id, token: ciphertext, integration } = &in_flight.stage else {
        return Err(Problem::not_found());
    };
    let context = TokenContext::Account { organization: &caller.organization, merge_id };
    let claim = Claim {
        organization: caller.organization.clone(),
        category: in_flight.category,
        merge_id: merge_id.clone(),
        token: linking.tokens.decrypt(ciphertext, context).await?,
        ciphertext: ciphertext.clone(),
        integration: Some(integration.clone()),
        public_token_hash: Some(hash.to_owned()),
        source: Source::Exchange { subject: caller.subject.clone() },
    };
    let (account, fresh) = match linking.admit(&claim, now).await? {
        Admission::Created(account) => {
            sync(exchanges, &account).await?;
            (account, true)
        }
        Admission::Relinked(account) => {
            sync(exchanges, &account).await?;
            (account, false)
        }
        // The webhook may have been faster: to the page it is as new as it was to the webhook.
        Admission::Unchanged(account) => {
            let fresh = account.facts.last_successful_sync_at.is_none() && account.relinked_at.is_none();
            (account, fresh)
        }
        Admission::Refused(refusal) => {
            linking.store.erase_exchange(hash).await?;
            foreign(refusal.label());
            return Err(Problem::not_found());
        }
    };
    let done = InFlight { stage: Stage::Done(account.id), ..in_flight.clone() };
    linking.store.put_exchange(hash, &done, now).await?;
    Ok((account, fresh))
}

/// Queues a sync. Should this be lost, the poller finds the account all the same.
async fn sync(exchanges: &Exchanges, account: &LinkedAccount) -> Result<(), Problem> {
    let of = AccountRef { organization: account.organization.clone(), account: account.id };
    let request = ambient::uuid();
    let (mode, models, requested_at) = (SyncMode::Changes, Vec::new(), ambient::now());
    let work = Work::Sync { of, mode, models, requested_at, request };
    exchanges.queue.send(&Message::new(account.merge_id.clone(), work)).await?;
    Ok(())
}

/// A security event: somebody presented a token that is not theirs.
fn foreign(reason: &str) {
    telemetry::count_by(Metric::ForeignPublicToken, reason, 1);
    tracing::warn!(reason, "a public token of somebody else was presented");
}

fn hash_of(public_token: &PublicToken) -> String {
    let digest = Sha256::digest(public_token.expose().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
