//! The security checklist: fifty attacks and faults, each a named test, and the table of `SECURITY.md` that lists them.
//!
//! A test is the checklist's when its name holds the number: `checklist_07_…` in Rust and Python, `checklist 44: …` in
//! the browser's. The table names every one of them and nothing else, so that neither grows without the other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Items of the checklist.
const ITEMS: std::ops::RangeInclusive<u8> = 1..=50;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

/// Tracked files, and those that will be.
fn files() -> Vec<String> {
    let mut git = Command::new("git");
    git.args(["-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed = git.current_dir(root()).output().expect("git lists the files");
    let names = String::from_utf8(listed.stdout).expect("names are UTF-8");
    let names: Vec<_> = names.lines().map(str::to_owned).collect();
    assert!(names.len() > 100, "the files were found");
    names
}

/// The number that stands after `before` in a test's name.
fn number(text: &str, before: &str) -> Option<u8> {
    text.strip_prefix(before)?.get(..2)?.parse().ok()
}

/// Names of the tests by item, read from the files that hold tests.
fn tests() -> BTreeMap<u8, BTreeSet<String>> {
    let mut found: BTreeMap<u8, BTreeSet<String>> = BTreeMap::new();
    for file in files() {
        let text = if file.ends_with(".rs") || file.ends_with(".py") || file.ends_with(".test.js") {
            read(&file)
        } else {
            continue;
        };
        for line in text.lines().map(str::trim) {
            let name = line.strip_prefix("async ").unwrap_or(line);
            let rust = name.strip_prefix("fn ").and_then(|name| name.split('(').next());
            let python = name.strip_prefix("def test_").and_then(|name| name.split('(').next());
            let browser = name.strip_prefix("test(\"").and_then(|name| name.split('"').next());
            for (name, before) in [(rust, "checklist_"), (python, "checklist_"), (browser, "checklist ")] {
                if let Some(item) = name.and_then(|name| number(name, before)) {
                    found.entry(item).or_default().insert(name.unwrap_or_default().to_owned());
                }
            }
        }
    }
    found
}

/// Rows of the table: `| 7 | what | `test`, `test` | result |`.
fn table() -> BTreeMap<u8, (BTreeSet<String>, String)> {
    let text = read("SECURITY.md");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let item = cells.next()?.parse().ok()?;
        let (_, tests, result) = (cells.next()?, cells.next()?, cells.next()?);
        let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Some((item, (tests, result.to_owned())))
    });
    rows.collect()
}

#[test]
fn every_item_of_the_checklist_has_a_test_that_the_table_names() {
    let (tests, table) = (tests(), table());
    for item in ITEMS {
        let named = tests.get(&item).unwrap_or_else(|| panic!("no test is named checklist_{item:02}_…"));
        let (listed, result) = table.get(&item).unwrap_or_else(|| panic!("SECURITY.md has no row for item {item}"));
        assert_eq!(named, listed, "item {item}: the tests, and those that SECURITY.md names");
        assert!(!result.is_empty(), "item {item} has no result in SECURITY.md");
    }
    let outside: Vec<_> = tests.keys().chain(table.keys()).filter(|item| !ITEMS.contains(item)).collect();
    assert!(outside.is_empty(), "there is no item {outside:?}");
}
