//! Notes of a rotation: which accounts are done, and which are under way, in a file that an interrupted run is taken up
//! from. One JSON object per line, appended; a line that was cut off by the interruption says nothing. The first line
//! says what is rotated: an account that is done with one rotation is not with another.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::domain::ids::AccountId;
use uuid::Uuid;

use crate::failure::Failure;

/// What is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rotation {
    AccountToken,
    KmsKey,
}

/// What was asked for an account, and what stood there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub request: Uuid,
    /// Digest of the ciphertext.
    pub before: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
enum Note {
    Rotation {
        of: Rotation,
    },
    Asked {
        account: AccountId,
        #[serde(flatten)]
        asked: Asked,
    },
    Done {
        account: AccountId,
    },
}

/// See the module. Without a file, notes are as long as the run.
#[derive(Default)]
pub struct Notes {
    file: Option<(PathBuf, RefCell<File>)>,
    done: RefCell<HashSet<AccountId>>,
    asked: RefCell<HashMap<AccountId, Asked>>,
}

impl Notes {
    /// Takes up what an earlier run noted in `path`, and goes on with it.
    pub fn open(path: &Path, of: Rotation) -> Result<Self, Failure> {
        let (notes, text) = Self::of_file(path, of)?;
        let failed = |source| Failure::File { path: path.to_owned(), source };
        // For the operator's eyes: it names accounts.
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n").map_err(failed)?;
        }
        let notes = Self { file: Some((path.to_owned(), RefCell::new(file))), ..notes };
        if text.is_empty() {
            notes.add(Note::Rotation { of })?;
        }
        Ok(notes)
    }

    /// What an earlier run noted in `path`, for one that does nothing.
    pub fn read(path: &Path, of: Rotation) -> Result<Self, Failure> {
        Ok(Self::of_file(path, of)?.0)
    }

    fn of_file(path: &Path, of: Rotation) -> Result<(Self, String), Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(Failure::File { path: path.to_owned(), source }),
        };
        let notes = Self::default();
        for note in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            if matches!(note, Note::Rotation { of: other } if other != of) {
                let what = format!("{} has the notes of another rotation: name another file", path.display());
                return Err(Failure::Usage(what));
            }
            notes.learn(note);
        }
        Ok((notes, text))
    }

    pub fn is_done(&self, account: AccountId) -> bool {
        self.done.borrow().contains(&account)
    }

    pub fn asked(&self, account: AccountId) -> Option<Asked> {
        self.asked.borrow().get(&account).cloned()
    }

    pub fn ask(&self, account: AccountId, asked: Asked) -> Result<(), Failure> {
        self.add(Note::Asked { account, asked })
    }

    pub fn done(&self, account: AccountId) -> Result<(), Failure> {
        self.add(Note::Done { account })
    }

    fn add(&self, note: Note) -> Result<(), Failure> {
        if let Some((path, file)) = &self.file {
            let mut line = serde_json::to_vec(&note).map_err(io::Error::from)?;
            line.push(b'\n');
            let written = file.borrow_mut().write_all(&line);
            written.map_err(|source| Failure::File { path: path.clone(), source })?;
        }
        self.learn(note);
        Ok(())
    }

    fn learn(&self, note: Note) {
        match note {
            Note::Rotation { .. } => {}
            Note::Asked { account, asked } => drop(self.asked.borrow_mut().insert(account, asked)),
            Note::Done { account } => drop(self.done.borrow_mut().insert(account)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_forgotten_and_the_next_is_whole() {
        let path = std::env::temp_dir().join(format!("notes-{}", Uuid::new_v4()));
        let [first, second, third] = [1, 2, 3].map(|n| AccountId::new(Uuid::from_u128(n)));
        let asked = Asked { request: Uuid::from_u128(7), before: "ab".to_owned() };
        let notes = Notes::open(&path, Rotation::AccountToken).unwrap();
        notes.done(first).unwrap();
        notes.ask(second, asked.clone()).unwrap();
        notes.done(third).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 5]).unwrap();

        let again = Notes::open(&path, Rotation::AccountToken).unwrap();
        assert_eq!((again.is_done(first), again.is_done(second), again.is_done(third)), (true, false, false));
        assert_eq!(again.asked(second), Some(asked));
        again.done(third).unwrap();
        assert!(Notes::open(&path, Rotation::AccountToken).unwrap().is_done(third));
        assert!(Notes::open(&path, Rotation::KmsKey).is_err(), "it is done with another rotation");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn looking_makes_no_file() {
        let path = std::env::temp_dir().join(format!("notes-{}", Uuid::new_v4()));
        assert!(!Notes::read(&path, Rotation::KmsKey).unwrap().is_done(AccountId::new(Uuid::from_u128(1))));
        assert!(!path.exists());
    }
}
