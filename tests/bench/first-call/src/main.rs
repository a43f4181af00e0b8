//! The webhook function, wired as it ships, but that it trusts one root more: that of a bench's own services. What a
//! function's first call over TLS costs is measured on it, because the binaries that ship trust nobody here.

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use functions::webhook::{self, Webhook};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use shared::config::{self, Logging, TokenKey, WebhookKeys, aws::Aws, tls};
use shared::queue::Queue;
use shared::secrets::{TokenCipher, WebhookKeyring};
use shared::{http, telemetry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_http::Error> {
    let (logging, aws, queue, token_key, keys): (Logging, Aws, config::Queue, TokenKey, WebhookKeys) = config::load()?;
    telemetry::init(env!("CARGO_BIN_NAME"), &logging);
    // Beside the roots that every function carries, so that looking for the right one costs what it does there.
    let mut roots = RootCertStore { roots: tls::roots() };
    roots.add(CertificateDer::from_pem_file(std::env::var("ROOT")?)?)?;
    let client = tls::client(roots)?;
    let sdk = config::aws::sdk_config_through(client, &aws, EnvironmentVariableCredentialsProvider::new());
    let webhook = Webhook {
        keys: WebhookKeyring::new(&sdk, &keys),
        cipher: TokenCipher::new(&sdk, &token_key),
        queue: Queue::new(&sdk, &queue),
        relay: None,
    };
    webhook.keys.load().await?;
    http::serve(|request| webhook::handle(&webhook, request)).await
}
