//! The runbook: each alarm leads to a section, each section to a command, and each command exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ops::cli::Cli;

/// What the runbook writes where a value goes, and one that fits.
const PLACEHOLDERS: [(&str, &str); 7] = [
    ("ACCOUNT", "3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11"),
    ("MERGE_ID", "0b1e5a0e-1111-4222-8333-444455556666"),
    ("MODEL", "hris.Employee"),
    ("TIME", "2026-11-20T00:00:00Z"),
    ("FILE", "file.txt"),
    ("PORT", "3000"),
    ("NAME", "tether"),
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `tether …` between backticks, in the order of the text: a line of a block, or a phrase that may be broken over
/// lines.
fn commands(text: &str) -> Vec<String> {
    let code = text.split('`').skip(1).step_by(2);
    let lines = code.flat_map(|code| match code.strip_prefix("sh\n") {
        Some(block) => block.lines().map(str::to_owned).collect(),
        None => vec![code.split_whitespace().collect::<Vec<_>>().join(" ")],
    });
    // Without the remark behind it.
    let lines = lines.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned());
    lines.filter(|line| line.starts_with("tether ")).collect()
}

/// Sections by their title, in lower case.
fn sections(text: &str) -> BTreeMap<String, String> {
    let sections = text.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap_or((section, "")));
    sections.map(|(title, body)| (title.trim().to_lowercase(), body.to_owned())).collect()
}

fn parsed(command: &str) -> Result<Cli, String> {
    let filled = command.split_whitespace().map(|word| {
        let value = PLACEHOLDERS.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
        value.unwrap_or(word).to_owned()
    });
    Cli::of(filled).map_err(|error| format!("{command}: {error}"))
}

#[test]
fn every_alarm_leads_to_a_section_and_every_section_to_a_command() {
    let runbook = sections(&read("docs/runbook.md"));
    let template = read("infra/template.yaml");
    let alarms = template.lines().filter_map(|line| line.trim().strip_prefix("AlarmDescription:"));
    let mut told = BTreeSet::new();
    for alarm in alarms {
        let (_, section) = alarm.rsplit_once("see the runbook, ").unwrap_or_else(|| panic!("names no section:{alarm}"));
        let body = runbook.get(&section.to_lowercase()).unwrap_or_else(|| panic!("no section for:{alarm}"));
        assert!(!commands(body).is_empty(), "the section {section} names no command");
        told.insert(section.to_lowercase());
    }
    assert!(told.len() > 15, "the alarms were found: {told:?}");
}

#[test]
fn every_command_that_the_documents_name_exists() {
    let documents = ["docs/runbook.md", "docs/operate.md", "docs/deploy.md", "README.md"];
    let named: Vec<String> = documents.iter().flat_map(|path| commands(&read(path))).collect();
    assert!(named.len() > 25, "the commands were found: {named:?}");
    let wrong: Vec<String> = named.iter().filter_map(|command| parsed(command).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Commands between backticks in source text, with what is filled in at run time.
fn advised(source: &str) -> Vec<String> {
    let quoted = source.split("`tether ").skip(1).filter_map(|rest| rest.split_once('`'));
    let filled = quoted.map(|(command, _)| {
        command.replace("{}", "MERGE_ID").replace("{model}", "MODEL").replace("{from}", "TIME").replace('\\', " ")
    });
    filled.map(|command| format!("tether {}", command.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

#[test]
fn every_command_that_the_tool_itself_advises_exists() {
    let sources = ["doctor/mod.rs", "doctor/account.rs", "doctor/stack.rs", "doctor/tiling.rs", "doctor/sample.rs"];
    let sources = sources.into_iter().chain(["brake.rs", "rotate/account_token.rs", "rotate/kms_key.rs"]);
    let named: Vec<String> = sources
        .flat_map(|path| advised(&read(&format!("infra/ops/src/{path}"))))
        // What names a command as a whole, in the head of a function.
        .filter(|command| !matches!(command.as_str(), "tether doctor" | "tether brake"))
        .collect();
    assert!(named.len() > 15, "the commands were found: {named:?}");
    let wrong: Vec<String> = named.iter().filter_map(|command| parsed(command).err()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_command_that_does_not_exist_is_noticed() {
    assert_eq!(commands("see `tether doctor ACCOUNT` or `aws sqs`"), ["tether doctor ACCOUNT"]);
    assert!(parsed("tether doctor ACCOUNT").is_ok());
    assert!(parsed("tether cure ACCOUNT").is_err());
    assert!(parsed("tether replay ACCOUNT --modle MODEL").is_err());
}
