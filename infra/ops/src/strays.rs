//! Strays: what only one side has. An account of Merge's that is none of ours, an owner row that leads to no account, an
//! account of ours that Merge does not have.

use std::collections::HashSet;

use serde::Serialize;
use shared::domain::account::LinkedAccount;
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
    /// Merge has it, and no owner row of ours names it.
    AtMerge {
        merge_id: MergeLinkedAccountId,
        integration: String,
        category: Option<Category>,
        /// The webhook that told of the link is parked, so that it can be taken up again.
        adoptable: bool,
    },
    /// An owner row names an account that does not exist.
    OwnerRow { merge_id: MergeLinkedAccountId, of: AccountRef },
    /// An account that Merge does not have.
    Here { merge_id: MergeLinkedAccountId, of: AccountRef },
}

impl Stray {
    pub fn merge_id(&self) -> &MergeLinkedAccountId {
        match self {
            Self::AtMerge { merge_id, .. } | Self::OwnerRow { merge_id, .. } | Self::Here { merge_id, .. } => merge_id,
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
            for account in page {
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

/// Accounts of ours that `listed` lacks and that Merge, asked for each, does not have.
pub async fn here(linking: &Linking, listed: &HashSet<MergeLinkedAccountId>) -> Result<Vec<Stray>, Failure> {
    let mut strays = Vec::new();
    let all = Selection::default();
    let mut walk = Walk::new(&linking.store, &all);
    let suspect = |account: &LinkedAccount| account.status.connected() && !listed.contains(&account.merge_id);
    while let Some(page) = walk.next().await? {
        for account in page.into_iter().filter(suspect) {
            // It may have been linked since the list was read.
            if linking.merge.linked_account(&account.merge_id).await?.is_none() {
                let of = AccountRef { organization: account.organization, account: account.id };
                strays.push(Stray::Here { merge_id: account.merge_id, of });
            }
        }
    }
    Ok(strays)
}

/// The parked message that told of the link, if it has not expired.
pub async fn parked_link(linking: &Linking, merge_id: &MergeLinkedAccountId) -> Result<Option<Message>, Failure> {
    let parked = linking.store.parked(merge_id, jiff::Timestamp::now()).await?;
    let mut messages = parked.iter().filter_map(|parked| Message::parse(&parked.body).ok());
    Ok(messages.rfind(|message| matches!(message.work, Work::Linked { .. })))
}
