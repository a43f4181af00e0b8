//! Cursors of our API: opaque to callers, and bound to what they were given for.
//!
//! A cursor holds a position and nothing secret. It is not signed: a read is always within the organization and the
//! account of the request, so the worst that a made-up cursor does is to skip its maker's own records. The binding
//! catches the honest mistake, a cursor sent to another list.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::http::{Code, Problem};

/// The longest cursor that is read, in bytes. A change-feed cursor holds a position for each of some thirty models.
const LONGEST: usize = 8 * 1024;

#[derive(serde::Serialize, serde::Deserialize)]
struct Sealed<T> {
    /// What the cursor is for.
    b: String,
    /// The position.
    p: T,
}

/// A cursor for `position` in the list that `binding` names.
pub fn encode<T: Serialize>(binding: &[&str], position: T) -> Result<String, Problem> {
    let sealed = serde_json::to_vec(&Sealed { b: bound(binding), p: position }).map_err(Problem::internal)?;
    Ok(BASE64.encode(sealed))
}

/// The position of a cursor. 400 if it is not one of ours, or was given for another list.
pub fn decode<T: DeserializeOwned>(binding: &[&str], cursor: &str) -> Result<T, Problem> {
    let read = || -> Option<Sealed<T>> {
        let bytes = (cursor.len() <= LONGEST).then(|| BASE64.decode(cursor).ok())??;
        serde_json::from_slice(&bytes).ok()
    };
    match read() {
        Some(sealed) if sealed.b == bound(binding) => Ok(sealed.p),
        _ => Err(Problem::new(Code::CursorInvalid, "The cursor is not one that this list gave.")),
    }
}

fn bound(binding: &[&str]) -> String {
    let digest = Sha256::digest(binding.join("\n").as_bytes());
    BASE64.encode(&digest[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_own_list_only() {
        let cursor = encode(&["org", "records"], (3, "key")).unwrap();
        assert_eq!(decode::<(u8, String)>(&["org", "records"], &cursor).unwrap(), (3, "key".to_owned()));
        for binding in [["other", "records"], ["org", "changes"]] {
            let refused = decode::<(u8, String)>(&binding, &cursor).map_err(|p| p.code());
            assert_eq!(refused, Err(Code::CursorInvalid));
        }
        for bad in ["", "x", "äöü", &BASE64.encode("{}"), &"A".repeat(LONGEST + 1)] {
            assert!(decode::<(u8, String)>(&["org", "records"], bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_cursor_of_ours_or_refused(text in proptest::prelude::any::<String>(), bytes: Vec<u8>) {
            for cursor in [text, BASE64.encode(&bytes)] {
                let refused = decode::<(u8, String)>(&["org", "records"], &cursor).map_err(|p| p.code());
                proptest::prop_assert_eq!(refused, Err(Code::CursorInvalid));
            }
        }

        #[test]
        fn any_position_comes_back(shard: u8, key: String) {
            let cursor = encode(&["org", "records"], (shard, &key)).unwrap();
            let back = decode::<(u8, String)>(&["org", "records"], &cursor).map_err(|p| p.code());
            proptest::prop_assert!(cursor.len() > LONGEST || back == Ok((shard, key)));
        }
    }
}
