//! The file of an export, and the small one beside it that says how far the export has come.
//!
//! Lines are gathered until they make a member of about a megabyte; it is appended, forced to the disk, and only then is
//! the progress replaced, in one step. Whatever the moment of an interruption, the progress never speaks of bytes that
//! are not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::cursor::Cursor;
use super::{Place, Progress};
use crate::failure::Failure;

/// Plain bytes of a member.
const MEMBER: usize = 1 << 20;

/// An export that is being written.
pub struct Export {
    pub progress: Progress,
    path: PathBuf,
    file: File,
    member: Vec<u8>,
    /// Lines of the member that is being gathered, and where it will have come to.
    waiting: u64,
}

impl Export {
    /// Goes on with the export in `path`, if one `same` as this was interrupted there; else begins it. A file of another
    /// export is left alone.
    pub fn open(path: &Path, fresh: Progress, same: impl Fn(&Progress) -> bool) -> Result<Self, Failure> {
        let failed = |source| Failure::File { path: path.to_owned(), source };
        let kept = match fs::read(beside(path)) {
            Ok(bytes) => Some(serde_json::from_slice::<Progress>(&bytes).map_err(|e| failed(e.into()))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let other = || Failure::Usage(format!("{} holds something else: name another file", path.display()));
        let progress = match kept {
            Some(kept) if same(&kept) => kept,
            Some(_) => return Err(other()),
            None if path.exists() => return Err(other()),
            None => fresh,
        };
        // For the operator's eyes: these are a customer's records.
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        let mut file = open.map_err(failed)?;
        file.set_len(progress.bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        Ok(Self { progress, path: path.to_owned(), file, member: Vec::new(), waiting: 0 })
    }

    /// Adds a line.
    pub fn line(&mut self, line: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.member, line).map_err(io::Error::from)?;
        self.member.push(b'\n');
        self.waiting += 1;
        Ok(())
    }

    /// Says how far the lines so far have come.
    pub fn reached(&mut self, place: Place, next: Option<Cursor>) -> Result<(), Failure> {
        self.progress.place = place;
        if let Some(next) = next {
            self.progress.next = next;
        }
        self.progress.lines += std::mem::take(&mut self.waiting);
        if self.member.len() >= MEMBER { self.write_down() } else { Ok(()) }
    }

    /// Writes what is left and says that all is there.
    pub fn finish(mut self) -> Result<Progress, Failure> {
        self.progress.done = true;
        self.write_down()?;
        Ok(self.progress)
    }

    fn write_down(&mut self) -> Result<(), Failure> {
        let failed = |source| Failure::File { path: self.path.clone(), source };
        if !self.member.is_empty() {
            let mut packed = GzEncoder::new(Vec::new(), Compression::default());
            packed.write_all(&self.member).map_err(failed)?;
            let packed = packed.finish().map_err(failed)?;
            self.file.write_all(&packed).and_then(|()| self.file.sync_data()).map_err(failed)?;
            self.progress.bytes += packed.len() as u64;
            self.member.clear();
        }
        let mut partial = beside(&self.path).into_os_string();
        partial.push(".partial");
        let progress = serde_json::to_vec(&self.progress).map_err(|error| failed(error.into()))?;
        fs::write(&partial, progress).and_then(|()| fs::rename(&partial, beside(&self.path))).map_err(failed)
    }
}

/// `records.ndjson.gz` → `records.ndjson.gz.progress`.
fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".progress");
    beside.into()
}
