//! Access: which account a request is about, and whether it can be used as the route wants.
//!
//! | | `GET /{id}` | reads, rename | relink, sync |
//! |---|---|---|---|
//! | unknown, or another organization's | 404 | 404 | 404 |
//! | INCOMPLETE | 200 | 409 `not_connected` | 409 `not_connected` |
//! | DELETING | 200 | 409 `disconnecting` | 409 `disconnecting` |
//! | DELETED | 200 | 200 | 409 `disconnected` |

use crate::{
    domain::{
        account::{AccountStatus, LinkedAccount},
        ids::{OrganizationId, RequestedId},
    },
    http::{Code, Problem},
    store::{Store, accounts::Found},
    telemetry,
};

/// Whatever the id names.
pub async fn any(store: &Store, of: &OrganizationId, id: RequestedId) -> Result<Found, Problem> {
    let found = store.find(of, id).await?.ok_or_else(Problem::not_found)?;
    if let Found::Account(account) = &found {
        telemetry::about_account(of, account.id);
    }
    Ok(found)
}

/// An account whose data may be read: connected, or gone at the provider's side.
pub async fn readable(store: &Store, of: &OrganizationId, id: RequestedId) -> Result<LinkedAccount, Problem> {
    match any(store, of, id).await? {
        Found::Pending(_) => Err(Problem::new(Code::NotConnected, "The connection was never finished.")),
        Found::Account(account) if account.status == AccountStatus::Deleting => Err(disconnecting()),
        Found::Account(account) => Ok(*account),
    }
}

/// An account that works with its system: neither leaving nor gone.
pub async fn connected(store: &Store, of: &OrganizationId, id: RequestedId) -> Result<LinkedAccount, Problem> {
    let account = readable(store, of, id).await?;
    if account.status == AccountStatus::Deleted {
        return Err(Problem::new(Code::Disconnected, "The account is disconnected; connect the system anew."));
    }
    Ok(account)
}

/// 409 for an account that is being deleted.
pub fn disconnecting() -> Problem {
    Problem::new(Code::Disconnecting, "The account is being deleted.")
}
