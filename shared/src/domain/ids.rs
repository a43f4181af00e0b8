//! Identifiers. Each is a type of its own, so that an organization can never stand where an account is
//! meant, and each parses once, at the edge.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a string is not the identifier it claims to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {fault}")]
pub struct InvalidId {
    what: &'static str,
    fault: &'static str,
}

fn check(what: &'static str, text: &str, longest: usize, allowed: fn(u8) -> bool) -> Result<(), InvalidId> {
    let fault = if text.is_empty() {
        "is empty"
    } else if text.len() > longest {
        "is too long"
    } else if !text.bytes().all(allowed) {
        "holds a character that is not allowed"
    } else {
        return Ok(());
    };
    Err(InvalidId { what, fault })
}

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $longest:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                check($what, &text, $longest, $allowed)?;
                Ok(Self(text))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

string_id!(
    /// The organization (or, with `ACCOUNT_OWNER=user`, the person) that owns linked accounts: the value of a
    /// verified claim. 1 to 128 visible ASCII characters without `#`, which separates the parts of a key.
    OrganizationId, "organization id", 128, |b| b.is_ascii_graphic() && b != b'#'
);

string_id!(
    /// Merge's id of a Linked Account: a UUID today, kept as the text Merge sent. At most 64 of `A-Z a-z 0-9 -`.
    MergeLinkedAccountId, "Merge linked account id", 64, |b| b.is_ascii_alphanumeric() || b == b'-'
);

impl MergeLinkedAccountId {
    /// Stands for no account of Merge's, whose ids are UUIDs: the message group of a census.
    pub fn census() -> Self {
        Self("census".to_owned())
    }
}

/// Our id of a linked account, from its reservation to its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AccountId(Uuid);

impl AccountId {
    pub fn new(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// Only the hyphenated lower-case form, so that one account has one spelling.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let fault = InvalidId { what: "account id", fault: "is not a UUID" };
        match Uuid::try_parse(text) {
            Ok(uuid) if uuid.hyphenated().to_string() == text => Ok(Self(uuid)),
            _ => Err(fault),
        }
    }

    pub fn uuid(&self) -> Uuid {
        self.0
    }

    /// A number that spreads accounts evenly over the slots of the time wheel.
    pub fn spread(&self) -> u64 {
        // The first half of a random UUID holds the version nibble; the second is random but for two bits.
        let (high, low) = self.0.as_u64_pair();
        high ^ low.rotate_left(17)
    }
}

/// The id of an account as a request names it. Whose account that is, nobody has looked yet: no call of the store takes
/// it but the one that looks within an organization, and outside this crate nothing can be made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestedId(AccountId);

impl RequestedId {
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        AccountId::parse(text).map(Self)
    }

    /// The id itself, to be looked for in the partition of an organization.
    pub(crate) fn unverified(self) -> AccountId {
        self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.hyphenated())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn organization_ids_refuse_what_would_split_a_key() {
        for good in ["org_acme", "auth0|5f", "a", "x@y.example"] {
            assert!(OrganizationId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a#b", "a b", "ä", "line\nbreak", &"x".repeat(129)] {
            assert!(OrganizationId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_account_id_has_one_spelling() {
        let text = "3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11";
        assert_eq!(AccountId::parse(text).map(|id| id.to_string()), Ok(text.to_owned()));
        for other in [&text.to_uppercase(), &text.replace('-', ""), "", "42"] {
            assert!(AccountId::parse(other).is_err(), "{other}");
        }
    }
}
