//! The operator's decision about held deletions. Approved: the model is read in full once more, and what is missing
//! then is deleted if it is no more than was approved. Discarded: nothing is deleted.

use shared::{
    ambient,
    domain::{
        endpoint::Endpoint,
        message::{AccountRef, Decision, SyncMode},
    },
    store::events::{Event, EventKind},
};

use super::{Invocation, WorkError, Worker, account_sync};

/// A decision and what it is about.
pub struct Decided<'a> {
    pub model: &'a str,
    pub generation: u64,
    pub decision: Decision,
    pub actor: &'a str,
}

/// Does what was decided, if the deletions are still those that were decided about.
pub async fn decided(
    worker: &Worker,
    of: &AccountRef,
    decided: Decided<'_>,
    invocation: &Invocation,
) -> Result<(), WorkError> {
    let Decided { model, generation, decision, actor } = decided;
    let Some(endpoint) = Endpoint::by_key(model) else { return Ok(()) };
    let (store, account) = (&worker.store, of.account);
    let (stands, kind) = match decision {
        Decision::Approve => (store.approve_held(account, endpoint, generation).await?, EventKind::DeletionsApproved),
        Decision::Discard => (store.discard_held(account, endpoint, generation).await?, EventKind::DeletionsDiscarded),
    };
    if !stands {
        tracing::warn!(%account, model, generation, "the deletions that were decided about are not held any more");
        return Ok(());
    }
    let event = Event::new(worker.now(), kind, actor).model(model).with("generation", generation);
    store.add_event(account, &event, ambient::uuid(), worker.settings.retention.history).await?;
    match decision {
        Decision::Approve => {
            let models = [endpoint.key()];
            let request = account_sync::Request { mode: SyncMode::Full, models: &models, at: worker.now() };
            account_sync::requested(worker, of, request, invocation).await
        }
        Decision::Discard => Ok(()),
    }
}
