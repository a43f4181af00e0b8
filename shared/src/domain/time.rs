//! Times as Tether stores and compares them: UTC, fixed width, so that text order is time order.

use jiff::Timestamp;

/// `2026-01-31T09:05:00.123456789Z`: thirty characters, always.
pub fn fixed(at: Timestamp) -> String {
    format!("{at:.9}")
}

/// Reads any ISO 8601 time with an offset, as Merge sends them; `None` for anything else.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// The time below every other, for records that carry none.
pub const NEVER: &str = "0000-00-00T00:00:00.000000000Z";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_a_time_becomes_one() {
        for text in ["2026-01-31T09:05:00Z", "2026-01-31T09:05:00.000000+00:00", "2026-01-31T10:05:00+01:00"] {
            assert_eq!(parse(text).map(fixed).as_deref(), Some("2026-01-31T09:05:00.000000000Z"), "{text}");
        }
        assert_eq!(parse("yesterday"), None);
    }

    proptest! {
        #[test]
        fn text_order_is_time_order(a in 0i64..4_000_000_000, b in 0i64..4_000_000_000, na in 0i32..1_000_000_000, nb in 0i32..1_000_000_000) {
            let (a, b) = (Timestamp::new(a, na).unwrap(), Timestamp::new(b, nb).unwrap());
            prop_assert_eq!(a.cmp(&b), fixed(a).cmp(&fixed(b)));
            prop_assert!(fixed(a).as_str() > NEVER);
            prop_assert_eq!(parse(&fixed(a)), Some(a));
        }
    }
}
