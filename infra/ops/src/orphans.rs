//! Orphans: strays listed, and what can be done about each: adopted or deleted. An account of Merge's is opened by its
//! token alone, so one that has told us none can only be reached by its customer, or in Merge's dashboard.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::domain::ids::MergeLinkedAccountId;
use shared::domain::message::{DeduplicationId, Message, Work};
use shared::linking::Linking;
use shared::secrets::TokenContext;
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

async fn all(linking: &Linking) -> Result<Vec<Stray>, Failure> {
    let (mut found, listed) = strays::at_merge(linking).await?;
    found.extend(strays::here(linking, &listed).await?);
    Ok(found)
}

async fn list(linking: &Linking, output: &Output) -> Result<(), Failure> {
    let found = all(linking).await?;
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
        Stray::AtMerge { integration, adoptable: true, .. } => ("Merge", integration.clone(), "adopt or delete"),
        Stray::AtMerge { integration, .. } => {
            ("Merge", integration.clone(), "the customer connects it again, or delete it in Merge's dashboard")
        }
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
    let found = all(linking).await?.into_iter().find(|stray| stray.merge_id() == merge_id);
    found.ok_or_else(|| Failure::Usage(format!("{merge_id} is no orphan: both sides have it, or none")))
}

/// Takes the link up again that was parked: the worker verifies it as it does every link.
async fn adopt(
    connection: &Connection,
    linking: &Linking,
    output: &Output,
    asked: &cli::Orphan,
) -> Result<(), Failure> {
    let stray = find(linking, &asked.merge_id).await?;
    let message = match stray {
        Stray::AtMerge { adoptable: true, .. } => strays::parked_link(linking, &asked.merge_id).await?,
        _ => None,
    };
    let no_token = "nothing of it can be adopted: we have not its token. The customer connects it again";
    let message = message.ok_or_else(|| Failure::Usage(no_token.to_owned()))?;
    if asked.consent.dry_run {
        return output.line(format!("would adopt {}", asked.merge_id));
    }
    output.confirm(&format!("Adopt {}?", asked.merge_id), asked.consent.yes)?;
    let fresh = DeduplicationId::webhook(Uuid::new_v4().as_bytes());
    connection.queue.send_as(&message, &fresh).await?;
    output.line(format!("queued: the worker verifies whose {} is and connects it", asked.merge_id))
}

async fn delete(
    connection: &Connection,
    linking: &Linking,
    output: &Output,
    asked: &cli::Orphan,
) -> Result<(), Failure> {
    let stray = find(linking, &asked.merge_id).await?;
    if asked.consent.dry_run {
        return output.line(format!("would delete {}", asked.merge_id));
    }
    output.confirm(&format!("Delete {}? This cannot be undone.", asked.merge_id), asked.consent.yes)?;
    match stray {
        Stray::AtMerge { merge_id, category, .. } => {
            let link = strays::parked_link(linking, &merge_id).await?;
            let token = link.and_then(|link| match link.work {
                Work::Linked { token, .. } => token.and_then(|token| STANDARD.decode(token).ok()),
                _ => None,
            });
            let (Some(token), Some(category)) = (token, category) else {
                let sentence = "we have not its token: delete it in Merge's dashboard";
                return Err(Failure::Usage(sentence.to_owned()));
            };
            let token = linking.tokens.decrypt(&token, TokenContext::Webhook { merge_id: &merge_id }).await?;
            linking.merge.delete_account(category, &token).await?;
            linking.store.erase_parked(&merge_id).await?;
            output.line(format!("deleted {merge_id} at Merge"))
        }
        Stray::OwnerRow { merge_id, of } => {
            linking.store.erase_owner(&merge_id, &of).await?;
            output.line(format!("removed the owner row of {merge_id}"))
        }
        Stray::Here { merge_id, of } => {
            // The worker asks Merge once more, marks the account, and keeps its records for a while.
            let message = Message::new(merge_id.clone(), Work::Deleted {});
            let fresh = DeduplicationId::webhook(Uuid::new_v4().as_bytes());
            connection.queue.send_as(&message, &fresh).await?;
            let event = operator::event(EventKind::Orphaned);
            connection.store.add_event(of.account, &event, Uuid::new_v4(), connection.history).await?;
            output.line(format!("queued: the worker marks {} as disconnected", of.account))
        }
    }
}
