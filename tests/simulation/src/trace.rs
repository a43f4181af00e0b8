//! Trace: what happened, line by line, and its fingerprint. Two runs of one seed have the same fingerprint.

use std::time::Duration;

/// The lines of a run.
#[derive(Debug)]
pub struct Trace {
    shown: bool,
    hash: u64,
    lines: u64,
}

impl Trace {
    /// `shown`: lines go to standard output too.
    pub fn new(shown: bool) -> Self {
        Self { shown, hash: 0xcbf2_9ce4_8422_2325, lines: 0 }
    }

    /// Adds a line that happened at `at` since the start.
    pub fn line(&mut self, at: Duration, text: &str) {
        let line = format!("{:>10.3} {text}", at.as_secs_f64());
        self.lines += 1;
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.shown {
            println!("{line}");
        }
    }

    /// Adds what is not part of the fingerprint.
    pub fn remark(&mut self, text: &str) {
        if self.shown {
            println!("           | {}", text.trim_end());
        }
    }

    pub fn fingerprint(&self) -> u64 {
        self.hash
    }

    pub fn lines(&self) -> u64 {
        self.lines
    }
}
