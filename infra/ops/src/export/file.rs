//! The file of an export, and the small one beside it that says how far the export has come.
//!
//! Lines are gathered until they make a member of about a megabyte; it is appended, forced to the disk, and only then
//! is the progress replaced, in one step. Whatever the moment of an interruption, the progress never speaks of bytes
//! that are not there.

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
    /// Goes on with the export in `path`, if one `same` as this was interrupted there; else begins it. A file of
    /// another export is left alone.
    pub fn open(path: &Path, fresh: Progress, same: impl Fn(&Progress) -> bool) -> Result<Self, Failure> {
        let failed = |source| Failure::File { path: path.to_owned(), source };
        let kept = match fs::read(beside(path)) {
            Ok(bytes) => Some(serde_json::from_slice::<Progress>(&bytes).map_err(|e| failed(e.into()))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(failed(error)),
        };
        let other = || Failure::Usage(format!("{} holds something else: name another file", path.display()));
        let (progress, opened) = match kept {
            Some(kept) if same(&kept) => (kept, private().create(true).truncate(false).open(path)),
            Some(_) => return Err(other()),
            // A link that leads nowhere yet is something else, too.
            None if path.symlink_metadata().is_ok() => return Err(other()),
            // Before there is a file: one without progress is somebody else's.
            None => {
                note(path, &fresh)?;
                (fresh, private().create_new(true).open(path))
            }
        };
        let mut file = opened.map_err(failed)?;
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
    let written = private().create(true).truncate(true).open(&partial).and_then(|mut file| file.write_all(&progress));
    written.and_then(|()| fs::rename(&partial, beside(path))).map_err(failed)
}

/// A file to write, for the operator's eyes: it holds a customer's records, or their ids.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// `records.ndjson.gz` → `records.ndjson.gz.progress`.
fn beside(path: &Path) -> PathBuf {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".progress");
    beside.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

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
    fn an_export_and_its_progress_are_the_operators_alone_and_no_link_is_followed() {
        let folder = std::env::temp_dir().join(format!("export-{}", Uuid::new_v4()));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("teams.ndjson.gz");
        let mut export = Export::open(&path, fresh(), |_| true).unwrap();
        export.line(&"a line").unwrap();
        let done = export.finish().unwrap();
        for file in [&path, &beside(&path)] {
            let mode = fs::metadata(file).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}: {mode:o}", file.display());
        }
        assert_eq!(Export::open(&path, fresh(), |kept| *kept == done).unwrap().progress, done, "it can be taken up");

        let (link, target) = (folder.join("link"), folder.join("target"));
        symlink(&target, &link).unwrap();
        assert!(matches!(Export::open(&link, fresh(), |_| true), Err(Failure::Usage(_))));
        assert!(!target.exists());
        fs::remove_dir_all(&folder).unwrap();
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
