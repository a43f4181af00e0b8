//! Ids and tokens: everything unguessable-looking is a pure function of the seed, so that one seed is one run.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// One round of SplitMix64: the only randomness of the sandbox.
pub fn mix(state: u64, value: u64) -> u64 {
    let mut z = (state ^ value.wrapping_mul(0xA24B_AED4_963E_E407)).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// FNV-1a of a name.
pub fn hash_str(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// A version 4 shaped UUID with 122 bits from two words.
pub fn uuid(high: u64, low: u64) -> uuid::Uuid {
    uuid::Builder::from_u128((u128::from(high) << 64) | u128::from(low))
        .with_variant(uuid::Variant::RFC4122)
        .with_version(uuid::Version::Random)
        .into_uuid()
}

/// A URL-safe token of 43 characters (the SDKs put tokens into paths unescaped).
pub fn token(seed: u64, purpose: &str, counter: u64) -> String {
    let mut state = mix(mix(seed, hash_str(purpose)), counter);
    let mut bytes = [0_u8; 32];
    for chunk in bytes.chunks_mut(8) {
        state = mix(state, 1);
        chunk.copy_from_slice(&state.to_be_bytes());
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The id of record `index`: readable back into its index, so that no table of ids is held for a million records.
///
/// The upper half is a hash of the index (less version bits), the lower one the index hidden under a hash of the upper.
pub fn record_id(model_seed: u64, index: u64) -> uuid::Uuid {
    let high = mix(model_seed, index) & !0xF000;
    uuid(high, (mix(model_seed ^ 0x5EED, high) ^ index) & LOW)
}

/// The index that `id` names in this model of this account, if any.
pub fn record_index(model_seed: u64, id: &str) -> Option<u64> {
    let value = uuid::Uuid::try_parse(id).ok()?.as_u128();
    let high = (value >> 64) as u64 & !0xF000;
    let index = ((value as u64) ^ mix(model_seed ^ 0x5EED, high)) & LOW;
    (record_id(model_seed, index).as_u128() == value).then_some(index)
}

/// The bits of the lower half that the variant leaves alone.
const LOW: u64 = 0x3FFF_FFFF_FFFF_FFFF;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_id_gives_its_index_back_and_only_to_its_own_model() {
        for index in [0, 1, 2, 99, 10_000, 999_999, 1 << 40] {
            let id = record_id(7, index).to_string();
            assert_eq!(record_index(7, &id), Some(index));
            assert_eq!(record_index(8, &id), None);
        }
        assert_eq!(record_index(7, "not an id"), None);
    }

    #[test]
    fn tokens_differ_and_are_safe_in_a_path() {
        let (first, second) = (token(1, "link", 1), token(1, "link", 2));
        assert_ne!(first, second);
        assert_eq!(first.len(), 43);
        assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    }
}
