//! The signature of Merge's webhooks: HMAC-SHA256 over the raw body, keyed with the organization's signature key, in
//! base64url. It has neither time nor nonce, so a replay verifies: handlers are idempotent.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::secret::WebhookKey;

/// The header that carries it.
pub const HEADER: &str = "x-merge-webhook-signature";

/// Which of `keys` signed `body`, as an index; `None` if none did. Takes base64url with or without padding, and nothing
/// else: standard base64 or hexadecimal would let one delivery be told in several ways. Compares in constant time.
pub fn verify(header: &str, body: &[u8], keys: &[WebhookKey]) -> Option<usize> {
    let signature = decode(header)?;
    keys.iter().position(|key| {
        Hmac::<Sha256>::new_from_slice(key.expose().as_bytes())
            .is_ok_and(|mac| mac.chain_update(body).verify_slice(&signature).is_ok())
    })
}

/// Whether the header could be a signature under some key: only then are newer keys worth a call.
pub fn is_well_formed(header: &str) -> bool {
    decode(header).is_some()
}

fn decode(header: &str) -> Option<Vec<u8>> {
    // 32 bytes are 43 characters and at most one of padding.
    let unpadded = header.strip_suffix('=').unwrap_or(header);
    if unpadded.len() != 43 {
        return None;
    }
    URL_SAFE_NO_PAD.decode(unpadded).ok()
}

/// Signs a body as Merge does: padded. For tests and the local stack.
pub fn sign(body: &[u8], key: &WebhookKey) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).map(|mac| mac.chain_update(body).finalize());
    // HMAC takes keys of any length.
    mac.map(|mac| format!("{}=", URL_SAFE_NO_PAD.encode(mac.into_bytes()))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    const VECTORS: [(&[u8], &str); 2] = [
        (br#"{"n": 1}"#, "F5ScEdjCpajRT5inFWFyEOrXtWNJ4Fzz-D_Cd8Nsj3E="),
        (br#"{"hook": {"event": "LinkedAccount.linked"}}"#, "btZLsUSg4aAkXfF73QfoVxRE1XCD5NpJyIt09CoCYpw="),
    ];

    fn keys(keys: &[&str]) -> Vec<WebhookKey> {
        keys.iter().map(|key| WebhookKey::new(*key)).collect()
    }

    #[test]
    fn merges_vectors_hold_with_and_without_padding() {
        let keys = keys(&["newer", "test-signature-key"]);
        for (body, signature) in VECTORS {
            assert_eq!(verify(signature, body, &keys), Some(1));
            assert_eq!(verify(signature.trim_end_matches('='), body, &keys), Some(1));
            assert_eq!(sign(body, &keys[1]), signature);
        }
    }

    #[test]
    fn every_other_encoding_is_refused() {
        let keys = keys(&["test-signature-key"]);
        let (body, signature) = VECTORS[0];
        let bytes = URL_SAFE_NO_PAD.decode(signature.trim_end_matches('=')).unwrap();
        let hexadecimal: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        for other in [
            STANDARD.encode(&bytes),
            hexadecimal,
            format!("{signature}="),
            format!(" {signature}"),
            String::new(),
            "é".repeat(22),
        ] {
            assert_eq!(verify(&other, body, &keys), None, "{other}");
        }
    }

    #[test]
    fn other_keys_other_bodies_and_no_keys_are_refused() {
        let (body, signature) = VECTORS[0];
        assert_eq!(verify(signature, body, &keys(&["test-signature-keY", ""])), None);
        assert_eq!(verify(signature, br#"{"n":1}"#, &keys(&["test-signature-key"])), None);
        assert_eq!(verify(signature, body, &[]), None);
    }

    proptest! {
        #[test]
        fn one_flipped_bit_breaks_it(body in proptest::collection::vec(any::<u8>(), 1..300), bit in any::<prop::sample::Index>()) {
            let keys = keys(&["k"]);
            let signature = sign(&body, &keys[0]);
            prop_assert_eq!(verify(&signature, &body, &keys), Some(0));
            let mut other = body.clone();
            let bit = bit.index(body.len() * 8);
            other[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(verify(&signature, &other, &keys), None);
        }

        #[test]
        fn any_header_is_judged_without_panic(header in any::<String>()) {
            prop_assert_eq!(verify(&header, b"body", &keys(&["k"])), None);
        }
    }
}
