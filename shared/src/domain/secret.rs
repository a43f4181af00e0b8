//! Secrets of the linking flow: tokens and keys as types whose `Debug` shows nothing and whose memory is
//! wiped on drop.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

macro_rules! secret {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name(SecretString);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(SecretString::from(text.into()))
            }

            /// The secret itself, for the one call that needs it.
            pub fn expose(&self) -> &str {
                self.0.expose_secret()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[redacted]")
            }
        }
    };
}

secret!(
    /// Merge's organization-wide API key.
    ApiKey
);
secret!(
    /// Opens one linked account at Merge; lives until the account is deleted or the token regenerated.
    AccountToken
);
secret!(
    /// Opens Merge Link once, for a few minutes.
    LinkToken
);
secret!(
    /// A key with which Merge signs webhooks.
    WebhookKey
);
secret!(
    /// What Merge Link hands to the page after linking; exchanged once for an account token.
    PublicToken
);

/// The longest public token we pass on to Merge, in bytes.
const LONGEST_PUBLIC_TOKEN: usize = 512;

impl PublicToken {
    /// Accepts what can stand in one path segment without encoding, so that no token can reach another
    /// route of Merge's. `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let shape = !text.is_empty()
            && text.len() <= LONGEST_PUBLIC_TOKEN
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'=' | b'~'));
        shape.then(|| Self::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checklist_36_debug_of_every_secret_shows_nothing() {
        let text = "canary";
        let shown = [
            format!("{:?}", ApiKey::new(text)),
            format!("{:?}", AccountToken::new(text)),
            format!("{:?}", LinkToken::new(text)),
            format!("{:?}", WebhookKey::new(text)),
            format!("{:?}", PublicToken::new(text)),
        ];
        assert!(shown.iter().all(|shown| shown == "[redacted]"), "{shown:?}");
        assert_eq!(format!("{:#?}", PublicToken::parse(text)), "Some(\n    [redacted],\n)");
    }

    #[test]
    fn a_public_token_is_one_path_segment() {
        assert!(PublicToken::parse("aB3-_=~").is_some());
        for bad in ["", "../linked-accounts", "%2e%2e%2f", "a\r\nb", "a/b", "a.b", "a b", "ä", &"x".repeat(10_000)] {
            assert!(PublicToken::parse(bad).is_none(), "{bad:?}");
        }
    }
}
