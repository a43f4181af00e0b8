//! Sizes: a binary, and the archive that Lambda is sent.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde::{Deserialize, Serialize};

/// Bytes of one binary.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Size {
    pub name: String,
    pub binary: u64,
    /// Deflated, as in the archive.
    pub deflated: u64,
}

/// Bytes of an executable that are loaded: code and data without names and debug information, so that they can be
/// compared in builds that were not stripped. `None`: it is no ELF file of 64 bits.
pub fn loaded(executable: &[u8]) -> Option<u64> {
    let number = |at: usize, length: usize| {
        let bytes = executable.get(at..at + length)?;
        Some(bytes.iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)))
    };
    if executable.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    let mut loaded = 0;
    for entry in 0..count {
        let at = usize::try_from(table + entry * size).ok()?;
        // PT_LOAD, and its length in the file.
        if number(at, 4)? == 1 {
            loaded += number(at + 32, 8)?;
        }
    }
    Some(loaded)
}

impl Size {
    pub fn of(name: &str, executable: &Path) -> Result<Self, String> {
        let fault = |error: std::io::Error| format!("{}: {error}", executable.display());
        let bytes = std::fs::read(executable).map_err(fault)?;
        let mut archive = DeflateEncoder::new(Vec::new(), Compression::default());
        archive.write_all(&bytes).map_err(fault)?;
        let deflated = archive.finish().map_err(fault)?.len() as u64;
        Ok(Self { name: name.to_owned(), binary: bytes.len() as u64, deflated })
    }
}

#[cfg(test)]
mod tests {
    use super::loaded;

    #[test]
    fn what_is_loaded_of_an_executable_is_less_than_all_of_it() {
        let this = std::fs::read(std::env::current_exe().expect("a path")).expect("this program");
        let bytes = loaded(&this).expect("an ELF file");
        assert!(bytes > 100_000 && bytes < this.len() as u64, "{bytes} of {}", this.len());
        assert_eq!(loaded(b"#!/bin/sh\n"), None);
    }
}
