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
            // Before there is a file: one without progress is somebody else's.
            None => {
                note(path, &fresh)?;
                fresh
            }
        };
        // For the operator's eyes: these are a customer's records.
        let open = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
        let mut file = open.map_err(failed)?;
        if file.metadata().map_err(failed)?.len() < progress.bytes {
            // What is missing cannot be made up for: nobody knows which records it was.
            let (path, beside) = (path.display(), beside(path));
            let what = format!("{path} is shorter than it was: remove it and {}, and begin anew", beside.display());
            return Err(Failure::Usage(what));
        }
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
        note(&self.path, &self.progress)
    }
}

/// Says how far the export in `path` has come.
fn note(path: &Path, progress: &Progress) -> Result<(), Failure> {
    let failed = |source| Failure::File { path: path.to_owned(), source };
    let mut partial = beside(path).into_os_string();
    partial.push(".partial");
    let progress = serde_json::to_vec(progress).map_err(|error| failed(error.into()))?;
    fs::write(&partial, progress).and_then(|()| fs::rename(&partial, beside(path))).map_err(failed)
}

/// `records.ndjson.gz` → `records.ndjson.gz.progress`.
fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".progress");
    beside.into()
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use shared::domain::ids::AccountId;
    use uuid::Uuid;

    use super::*;

    fn fresh() -> Progress {
        Progress {
            account: AccountId::new(Uuid::from_u128(1)),
            model: "hris.Employee".to_owned(),
            since: None,
            deleted: false,
            next: Cursor::at(None, Timestamp::from_second(0).unwrap()),
            place: Place::Changes,
            lines: 0,
            bytes: 0,
            done: false,
        }
    }

    #[test]
    fn one_that_was_cut_off_at_any_moment_goes_on_and_nothing_is_made_up() {
        let path = std::env::temp_dir().join(format!("export-{}", Uuid::new_v4()));
        let open = || Export::open(&path, fresh(), |kept| *kept == fresh() || kept.lines > 0);
        // Before its first line was written, and even before there was a file.
        drop(open().unwrap());
        drop(open().unwrap());
        fs::remove_file(&path).unwrap();
        let mut export = open().unwrap();
        export.line(&"a line").unwrap();
        export.reached(Place::Changes, None).unwrap();
        let finished = export.finish().unwrap();
        assert_eq!(open().unwrap().progress, finished);

        // What an interruption left behind the last member is cut off; what somebody took away is not made up.
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], b"torn"].concat()).unwrap();
        drop(open().unwrap());
        assert_eq!(fs::read(&path).unwrap(), whole);
        fs::write(&path, b"").unwrap();
        assert!(matches!(open(), Err(Failure::Usage(_))));
        fs::remove_file(beside(&path)).unwrap();
        assert!(matches!(open(), Err(Failure::Usage(_))), "a file of somebody else's");
        fs::remove_file(&path).unwrap();
    }
}
