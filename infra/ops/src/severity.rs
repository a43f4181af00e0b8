//! Severity: how bad what a command found is; also its exit code, so that scripts can tell.

use serde::Serialize;

/// Of a finding, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Works in part, heals by itself, or is somebody else's to mend.
    Warning,
    /// Broken, and stays so until an operator does something.
    Broken,
}

impl Severity {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Broken => "broken",
        }
    }
}

/// Nothing was found.
pub const FINE: u8 = 0;
/// The worst finding is a warning.
pub const WARNING: u8 = 1;
/// Something is broken.
pub const BROKEN: u8 = 2;
/// The command could not do what it was asked.
pub const FAILED: u8 = 3;
/// The command line is wrong (`EX_USAGE`).
pub const MISUSED: u8 = 64;

/// The exit code of the worst finding.
pub fn exit_code(worst: Option<Severity>) -> u8 {
    match worst {
        None => FINE,
        Some(Severity::Warning) => WARNING,
        Some(Severity::Broken) => BROKEN,
    }
}
