//! An identity: the organization that a token speaks for, and who acts for it.
//!
//! Every `org_<name>` exists; nothing is stored.

use super::scopes::Scopes;
use serde_json::{Value, json};

/// How long tokens are valid, in seconds.
pub(super) const LIFETIME: u64 = 3_600;

/// An organization of the local issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Organization {
    id: String,
}

impl Organization {
    /// `org_` and up to 64 letters, digits, `-` or `_`.
    pub fn parse(id: &str) -> Option<Self> {
        let name = id.strip_prefix("org_")?;
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        ((1..=64).contains(&name.len()) && name.chars().all(allowed)).then(|| Self { id: id.to_owned() })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// `Acme` of `org_acme`.
    pub fn name(&self) -> String {
        let words = self.slug().split(['-', '_']).filter(|word| !word.is_empty()).map(|word| {
            let (first, rest) = word.split_at(1);
            first.to_ascii_uppercase() + rest
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// `admin@acme.example` of `org_acme`.
    pub fn email(&self) -> String {
        format!("admin@{}.example", self.slug().to_ascii_lowercase().replace('_', "-"))
    }

    fn slug(&self) -> &str {
        self.id.strip_prefix("org_").unwrap_or(&self.id)
    }
}

/// Claims of an access token.
pub(super) fn access_claims(
    issuer: &str,
    audience: &str,
    organization: &Organization,
    subject: &str,
    client: &str,
    scopes: &Scopes,
    now: u64,
) -> Value {
    json!({
        "iss": issuer,
        "sub": subject,
        "aud": audience,
        "client_id": client,
        "org_id": organization.id(),
        "org_name": organization.name(),
        "email": organization.email(),
        "scope": scopes.to_string(),
        "iat": now,
        "exp": now + LIFETIME,
    })
}

/// Claims of an id token for a person of `organization`.
pub(super) fn id_claims(
    issuer: &str,
    client: &str,
    organization: &Organization,
    nonce: Option<&str>,
    now: u64,
) -> Value {
    let mut claims = json!({
        "iss": issuer,
        "sub": person(organization),
        "aud": client,
        "org_id": organization.id(),
        "org_name": organization.name(),
        "email": organization.email(),
        "email_verified": true,
        "iat": now,
        "exp": now + LIFETIME,
    });
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    claims
}

/// The subject of the one person that each organization has.
pub(super) fn person(organization: &Organization) -> String {
    format!("user_{}_admin", organization.slug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organization_has_a_name_and_an_administrator() {
        let acme = Organization::parse("org_acme").expect("an organization");
        assert_eq!((acme.name().as_str(), acme.email().as_str()), ("Acme", "admin@acme.example"));
        let two = Organization::parse("org_two_words").expect("an organization");
        assert_eq!((two.name().as_str(), two.email().as_str()), ("Two Words", "admin@two-words.example"));
        for refused in ["acme", "org_", "org_a b", "org_a/b", ""] {
            assert_eq!(Organization::parse(refused), None, "{refused}");
        }
    }
}
