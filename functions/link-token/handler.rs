//! Link tokens: `POST /v1/link-tokens` reserves an account, or reuses the reservation that stands, and asks Merge for a
//! fresh link token under its origin id.
//!
//! The reservation is one conditional write, made before Merge is called: whatever happens to the dialog, the next
//! attempt finds the same id, and Merge the same account.

use lambda_http::Request;
use shared::{
    ambient,
    api::{
        access,
        allowance::Risked,
        limiter::Limiter,
        links::{CreateLinkToken, EndUser, LinkTokenCreated, integration_slug},
    },
    config,
    domain::{ids::AccountId, origin::EndUserOriginId},
    http::{self, Answer, Caller, Code, Problem, Scope},
    merge::{ErrorKind, LinkTokenRequest, MergeClient, MergeError},
    store::{
        Store,
        events::{Event, EventKind},
        pending::{Reservation, Slot, SlotState},
    },
    telemetry,
};
use tokio::time::Instant;

/// What the function works with.
pub struct LinkTokens {
    pub store: Store,
    pub merge: MergeClient,
    pub identity: config::Identity,
    pub linking: config::Linking,
    pub retention: config::Retention,
    pub limiter: Limiter,
    pub refused: config::RefusedLimit,
}

/// Answers one request.
pub async fn handle(tokens: &LinkTokens, request: Request) -> Result<Answer, Problem> {
    // 1. Who asks, and for what.
    let caller = Caller::of(&request, &tokens.identity)?;
    caller.require(Scope::LinkedAccountsWrite)?;
    let wanted: CreateLinkToken = http::body(&request)?;
    let integration = wanted.integration.as_deref().map(integration_slug).transpose()?;
    let labels = (caller.email.as_deref(), caller.organization_name.as_deref());
    let end_user = EndUser::of(labels.0, labels.1, wanted.end_user.as_ref())?;
    let subject = format!("{}\n{}", caller.organization, caller.subject);
    tokens.limiter.take(&subject, Instant::now()).map_err(Problem::rate_limited)?;

    // 2. Reserve the account to be, or find the reservation.
    let (slot, attempt) = reserve(tokens, &caller, &wanted).await?;

    // 3. A fresh link token, never stored.
    let ask = LinkTokenRequest {
        category: slot.category,
        origin_id: &slot.origin_id,
        email: &end_user.email,
        organization_name: &end_user.organization_name,
        integration,
        language: wanted.language.map(|language| language.code()),
        magic_link: wanted.magic_link,
        expiry_minutes: tokens.linking.expiry_minutes,
    };
    // Merge may refuse what the caller chose, and what it refused before; whoever it refuses too often it blocks. All
    // else is counted only once it is refused: a link token is one write.
    let doubtful = integration.is_some() || wanted.end_user.is_some() || wanted.magic_link || slot.refused;
    let risked = match doubtful {
        true => Some(Risked::take(&tokens.store, &caller.organization, tokens.refused, ambient::now()).await?),
        false => None,
    };
    let answer = match (tokens.merge.create_link_token(&ask).await, risked) {
        (Ok(answer), None) => answer,
        (Ok(answer), Some(risked)) => {
            risked.accepted(&tokens.store).await?;
            answer
        }
        (Err(error), risked) => {
            if risked.is_none() && !error.is_unavailable() {
                Risked::refused(&tokens.store, &caller.organization, ambient::now()).await?;
                tokens.store.mark_reservation_refused(&slot).await?;
                tokens.limiter.use_up(&subject, Instant::now());
            }
            return Err(refused(error, integration.is_some()));
        }
    };

    // 4. Reply.
    telemetry::about_account(&caller.organization, slot.account);
    tracing::info!(category = %slot.category, attempt, "link token");
    let (name, url) = (answer.integration_name, answer.magic_link_url.as_ref());
    http::created(&LinkTokenCreated::new(&answer.link_token, name, url, slot.account.uuid()))
}

/// The reservation and a word for which attempt this is. A reused one costs no second write.
async fn reserve(
    tokens: &LinkTokens,
    caller: &Caller,
    wanted: &CreateLinkToken,
) -> Result<(Slot, &'static str), Problem> {
    let now = ambient::now();
    let (category, strategy) = (wanted.category, tokens.linking.strategy);
    let account = AccountId::new(ambient::uuid());
    let fresh = Slot {
        organization: caller.organization.clone(),
        category,
        account,
        origin_id: EndUserOriginId::new(strategy, &caller.organization, category, account),
        state: SlotState::Pending,
        created_by: caller.subject.clone(),
        created_at: now,
        refused: false,
    };
    if fresh.origin_id.is_too_long() {
        return Err(Problem::invalid("The organization's id is too long for a connection of this category."));
    }
    let (slot, attempt) = match tokens.store.reserve(fresh, strategy).await? {
        Reservation::Reused(slot) => return Ok((slot, "reused")),
        Reservation::First(slot) => (slot, "first"),
        Reservation::Additional(slot) => (slot, "additional"),
        Reservation::AlreadyConnected => {
            return Err(Problem::new(Code::AlreadyConnected, "The organization has connected this category already."));
        }
        Reservation::Disconnecting => return Err(access::disconnecting()),
    };
    let event = Event::new(now, EventKind::LinkStarted, &caller.subject).with("attempt", attempt);
    tokens.store.add_event(slot.account, &event, ambient::uuid(), tokens.retention.history).await?;
    Ok((slot, attempt))
}

/// What Merge refuses: an integration that is not offered is the caller's to correct, the rest is ours.
fn refused(error: MergeError, integration: bool) -> Problem {
    match error.kind() {
        ErrorKind::Rejected if integration => {
            Problem::invalid("The integration cannot be connected in this category.").because(error)
        }
        ErrorKind::Rejected | ErrorKind::Forbidden | ErrorKind::NotFound => {
            Problem::new(Code::MergeUnavailable, "A connection cannot be started at the moment.").because(error)
        }
        _ => error.into(),
    }
}
