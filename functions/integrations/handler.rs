//! The integrations function: `GET /v1/integrations?category=`, the systems that an end user can be offered.
//!
//! The catalogue is the same for every organization of this deployment, so one process asks Merge once in a while and
//! keeps the answer. When Merge does not answer, the last catalogue stands, and without one a built-in list of the
//! largest systems: an app centre is never empty because of an outage.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lambda_http::Request;
use serde::Serialize;
use shared::domain::category::Category;
use shared::http::{Answer, Problem, is_authenticated, ok, query};
use shared::merge::{CatalogueEntry, MergeClient};
use shared::telemetry::chain;
use tokio::time::Instant;

/// Names and slugs as Merge publishes them, without logos. Gathered 2026-11-22.
const FALLBACK: &str = include_str!("fallback.json");
/// A catalogue is fresh this long; organizations switch integrations on rarely.
const FRESH_FOR: Duration = Duration::from_secs(15 * 60);
/// After a failed call, Merge is left alone this long.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);

/// The catalogue, and where it comes from.
pub struct Integrations {
    merge: MergeClient,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last answer of Merge's, and when it came.
    held: Option<(Arc<[CatalogueEntry]>, Instant)>,
    failed_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Source {
    /// Merge, just now.
    Live,
    /// Merge, earlier.
    Cached,
    /// Our own list.
    Fallback,
}

#[derive(Serialize)]
struct Catalogue<'a> {
    results: Vec<&'a CatalogueEntry>,
    source: Source,
}

/// Answers one request.
pub async fn handle(integrations: &Integrations, request: Request) -> Result<Answer, Problem> {
    // 1. Whoever may read linked accounts may see what can be connected; the route asks for that scope.
    is_authenticated(&request)?;
    // 2. One category, or all.
    let category: Option<Category> = query(&request).parsed("category")?;
    // 3. The freshest list there is.
    let (entries, source) = integrations.catalogue().await?;
    // 4. Reply.
    let of_category = |entry: &&CatalogueEntry| match category {
        Some(category) => entry.categories.iter().any(|name| name.eq_ignore_ascii_case(category.slug())),
        None => true,
    };
    ok(&Catalogue { results: entries.iter().filter(of_category).collect(), source })
}

impl Integrations {
    /// A catalogue that asks `merge` when it is first needed.
    pub fn new(merge: MergeClient) -> Self {
        Self { merge, state: Mutex::default() }
    }

    async fn catalogue(&self) -> Result<(Arc<[CatalogueEntry]>, Source), Problem> {
        let (held, may_ask) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            (state.held.clone(), state.failed_at.is_none_or(|failed_at| failed_at.elapsed() >= PAUSE_AFTER_FAILURE))
        };
        if let Some((entries, since)) = &held
            && since.elapsed() < FRESH_FOR
        {
            return Ok((entries.clone(), Source::Cached));
        }
        if may_ask {
            match self.merge.integrations().await {
                Ok(entries) => {
                    let entries: Arc<[CatalogueEntry]> = entries.into();
                    let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                    *state = State { held: Some((entries.clone(), Instant::now())), failed_at: None };
                    return Ok((entries, Source::Live));
                }
                Err(error) => {
                    tracing::warn!(cause = chain(&error), "the catalogue cannot be read");
                    self.state.lock().unwrap_or_else(PoisonError::into_inner).failed_at = Some(Instant::now());
                }
            }
        }
        match held {
            Some((entries, _)) => Ok((entries, Source::Cached)),
            None => Ok((fallback()?, Source::Fallback)),
        }
    }
}

fn fallback() -> Result<Arc<[CatalogueEntry]>, serde_json::Error> {
    serde_json::from_str::<Vec<CatalogueEntry>>(FALLBACK).map(Into::into)
}

#[cfg(test)]
mod tests;
