//! Exports: every record once, Merge's bytes; then what changed since, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::tether;
use crate::harness::{BOUND, Setup, Snapshot, alone, until};

const MODEL: &str = "hris.Employee";

/// A file that is removed in the end, with the one that says how far it has come.
pub struct Target(PathBuf);

impl Target {
    pub fn new() -> Self {
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("export-{}.ndjson.gz", Uuid::new_v4())))
    }

    pub fn path(&self) -> String {
        self.0.display().to_string()
    }

    /// How many records are in it, each once.
    pub fn count(&self) -> u64 {
        #[derive(serde::Deserialize)]
        struct Line {
            id: String,
        }
        let lines = BufReader::new(MultiGzDecoder::new(File::open(&self.0).expect("the file"))).lines();
        let ids = lines.map(|line| serde_json::from_str::<Line>(&line.expect("gzip")).expect("a line").id);
        let ids: Vec<_> = ids.collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "a record stands there twice");
        ids.len() as u64
    }

    /// Its lines by record id.
    fn lines(&self) -> BTreeMap<String, (Value, Option<String>)> {
        let mut text = String::new();
        MultiGzDecoder::new(File::open(&self.0).expect("the file")).read_to_string(&mut text).expect("gzip");
        #[derive(serde::Deserialize)]
        struct Line<'a> {
            id: String,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        let line = |line: &str| {
            let parsed: Line<'_> = serde_json::from_str(line).expect("a line");
            let value = serde_json::from_str(line).expect("a line");
            (parsed.id, (value, parsed.data.map(|data| data.get().to_owned())))
        };
        text.lines().map(line).collect()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        for path in [self.0.clone(), PathBuf::from(format!("{}.progress", self.path()))] {
            if path.exists() {
                fs::remove_file(path).expect("our own file");
            }
        }
    }
}

#[test]
fn an_export_holds_every_record_and_the_next_one_what_changed() {
    alone(Setup::default, async |system| {
        let api = system.api("org_export").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.idle().await;
        let stored = Snapshot::take(&api, &account.id, &[MODEL]).await.expect("records").contents();

        let full = Target::new();
        let export = ["export", &account.id, "--model", MODEL, "--output", &full.path(), "--json"].map(str::to_owned);
        let export: Vec<_> = export.iter().map(String::as_str).collect();
        let summary = tether(system, &export).await.expect(0).value();
        assert_eq!(summary["lines"], 60);
        let exported = full.lines();
        let theirs: BTreeMap<_, _> = stored.into_iter().map(|((_, id), data)| (id, data)).collect();
        let ours = exported.iter().map(|(id, (_, data))| (id.clone(), data.clone().unwrap_or_default())).collect();
        assert_eq!(theirs, ours, "byte for byte");
        assert_eq!(tether(system, &export).await.expect(0).value(), summary, "once more: it is done");

        // Changed and gone since.
        let changed = system.sandbox().mark(&account.merge_id, "mutate", MODEL, 7).await;
        let gone = system.sandbox().mark(&account.merge_id, "delete-records", MODEL, 3).await;
        system.sandbox().start_sync(&account.merge_id).await;
        until("the changes are stored", BOUND, async || {
            let now = Snapshot::take(&api, &account.id, &[MODEL]).await?;
            if now.tombstones().len() == 3 { Ok(()) } else { Err(format!("{:?}", now.tombstones())) }
        })
        .await;
        system.idle().await;
        let cursor = summary["cursor"].as_str().expect("a cursor");
        let since = Target::new();
        let path = since.path();
        let next = ["export", &account.id, "--model", MODEL, "--since", cursor, "--output", &path, "--json"];
        tether(system, &next).await.expect(0);
        let lines = since.lines();
        let expected: BTreeSet<_> = changed.iter().chain(&gone).cloned().collect();
        assert_eq!(lines.keys().cloned().collect::<BTreeSet<_>>(), expected);
        for id in &gone {
            let (line, _) = &lines[id];
            assert_eq!(
                (&line["action"], &line["deleted"], &line["data"]),
                (&"deleted".into(), &true.into(), &Value::Null)
            );
        }
        let other = ["export", &account.id, "--model", "hris.Team", "--output", &path, "--json"];
        assert_eq!(tether(system, &other).await.code, 3, "a file of another export is left alone");
    });
}
