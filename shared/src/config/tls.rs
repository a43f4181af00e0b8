//! The way out: one HTTP client per process, with one TLS configuration, for Merge and AWS alike.
//!
//! Root certificates are Mozilla's, compiled in: reading the operating system's costs some 19 M
//! instructions at every cold start. No redirect is followed, so that a credential never leaves
//! for another host; no proxy is taken from the environment.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::pki_types::TrustAnchor;
use rustls::{ClientConfig, RootCertStore};

/// The TLS configuration could not be built: a defect of the build, not of the environment.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The cryptographic provider does not offer the protocol versions.
    #[error("the TLS configuration cannot be built")]
    Config(#[from] rustls::Error),
    /// The HTTP client refused its settings.
    #[error("the HTTP client cannot be built")]
    Client(#[from] reqwest::Error),
}

/// The HTTP client of this process: cheap to clone, one connection pool behind it.
///
/// Overall timeouts are per request. Connecting may take 3 s; a pooled connection idle for 50 s is
/// closed, before the load balancers on the other side do it.
pub fn http_client() -> Result<reqwest::Client, TlsError> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client.clone());
    }
    let client = client(RootCertStore { roots: roots() })?;
    Ok(CLIENT.get_or_init(|| client).clone())
}

/// Mozilla's roots, the only ones that functions trust.
pub fn roots() -> Vec<TrustAnchor<'static>> {
    webpki_roots::TLS_SERVER_ROOTS.to_vec()
}

/// A client of its own that trusts `roots`. Functions use [`http_client`].
pub fn client(roots: RootCertStore) -> Result<reqwest::Client, TlsError> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(tls_config(roots)?)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(Duration::from_secs(3))
        .pool_idle_timeout(Duration::from_secs(50))
        .build()?;
    Ok(client)
}

fn tls_config(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
