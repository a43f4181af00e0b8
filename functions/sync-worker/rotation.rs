//! The rotation of an account token: Merge makes a new one, and the old one is worth nothing from that moment on. So it
//! is noted before, and whatever is lost afterwards is found out: the message comes again, the old token is refused,
//! and the account says that it has to be relinked.

use shared::{
    domain::message::AccountRef,
    merge::ErrorKind,
    store::{
        accounts::Change,
        events::{Event, EventKind, SYSTEM},
    },
};

use super::{WorkError, Worker, account_sync, announce::add_event, page_fetch::take_budget};

/// Gives an account a new token. It runs in the account's message group, so no sync is under way with the old one.
pub async fn rotate(worker: &Worker, of: &AccountRef) -> Result<(), WorkError> {
    let Some(account) = worker.store.account(&of.organization, of.account).await? else { return Ok(()) };
    if !account.status.connected() {
        return Ok(());
    }
    let old = worker.linking.token_of(&account).await?;

    // 1. From here on an answer may be lost.
    add_event(worker, &account, &Event::new(worker.now(), EventKind::TokenRotationStarted, SYSTEM)).await?;

    // 2. Merge's new token. A refusal of the old one means that an earlier answer was lost, or that the account is
    // gone.
    // It counts among the account's calls; if Merge wants it left alone for longer, it says so again.
    take_budget(worker, &worker.budget(account.id)).await.ok();
    let fresh = match worker.merge.regenerate_token(account.category, &old).await {
        Ok(fresh) => fresh,
        Err(error) if error.kind() == ErrorKind::Unauthorized => {
            return account_sync::put_off(worker, &account, &error).await;
        }
        Err(error) => return Err(error.into()),
    };

    // 3. Store it. Whatever stood there opens nothing any more.
    let ciphertext = worker.linking.closed(&account.organization, &account.merge_id, &fresh).await?;
    let now = worker.now();
    let stored = worker.store.change_account(&of.organization, of.account, |account| {
        account.token.clone_from(&ciphertext);
        account.updated_at = now;
        Change::Write
    });
    if let Some(account) = stored.await? {
        add_event(worker, &account, &Event::new(now, EventKind::TokenRotated, SYSTEM)).await?;
        tracing::info!(account = %account.id, "the account has a new token");
    }
    Ok(())
}
