//! Assets: the files of `web/`, embedded at build time by `build.rs`.

/// One file.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its path below `web/`.
    pub name: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Start of its SHA-256.
    pub hash: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
    /// Its bytes compressed with gzip, where that is smaller.
    pub gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// A file below `/assets/`, and whether its path names the version, so that it never changes.
pub fn find(path: &str) -> Option<(&'static Asset, bool)> {
    let (name, versioned) = match path.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('/')) {
        Some(name) => (name, true),
        None => (path, false),
    };
    ASSETS.iter().find(|asset| asset.name == name).map(|asset| (asset, versioned))
}
