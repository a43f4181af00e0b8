//! Random numbers from a seed: what a test does is chosen by them, and chosen again from the same seed.

/// A stream of numbers (splitmix64). `E2E_SEED` chooses another than the fixed one.
pub struct Random(u64);

impl Random {
    /// The stream of a test; its seed is told, for the log of a failure.
    pub fn of(test: &str) -> Self {
        let seed = std::env::var("E2E_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_125);
        println!("{test}: E2E_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A stream of its own.
    pub fn split(&mut self) -> Self {
        Self(self.next())
    }

    /// A number of `range`, its end excluded.
    pub fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }
}
