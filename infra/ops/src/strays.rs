//! Strays: what only one side has. An account of Merge's that is none of ours, or that no owner row says is ours; an
//! owner row that leads to no account; an account of ours that Merge does not have.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::Serialize;
use shared::domain::account::{AccountStatus, LinkedAccount};
use shared::domain::category::Category;
use shared::domain::ids::MergeLinkedAccountId;
use shared::domain::message::{AccountRef, Message, Work};
use shared::linking::Linking;
use shared::merge::{ListedAccount, TestAccounts};

use crate::cli::Selection;
use crate::failure::Failure;
use crate::walk::Walk;

/// Something that only one side has.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Stray {
    /// Merge has it, and no owner row of ours names it. Adoptable: the webhook that told of its link waits for it.
    AtMerge { merge_id: MergeLinkedAccountId, integration: String, category: Option<Category>, adoptable: bool },
    /// Merge has it, and so have we, but no owner row names it: its webhooks are nobody's.
    Unowned { merge_id: MergeLinkedAccountId, of: AccountRef },
    /// An owner row names an account that does not exist.
    OwnerRow { merge_id: MergeLinkedAccountId, of: AccountRef },
    /// An account that Merge does not have.
    Here { merge_id: MergeLinkedAccountId, of: AccountRef },
}

impl Stray {
    pub fn merge_id(&self) -> &MergeLinkedAccountId {
        match self {
            Self::AtMerge { merge_id, .. }
            | Self::Unowned { merge_id, .. }
            | Self::OwnerRow { merge_id, .. }
            | Self::Here { merge_id, .. } => merge_id,
        }
    }
}

/// What Merge's list and our owner rows tell, and the ids of all that Merge has.
pub async fn at_merge(linking: &Linking) -> Result<(Vec<Stray>, HashSet<MergeLinkedAccountId>), Failure> {
    let (mut strays, mut listed) = (Vec::new(), HashSet::new());
    for tests in [TestAccounts::Exclude, TestAccounts::Only] {
        let mut cursor = None;
        loop {
            let (page, next) = linking.merge.linked_accounts(tests, cursor.as_ref()).await?;
            // What was never finished is an attempt of ours or nobody's, and not billed; so the census sees it, too.
            for account in page.into_iter().filter(|account| account.status != AccountStatus::Incomplete) {
                strays.extend(stray(linking, &account).await?);
                listed.insert(account.merge_id);
            }
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
    }
    Ok((strays, listed))
}

async fn stray(linking: &Linking, account: &ListedAccount) -> Result<Option<Stray>, Failure> {
    let merge_id = account.merge_id.clone();
    match linking.store.owner(&merge_id).await? {
        None => {
            let adoptable = parked_link(linking, &merge_id).await?.is_some();
            let integration = account.integration.name.clone();
            Ok(Some(Stray::AtMerge { merge_id, integration, category: account.category, adoptable }))
        }
        Some(of) => {
            let missing = linking.store.account(&of.organization, of.account).await?.is_none();
            Ok(missing.then_some(Stray::OwnerRow { merge_id, of }))
        }
    }
}

/// Everything that only one side has.
pub async fn all(linking: &Linking) -> Result<Vec<Stray>, Failure> {
    let (mut strays, listed) = at_merge(linking).await?;
    let everybody = Selection::default();
    let mut walk = Walk::new(&linking.store, &everybody);
    while let Some(page) = walk.next().await? {
        for account in page.into_iter().filter(|account| account.status.connected()) {
            if let Some(stray) = here(linking, &mut strays, &listed, account).await? {
                strays.push(stray);
            }
        }
    }
    Ok(strays)
}

/// Whether an account of ours is one that Merge does not have. One that Merge has and nobody seemed to own is ours.
async fn here(
    linking: &Linking,
    strays: &mut [Stray],
    listed: &HashSet<MergeLinkedAccountId>,
    account: LinkedAccount,
) -> Result<Option<Stray>, Failure> {
    let merge_id = account.merge_id;
    let of = AccountRef { organization: account.organization, account: account.id };
    if listed.contains(&merge_id) {
        let unowned =
            strays.iter_mut().find(|stray| matches!(stray, Stray::AtMerge { merge_id: id, .. } if *id == merge_id));
        if let Some(unowned) = unowned {
            *unowned = Stray::Unowned { merge_id, of };
        }
        return Ok(None);
    }
    // It may have been linked since the list was read.
    let gone = linking.merge.linked_account(&merge_id).await?.is_none();
    Ok(gone.then_some(Stray::Here { merge_id, of }))
}

/// The parked message that told of the account's link, the latest if there are several. With it came the token.
pub async fn parked_link(linking: &Linking, merge_id: &MergeLinkedAccountId) -> Result<Option<Message>, Failure> {
    let mut parked = linking.store.parked(merge_id, Timestamp::now()).await?;
    parked.sort_by_key(|parked| parked.parked_at);
    let mut messages = parked.iter().filter_map(|parked| Message::parse(&parked.body).ok());
    Ok(messages.rfind(|message| matches!(message.work, Work::Linked { .. })))
}
