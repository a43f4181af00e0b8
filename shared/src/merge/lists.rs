//! Lists other than records, read to their last page with the same guards: sync status, issues, and the catalogue of
//! integrations.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::budget::RateBudget;
use super::client::{Call, MergeClient};
use super::error::{ErrorKind, MergeError};
use super::records::Cursor;
use super::wire::{Page, WireIntegration, issue_event, sync_status};
use crate::domain::category::Category;
use crate::domain::ids::MergeLinkedAccountId;
use crate::domain::message::IssueEvent;
use crate::domain::secret::AccountToken;
use crate::domain::sync_status::SyncStatus;
use crate::telemetry::{self, Metric};

/// An integration that the organization may offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CatalogueEntry {
    /// Display name.
    pub name: String,
    /// What a link token calls it.
    pub slug: String,
    /// Its categories, spelled as Merge spells them.
    pub categories: Vec<String>,
    /// URL of a wide logo.
    #[serde(default)]
    pub image: Option<String>,
    /// URL of a square logo.
    #[serde(default)]
    pub square_image: Option<String>,
    /// Brand colour, `#rrggbb`.
    #[serde(default)]
    pub color: Option<String>,
}

impl MergeClient {
    /// What Merge says about its syncs of each model of an account: `GET /{category}/v1/sync-status`, all pages. The
    /// caller has taken the first one out of the account's budget, if it has one; further ones, which no system of
    /// today fills, are taken here: `RateLimited`, with the time that is left, when the budget has none for a while.
    pub async fn sync_status(
        &self,
        category: Category,
        account_token: &AccountToken,
        budget: Option<&RateBudget>,
    ) -> Result<Vec<SyncStatus>, MergeError> {
        let call = || Call::get("sync-status", format!("{category}/v1/sync-status")).account(account_token);
        let rows = self.all_pages(call, budget).await?;
        Ok(keep("SyncStatus", &rows, sync_status))
    }

    /// Asks Merge to sync every model of an account now: `POST /{category}/v1/sync-status/resync`. `Forbidden` or
    /// `Rejected` where the plan does not allow it.
    pub async fn resync(
        &self,
        category: Category,
        account_token: &AccountToken,
    ) -> Result<Vec<SyncStatus>, MergeError> {
        let call = Call::post("resync", format!("{category}/v1/sync-status/resync"), None).account(account_token);
        // The one answer that is a bare array.
        let rows: Vec<Box<RawValue>> = self.fetch(call).await?;
        Ok(keep("SyncStatus", &rows, sync_status))
    }

    /// The issues of one account, open and resolved: `GET /{category}/v1/issues`, all pages. Asked by id, since an
    /// issue does not name its account.
    pub async fn issues(
        &self,
        category: Category,
        merge_id: &MergeLinkedAccountId,
    ) -> Result<Vec<IssueEvent>, MergeError> {
        let call = || {
            let call = Call::get("issues", format!("{category}/v1/issues"));
            // A muted issue that the list left out would seem to be over.
            call.query("linked_account_id", merge_id.as_str()).query("include_muted", "true")
        };
        let rows = self.all_pages(call, None).await?;
        Ok(keep("Issue", &rows, issue_event))
    }

    /// The integrations that the organization may offer: `GET /organizations/integrations`, all pages.
    pub async fn integrations(&self) -> Result<Vec<CatalogueEntry>, MergeError> {
        let call = || Call::get("integrations", "organizations/integrations".to_owned());
        let rows = self.all_pages(call, None).await?;
        Ok(keep("Integration", &rows, catalogue_entry))
    }

    async fn all_pages<'a>(
        &self,
        call: impl Fn() -> Call<'a>,
        budget: Option<&RateBudget>,
    ) -> Result<Vec<Box<RawValue>>, MergeError> {
        let mut walk = Walk::default();
        let mut rows = Vec::new();
        let mut cursor: Option<Cursor> = None;
        loop {
            let mut call = call().query("page_size", "100");
            let name = call.name;
            if let Some(cursor) = &cursor {
                call = call.query("cursor", cursor.as_str());
            }
            let page: Page = self.fetch(call).await?;
            let next = Walk::next(name, &page, cursor.as_ref())?;
            rows.extend(page.results);
            match next {
                None => return Ok(rows),
                Some(next) => cursor = Some(walk.step(name, next)?),
            }
            if let Some(budget) = budget {
                budget.take_within(RateBudget::LONGEST_WAIT).await.map_err(|until| {
                    let left = until.saturating_duration_since(Instant::now());
                    MergeError::new(ErrorKind::RateLimited, name).after(Some(left)).because(Spent)
                })?;
            }
        }
    }
}

fn catalogue_entry(row: &RawValue) -> Option<CatalogueEntry> {
    let row: WireIntegration = serde_json::from_str(row.get()).ok()?;
    Some(CatalogueEntry {
        slug: row.slug.filter(|slug| !slug.is_empty())?,
        name: row.name.filter(|name| !name.is_empty())?,
        categories: row.categories.unwrap_or_default(),
        image: row.image,
        square_image: row.square_image,
        color: row.color,
    })
}

/// Rows that can be read; the others are counted, not fatal.
fn keep<T>(kind: &str, rows: &[Box<RawValue>], read: fn(&RawValue) -> Option<T>) -> Vec<T> {
    let kept: Vec<T> = rows.iter().filter_map(|row| read(row)).collect();
    let lost = rows.len() - kept.len();
    if lost > 0 {
        telemetry::count_by(Metric::MergeContractDrift, kind, lost as u64);
    }
    kept
}

/// No list of ours has this many pages.
const MOST_PAGES: usize = 1_000;

/// A walk through the pages of a list, which must come to an end.
#[derive(Default)]
pub(super) struct Walk {
    seen: HashSet<Cursor>,
}

impl Walk {
    /// The cursor of the page after `page`, which was asked for with `current`.
    pub(super) fn next(
        call: &'static str,
        page: &Page,
        current: Option<&Cursor>,
    ) -> Result<Option<Cursor>, MergeError> {
        let next = page.next.as_deref().map(Cursor::parse).transpose();
        let next = next.map_err(|error| MergeError::new(ErrorKind::StrayCursor, call).because(error))?.flatten();
        if next.is_some() && next.as_ref() == current {
            return Err(MergeError::new(ErrorKind::Endless, call).because(Endless));
        }
        Ok(next)
    }

    fn step(&mut self, call: &'static str, next: Cursor) -> Result<Cursor, MergeError> {
        if self.seen.len() >= MOST_PAGES || !self.seen.insert(next.clone()) {
            return Err(MergeError::new(ErrorKind::Endless, call).because(Endless));
        }
        Ok(next)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the account's budget is spent for now")]
struct Spent;

#[derive(Debug, thiserror::Error)]
#[error("the list does not end: a cursor came twice, or too many came")]
pub(super) struct Endless;
