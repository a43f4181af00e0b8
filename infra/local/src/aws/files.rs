//! Files of the data directory: readable by their owner only, because they hold key material,
//! secrets and message bodies; replaced by rename, so that a crash leaves the old or the new one.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens `path` for writing, emptied; creates it with mode 0600.
pub fn empty(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path)
}

/// Creates `path` with mode 0600 unless it is there.
pub fn create(path: &Path) -> std::io::Result<()> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    Ok(())
}

/// Replaces the content of `path`.
pub fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let fresh = path.with_extension("new");
    empty(&fresh)?.write_all(content)?;
    std::fs::rename(&fresh, path)
}
