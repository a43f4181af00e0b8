//! TLS: what the first call over it adds to a process. The server's chain is like AWS's: an RSA leaf and an
//! intermediate under a root that the client trusts; all of it made with `openssl` for each run.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::{Deserialize, Serialize};

use crate::contender::Contender;
use crate::instructions::until;
use crate::platform::{Asked, Platform, Services};

/// Instructions of first calls.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tls {
    /// The webhook function, which trusts our root, to its first request in plain text.
    pub plain: u64,
    /// To its first request over TLS: the handshake is done by then.
    pub handshake: u64,
    /// Shipped binaries: see [`hello`].
    pub hellos: Vec<Hello>,
}

/// See [`hello`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    pub name: String,
    pub adds: i64,
}

impl Tls {
    /// What the first call adds.
    pub fn adds(&self) -> u64 {
        self.handshake.saturating_sub(self.plain)
    }

    /// What adds more than a first call may.
    pub fn too_dear(&self) -> Vec<String> {
        let handshake = (self.adds() > MOST).then(|| format!("a handshake adds {} instructions", self.adds()));
        handshake.into_iter().chain(self.hellos.iter().filter_map(Hello::too_dear)).collect()
    }
}

impl Hello {
    /// A sentence if it adds more than a first call may.
    pub fn too_dear(&self) -> Option<String> {
        (self.adds > MOST as i64).then(|| {
            let why = "was AWS_LC_SYS_NO_JITTER_ENTROPY set when aws-lc was built?";
            format!("{}: its hello over TLS adds {} instructions, {MOST} at most: {why}", self.name, self.adds)
        })
    }
}

/// The most that a first call may add. Jitter entropy alone takes 419 million.
pub const MOST: u64 = 30_000_000;

/// Services that speak TLS.
pub struct Secure {
    pub platform: Platform,
    pub url: String,
    /// The root that their certificate hangs from, as a PEM file.
    pub root: PathBuf,
}

impl Secure {
    pub fn start(scratch: &Path) -> Result<Self, String> {
        let directory = scratch.join("bench-tls");
        std::fs::create_dir_all(&directory).map_err(|error| error.to_string())?;
        let chain = Chain::make(&directory)?;
        let platform = Platform::start_tls(chain.server()?).map_err(|error| error.to_string())?;
        let url = format!("https://localhost:{}", platform.address.port());
        Ok(Self { platform, url, root: chain.root })
    }
}

/// Counts the first call of `first_call`, and the hellos of `shipped`.
pub fn measure(
    plain: &Platform,
    secure: &Secure,
    first_call: &Contender,
    shipped: &[Contender],
    scratch: &Path,
) -> Result<Tls, String> {
    let first = |platform: &Platform, contender: &Contender| {
        platform.prepare(Services::Hold, Vec::new());
        until(platform, contender, scratch, |asked| asked == Asked::Service)
    };
    let over_tls = first_call.with(&[("AWS_ENDPOINT_URL", secure.url.clone())]);
    Ok(Tls {
        plain: first(plain, first_call)?,
        handshake: first(&secure.platform, &over_tls)?,
        hellos: shipped.iter().map(|contender| hello(plain, contender, scratch)).collect::<Result<_, _>>()?,
    })
}

/// What a binary executes more until it says hello over TLS than until it has sent the same request in plain text: the
/// first random numbers and a key are drawn there.
pub fn hello(plain: &Platform, contender: &Contender, scratch: &Path) -> Result<Hello, String> {
    plain.prepare(Services::Hold, Vec::new());
    let sent = until(plain, contender, scratch, |asked| asked == Asked::Service)?;
    let over_tls = contender.with(&[("AWS_ENDPOINT_URL", format!("https://{}", plain.address))]);
    plain.prepare(Services::Hold, Vec::new());
    let hello = until(plain, &over_tls, scratch, |asked| asked == Asked::Tls)?;
    Ok(Hello { name: contender.name.clone(), adds: hello as i64 - sent as i64 })
}

/// A root, an intermediate and a leaf for `localhost`, as PEM files.
struct Chain {
    root: PathBuf,
    /// Leaf and intermediate.
    chain: PathBuf,
    key: PathBuf,
}

impl Chain {
    fn make(directory: &Path) -> Result<Self, String> {
        let run = |arguments: &str| {
            let mut openssl = Command::new("openssl");
            openssl.args(arguments.split(' ')).current_dir(directory).stdout(Stdio::null()).stderr(Stdio::null());
            match openssl.status() {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(format!("openssl {arguments}: {status}")),
                Err(error) => Err(format!("openssl: {error}")),
            }
        };
        let file = |name: &str| directory.join(name);
        let write = |name: &str, text: &[u8]| std::fs::write(file(name), text).map_err(|error| error.to_string());
        write("ca.ext", b"basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n")?;
        write("leaf.ext", b"subjectAltName=DNS:localhost\nextendedKeyUsage=serverAuth\n")?;
        let request = "req -new -newkey rsa:2048 -nodes -keyout";
        run(&format!("{request} root.key -x509 -days 2 -subj /CN=root -out root.pem"))?;
        run(&format!("{request} middle.key -subj /CN=middle -out middle.csr"))?;
        run(
            "x509 -req -in middle.csr -CA root.pem -CAkey root.key -CAcreateserial -days 2 -extfile ca.ext -out middle.pem",
        )?;
        run(&format!("{request} leaf.key -subj /CN=localhost -out leaf.csr"))?;
        run(
            "x509 -req -in leaf.csr -CA middle.pem -CAkey middle.key -CAcreateserial -days 2 -extfile leaf.ext -out leaf.pem",
        )?;
        let read = |name: &str| std::fs::read(file(name)).map_err(|error| error.to_string());
        write("chain.pem", &[read("leaf.pem")?, read("middle.pem")?].concat())?;
        Ok(Self { root: file("root.pem"), chain: file("chain.pem"), key: file("leaf.key") })
    }

    fn server(&self) -> Result<Arc<ServerConfig>, String> {
        let open = |path: &Path| File::open(path).map(BufReader::new).map_err(|error| error.to_string());
        let chain = CertificateDer::pem_reader_iter(open(&self.chain)?).collect::<Result<Vec<_>, _>>();
        let key = PrivateKeyDer::from_pem_reader(open(&self.key)?).map_err(|error| error.to_string())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_single_cert(chain.map_err(|error| error.to_string())?, key)
            .map_err(|error| error.to_string())?;
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_entropy_is_too_dear() {
        let hello = |adds| Hello { name: "webhook".to_owned(), adds };
        assert_eq!(hello(810_000).too_dear(), None);
        assert!(hello(419_300_000).too_dear().is_some_and(|why| why.contains("AWS_LC_SYS_NO_JITTER_ENTROPY")));
        let tls = |handshake| Tls { plain: 1_000_000, handshake, hellos: vec![hello(419_300_000)] };
        assert_eq!((tls(10_000_000).too_dear().len(), tls(400_000_000).too_dear().len()), (1, 2));
    }
}
