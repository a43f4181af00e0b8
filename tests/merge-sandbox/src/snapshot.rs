//! Snapshot: the accounts and tokens on disk, so that they survive a restart. Written whole, by rename.

use std::io;
use std::path::Path;

use crate::world::Store;

const FILE: &str = "merge-sandbox.json";

/// The store as JSON: records are not in it, only what was changed.
pub fn encode(store: &Store) -> io::Result<Vec<u8>> {
    serde_json::to_vec(store).map_err(io::Error::other)
}

pub fn write(folder: &Path, text: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let next = folder.join(format!("{FILE}.next"));
    std::fs::write(&next, text)?;
    std::fs::rename(next, folder.join(FILE))
}

/// The last snapshot, or an empty store where there is none.
pub fn read(folder: &Path) -> io::Result<Store> {
    match std::fs::read(folder.join(FILE)) {
        Ok(text) => serde_json::from_slice(&text).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Store::default()),
        Err(error) => Err(error),
    }
}
