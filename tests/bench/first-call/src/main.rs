//! Our HTTP client alone, in a process that does nothing else: it asks a URL twice on one connection. What the functions'
//! first call over TLS costs is counted on it.

use std::error::Error;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use shared::config::tls;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (url, root) = arguments.next().zip(arguments.next()).ok_or("usage: first-call URL ROOT")?;
    // Beside the roots that every function carries, so that looking for the right one costs what it does there.
    let mut roots = RootCertStore { roots: tls::roots() };
    roots.add(CertificateDer::from_pem_file(root)?)?;
    let client = tls::client(roots)?;
    for _ in 0..2 {
        client.get(&url).send().await?.bytes().await?;
    }
    Ok(())
}
