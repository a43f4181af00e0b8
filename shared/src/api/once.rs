//! Once: a request with the header `Idempotency-Key` is done once, however often it is sent. Without the header it
//! costs nothing.
//!
//! For exchanges and refreshes only. Link tokens are never replayed: each is for one dialog.

use std::time::Duration;

use lambda_http::Request;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    ambient,
    domain::ids::OrganizationId,
    http::{self, Code, Problem},
    store::{
        Store,
        once::{Begun, Named},
    },
    telemetry,
};

/// When to ask again while the same request runs.
const SOON: Duration = Duration::from_secs(3);

/// What a request is.
pub enum Asked<'a, T> {
    /// One to be done; what comes of it goes to [`Once::end`].
    First(Once<'a>),
    /// One that was done, and what was kept of its answer.
    Again(T),
}

/// A request that is being done.
#[must_use]
pub struct Once<'a> {
    store: &'a Store,
    claim: Option<(Named, Uuid)>,
}

impl<'a> Once<'a> {
    /// Claims the name of the request, if it has one. `route` is told apart from others with the same name.
    ///
    /// 409 while the same request runs, 422 when the name was another request's.
    pub async fn begin<T: DeserializeOwned>(
        store: &'a Store,
        of: &OrganizationId,
        route: &str,
        request: &Request,
    ) -> Result<Asked<'a, T>, Problem> {
        let Some(key) = http::idempotency_key(request)? else { return Ok(Asked::First(Self { store, claim: None })) };
        let named = Named {
            organization: of.clone(),
            // No route holds a line break.
            name: hash(format!("{route}\n{key}").as_bytes()),
            content: hash(http::raw_body(request)),
        };
        let writer = ambient::uuid();
        match store.begin_once(&named, writer, ambient::now()).await? {
            Begun::First => Ok(Asked::First(Self { store, claim: Some((named, writer)) })),
            Begun::Ended(answer) => Ok(match serde_json::from_str(&answer) {
                Ok(kept) => Asked::Again(kept),
                // Another release has kept it in another shape. To do it again harms nothing.
                Err(_) => Asked::First(Self { store, claim: None }),
            }),
            Begun::Running => {
                let problem = Problem::new(Code::RequestInProgress, "The same request is being answered; ask again.");
                Err(problem.retry_after(SOON))
            }
            Begun::Another => {
                Err(Problem::new(Code::IdempotencyKeyReused, "The Idempotency-Key came with another body before."))
            }
        }
    }

    /// Keeps what `kept` makes of a success for the repeats. What was refused or went wrong may be tried again.
    pub async fn end<T, K: Serialize>(
        self,
        result: Result<T, Problem>,
        kept: impl FnOnce(&T) -> K,
    ) -> Result<T, Problem> {
        let Some((named, writer)) = &self.claim else { return result };
        let written = match &result {
            Ok(done) => {
                let answer = serde_json::to_string(&kept(done)).map_err(Problem::internal)?;
                self.store.end_once(named, *writer, &answer).await
            }
            Err(_) => self.store.free_once(named, *writer, ambient::now()).await,
        };
        if let Err(error) = written {
            // It is done all the same; a repeat may do it again once this request's time is over, which harms nothing.
            tracing::warn!(error = telemetry::chain(&error), "what came of a request is not kept for its repeats");
        }
        result
    }
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
