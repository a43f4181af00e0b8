//! Embedded services: KMS and Secrets Manager as winterbaume emulates them, kept in a file so that a
//! restart can still decrypt what an earlier run encrypted.

use std::path::{Path, PathBuf};

use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use winterbaume_core::{MockRequest, StatefulService};

use super::files;

/// One emulated service with the file that its state is kept in.
pub struct Embedded<S> {
    service: S,
    /// Name of the service in its host name, for example `kms`.
    name: &'static str,
    file: Option<PathBuf>,
    account_id: String,
    region: String,
    /// Held while state is written down, so that an older state never replaces a newer one.
    writing: tokio::sync::Mutex<()>,
}

impl<S: StatefulService> Embedded<S> {
    /// The service with the state of `{name}.json` in `data_dir`, when there is one.
    pub async fn open(
        service: S,
        name: &'static str,
        data_dir: Option<&Path>,
        account_id: &str,
        region: &str,
    ) -> std::io::Result<Self> {
        // winterbaume takes the account from the process; the first stack of a process sets it.
        winterbaume_core::set_default_account_id(account_id);
        let embedded = Self {
            service,
            name,
            file: data_dir.map(|directory| directory.join(format!("{name}.json"))),
            account_id: winterbaume_core::default_account_id().to_owned(),
            region: region.to_owned(),
            writing: tokio::sync::Mutex::new(()),
        };
        if let Some(file) = embedded.file.as_ref().filter(|file| file.exists()) {
            let state = serde_json::from_slice(&std::fs::read(file)?)?;
            embedded.service.restore(&embedded.account_id, region, state).await.map_err(std::io::Error::other)?;
        }
        Ok(embedded)
    }

    /// Passes a request on to the service; an action that changes state is written down before the answer.
    pub async fn call(&self, action: &str, headers: HeaderMap, body: Bytes) -> Response {
        let request = MockRequest {
            method: "POST".to_owned(),
            uri: format!("https://{}.{}.amazonaws.com/", self.name, self.region),
            headers,
            body,
        };
        let answer = self.service.handle(request).await;
        let mut status = answer.status;
        if status < 300
            && !only_reads(action)
            && let Err(error) = self.write_down().await
        {
            tracing::error!(%error, service = self.name, "state could not be kept");
            status = 500;
        }
        let mut response = Response::new(answer.body.into());
        *response.headers_mut() = answer.headers;
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        response
    }

    async fn write_down(&self) -> std::io::Result<()> {
        let Some(file) = &self.file else {
            return Ok(());
        };
        let _turn = self.writing.lock().await;
        let state = self.service.snapshot(&self.account_id, &self.region).await;
        files::replace(file, &serde_json::to_vec(&state)?)
    }
}

/// Actions that leave the service's state as it was.
fn only_reads(action: &str) -> bool {
    let reading = ["Get", "List", "Describe", "BatchGet", "Generate", "Verify"];
    matches!(action, "Encrypt" | "Decrypt" | "ReEncrypt" | "Sign")
        || reading.iter().any(|prefix| action.starts_with(prefix))
}
