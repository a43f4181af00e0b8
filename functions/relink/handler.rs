//! Relinks: `POST /v1/linked-accounts/{id}/relink` asks Merge for a link token under the account's own origin id, so
//! that the dialog repairs this account and makes no other. Nothing stored changes: an abandoned relink leaves the
//! account as it worked.

use lambda_http::Request;
use shared::{
    ambient,
    api::{
        access, allowance,
        links::{EndUser, LinkTokenCreated, Relink},
    },
    config,
    http::{self, Answer, Caller, Problem, Scope},
    merge::{LinkTokenRequest, MergeClient},
    store::{
        Store,
        events::{Event, EventKind},
        limits::Counter,
    },
};

/// What the function works with.
pub struct Relinks {
    pub store: Store,
    pub merge: MergeClient,
    pub identity: config::Identity,
    pub linking: config::Linking,
    pub retention: config::Retention,
    pub limit: config::RelinkLimit,
}

/// Answers one request.
pub async fn handle(relinks: &Relinks, request: Request) -> Result<Answer, Problem> {
    // 1. Who asks, about which account.
    let caller = Caller::of(&request, &relinks.identity)?;
    caller.require(Scope::LinkedAccountsWrite)?;
    let id = http::account_id(&request)?;
    let wanted: Relink = http::body_or_default(&request)?;
    let account = access::connected(&relinks.store, &caller.organization, id).await?;
    let labels = (caller.email.as_deref(), caller.organization_name.as_deref());
    let end_user = EndUser::of(labels.0, labels.1, wanted.end_user.as_ref())?;
    let now = ambient::now();
    allowance::take(&relinks.store, &caller.organization, Counter::Relink, relinks.limit.0, now).await?;

    // 2. A fresh link token for the same account. Merge knows the integration, so none is asked for.
    let ask = LinkTokenRequest {
        category: account.category,
        origin_id: &account.origin_id,
        email: &end_user.email,
        organization_name: &end_user.organization_name,
        integration: None,
        language: wanted.language.map(|language| language.code()),
        magic_link: wanted.magic_link,
        expiry_minutes: relinks.linking.expiry_minutes,
    };
    let answer = relinks.merge.create_link_token(&ask).await?;

    // 3. Note it, and reply.
    let event = Event::new(now, EventKind::RelinkStarted, &caller.subject);
    relinks.store.add_event(account.id, &event, ambient::uuid(), relinks.retention.history).await?;
    let name = answer.integration_name.or(Some(account.integration.name.clone()));
    http::created(&LinkTokenCreated::new(&answer.link_token, name, answer.magic_link_url.as_ref(), account.id.uuid()))
}
