//! The operator: who uses the tool, as timelines name them, and what they change.

use jiff::Timestamp;
use shared::domain::account::LinkedAccount;
use shared::store::accounts::Change;
use shared::store::events::{Event, EventKind};
use uuid::Uuid;

use crate::connection::Connection;
use crate::failure::Failure;

/// `operator:` and the name of the user on this machine.
pub fn name() -> String {
    let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let user: String = user.unwrap_or_default().chars().filter(|c| !c.is_control()).take(64).collect();
    format!("operator:{}", if user.is_empty() { "unknown" } else { &user })
}

/// Something that the operator does now.
pub fn event(kind: EventKind) -> Event {
    Event::new(Timestamp::now(), kind, name())
}

/// Changes an account over whatever the functions write meanwhile, and adds the event to its timeline. `change` may run
/// several times, and says whether it has changed anything. `false`: it has not.
pub async fn change(
    connection: &Connection,
    account: &LinkedAccount,
    event: &Event,
    mut change: impl FnMut(&mut LinkedAccount) -> bool,
) -> Result<bool, Failure> {
    let mut done = false;
    let changed = connection.store.change_account(&account.organization, account.id, |account| {
        done = change(account);
        if !done {
            return Change::Keep;
        }
        account.updated_at = event.at;
        Change::Write
    });
    changed.await?.ok_or_else(|| Failure::NoAccount(account.id.to_string()))?;
    if done {
        connection.store.add_event(account.id, event, Uuid::new_v4(), connection.history).await?;
    }
    Ok(done)
}
