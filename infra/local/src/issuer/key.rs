//! The issuer's key: one RSA key pair that signs every token, kept in a file when the stack keeps data.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::IssuerError;

const FILE: &str = "issuer-key.pem";

pub(super) struct SigningKey {
    key: EncodingKey,
    public: Jwk,
    id: String,
}

impl SigningKey {
    /// Reads the key from `data_dir`, or makes one and, with a directory, stores it for the next start.
    pub fn load(data_dir: Option<&Path>) -> Result<Self, IssuerError> {
        let pem = match data_dir.map(|directory| directory.join(FILE)) {
            Some(file) if file.exists() => std::fs::read_to_string(file).map_err(IssuerError::KeyFile)?,
            Some(file) => {
                let pem = generate()?;
                store(&file, &pem).map_err(IssuerError::KeyFile)?;
                pem
            }
            None => of_this_process()?,
        };
        let key = EncodingKey::from_rsa_pem(pem.as_bytes())?;
        let mut public = Jwk::from_encoding_key(&key, Algorithm::RS256)?;
        let id = public.thumbprint(ThumbprintHash::SHA256)?;
        public.common.key_id = Some(id.clone());
        public.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { key, public, id })
    }

    /// A signed JWT of `claims`.
    pub fn sign(&self, kind: &str, claims: &impl Serialize) -> Result<String, IssuerError> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.id.clone());
        header.typ = Some(kind.to_owned());
        Ok(jsonwebtoken::encode(&header, claims, &self.key)?)
    }

    pub fn public(&self) -> JwkSet {
        JwkSet { keys: vec![self.public.clone()] }
    }
}

/// The key of every stack in this process that keeps nothing: making one takes long without optimisation, and tests
/// start a hundred stacks. None takes another's token for its own, since it names its issuer.
fn of_this_process() -> Result<String, IssuerError> {
    static MADE: Mutex<Option<String>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    match &*made {
        Some(pem) => Ok(pem.clone()),
        None => Ok(made.insert(generate()?).clone()),
    }
}

fn generate() -> Result<String, IssuerError> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| IssuerError::KeyGeneration)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| IssuerError::KeyGeneration)?;
    let text = STANDARD.encode(der.as_ref());
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")))
}

fn store(file: &Path, pem: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(file)?.write_all(pem.as_bytes())
}
