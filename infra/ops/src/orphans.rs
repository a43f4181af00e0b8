//! Orphans: strays listed, and what can be done about each: adopted or deleted. An account of Merge's is opened by its
//! token alone, so one whose token we have not can only be reached by its customer, or in Merge's dashboard. The
//! webhook that told of a link brought the token; while it is parked, the link can be taken up again.

use shared::domain::ids::{AccountId, MergeLinkedAccountId};
use shared::domain::message::{AccountRef, DeduplicationId, Message, Work};
use shared::domain::origin::EndUserOriginId;
use shared::linking::Linking;
use shared::store::events::EventKind;
use uuid::Uuid;

use crate::cli;
use crate::connection::Connection;
use crate::failure::Failure;
use crate::operator;
use crate::output::{Cell, Output};
use crate::strays::{self, Stray};

/// `tether orphans`.
pub async fn run(connection: &Connection, output: &Output, asked: &cli::Orphans) -> Result<(), Failure> {
    let linking = connection.linking().await?;
    match asked {
        cli::Orphans::List => list(&linking, output).await,
        cli::Orphans::Adopt(asked) => adopt(connection, &linking, output, asked).await,
        cli::Orphans::Delete(asked) => delete(connection, &linking, output, asked).await,
    }
}

async fn list(linking: &Linking, output: &Output) -> Result<(), Failure> {
    let found = strays::all(linking).await?;
    if output.json {
        return found.iter().try_for_each(|stray| output.object(stray));
    }
    if !found.is_empty() {
        let rows: Vec<_> = found.iter().map(row).collect();
        output.table(["SIDE", "MERGE'S ID", "WHAT", "WHAT CAN BE DONE"], &rows)?;
    }
    output.line(Cell::dim(format!("{} orphans", found.len())))
}

fn row(stray: &Stray) -> [Cell; 4] {
    let (side, what, remedy) = match stray {
        Stray::AtMerge { integration, adoptable: true, .. } => {
            ("Merge", integration.clone(), "adopt takes its link up again, which waits for the reservation")
        }
        Stray::AtMerge { integration, .. } => {
            ("Merge", integration.clone(), "the customer connects it again, or delete it in Merge's dashboard")
        }
        Stray::Unowned { of, .. } => (
            "both",
            format!("account {} {}, without an owner row", of.organization, of.account),
            "adopt writes the row",
        ),
        Stray::OwnerRow { of, .. } => {
            ("here", format!("owner row of {} {}", of.organization, of.account), "delete removes the row")
        }
        Stray::Here { of, .. } => {
            ("here", format!("account {} {}", of.organization, of.account), "delete marks it as disconnected")
        }
    };
    [side.into(), stray.merge_id().as_str().into(), what.into(), remedy.into()]
}

async fn find(linking: &Linking, merge_id: &MergeLinkedAccountId) -> Result<Stray, Failure> {
    let found = strays::all(linking).await?.into_iter().find(|stray| stray.merge_id() == merge_id);
    found.ok_or_else(|| Failure::Usage(format!("{merge_id} is no orphan: both sides have it, or none")))
}

async fn adopt(
    connection: &Connection,
    linking: &Linking,
    output: &Output,
    asked: &cli::Orphan,
) -> Result<(), Failure> {
    match find(linking, &asked.merge_id).await? {
        Stray::Unowned { merge_id, of } => own_again(connection, linking, output, asked, merge_id, of).await,
        Stray::AtMerge { adoptable: true, .. } => link_again(connection, linking, output, asked).await,
        Stray::AtMerge { .. } | Stray::OwnerRow { .. } | Stray::Here { .. } => Err(Failure::Usage(
            "it cannot be adopted: we have not its token. The customer connects it again".to_owned(),
        )),
    }
}

/// Takes up the link that is parked. The worker verifies it as it does every link, and keeps its rules.
async fn link_again(
    connection: &Connection,
    linking: &Linking,
    output: &Output,
    asked: &cli::Orphan,
) -> Result<(), Failure> {
    let merge_id = &asked.merge_id;
    let link = strays::parked_link(linking, merge_id).await?;
    let link = link.ok_or_else(|| Failure::Usage("its link was taken up meanwhile".to_owned()))?;
    // A reservation has the id that its account will have.
    let reserved = match &link.work {
        Work::Linked { end_user_origin_id, .. } => EndUserOriginId::parse(end_user_origin_id),
        _ => None,
    };
    let whose = reserved.as_ref().map_or_else(String::new, |parts| format!(" for {}", parts.organization));
    if asked.consent.dry_run {
        return output.line(format!("would adopt {merge_id}{whose}"));
    }
    output.confirm(&format!("Adopt {merge_id}{whose}?"), asked.consent.yes)?;
    let fresh = DeduplicationId::webhook(Uuid::new_v4().as_bytes());
    connection.queue.send_as(&link, &fresh).await?;
    if let Some(account) = reserved.and_then(|parts| parts.account) {
        note(connection, account, "adopted").await?;
    }
    output.line(format!("queued: the worker verifies whose {merge_id} is, and connects it"))
}

/// Writes the owner row of an account of ours again, once Merge has said that the account's token opens it.
async fn own_again(
    connection: &Connection,
    linking: &Linking,
    output: &Output,
    asked: &cli::Orphan,
    merge_id: MergeLinkedAccountId,
    of: AccountRef,
) -> Result<(), Failure> {
    if asked.consent.dry_run {
        return output.line(format!("would adopt {merge_id} as account {}", of.account));
    }
    output
        .confirm(&format!("Adopt {merge_id} as account {} of {}?", of.account, of.organization), asked.consent.yes)?;
    let account = crate::account::load(&linking.store, of.account).await?;
    let token = linking.token_of(&account).await?;
    let details = linking.merge.account_details(account.category, &token).await?;
    if details.merge_id.as_ref() != Some(&merge_id) || !linking.store.restore_owner(&merge_id, &of).await? {
        return Err(Failure::Usage(format!("{merge_id} is another account's by now: nothing was changed")));
    }
    note(connection, of.account, "adopted").await?;
    output.line(format!("adopted {merge_id}: its webhooks reach account {} again", of.account))
}

async fn note(connection: &Connection, account: AccountId, outcome: &str) -> Result<(), Failure> {
    let event = operator::event(EventKind::Orphaned).with("outcome", outcome);
    Ok(connection.store.add_event(account, &event, Uuid::new_v4(), connection.history).await?)
}

async fn delete(
    connection: &Connection,
    linking: &Linking,
    output: &Output,
    asked: &cli::Orphan,
) -> Result<(), Failure> {
    let refused = |sentence: &str| Err(Failure::Usage(sentence.to_owned()));
    let (merge_id, of, account_stands) = match find(linking, &asked.merge_id).await? {
        Stray::AtMerge { adoptable: true, .. } => {
            return refused("its link waits: adopt it, or delete it in Merge's dashboard");
        }
        Stray::AtMerge { .. } => return refused("we have not its token: delete it in Merge's dashboard"),
        Stray::Unowned { .. } => return refused("it is an account of ours: adopt it, or have its owner disconnect it"),
        Stray::OwnerRow { merge_id, of } => (merge_id, of, false),
        Stray::Here { merge_id, of } => (merge_id, of, true),
    };
    if asked.consent.dry_run {
        return output.line(format!("would delete {merge_id}"));
    }
    output.confirm(&format!("Delete {merge_id}? This cannot be undone."), asked.consent.yes)?;
    if !account_stands {
        // No account, no timeline: nothing but this row is left of it.
        linking.store.erase_owner(&merge_id, &of).await?;
        return output.line(format!("removed the owner row of {merge_id}"));
    }
    // The worker asks Merge once more, marks the account if it has been missing for an hour, and keeps its records for
    // a while.
    let fresh = DeduplicationId::webhook(Uuid::new_v4().as_bytes());
    connection.queue.send_as(&Message::new(merge_id, Work::Deleted {}), &fresh).await?;
    note(connection, of.account, "disconnected").await?;
    output.line(format!("queued: the worker marks {} as disconnected once it has been missing for an hour", of.account))
}
