//! The command line: every command of the tool, its options and its help.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use shared::domain::account::AccountStatus;
use shared::domain::category::Category;
use shared::domain::health::{Actor, HealthState};
use shared::domain::ids::{AccountId, OrganizationId};
use shared::domain::issue::IssueKind;

use crate::connection::Source;

mod repair;
mod words;

pub use repair::{
    Acknowledge, Brake, BrakeShow, Consent, DeadLetters, Discard, HeldDeletions, IssueAction, Letters, Orphan, Orphans,
    Redrive, Release, Replay, Rotate, RotateAccountToken, RotateKmsKey, RotateWebhookKey,
};

const ENVIRONMENT: &str = "\
Which stack: --stack reads the outputs of a CloudFormation stack, --local asks the running `cargo dev`; with neither, the
stack's variables (ACCOUNTS_TABLE, QUEUE_URL ...) are read from the environment. Credentials and region are always the
environment's: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION.

Exit codes: 0 nothing is wrong, 1 the worst finding is a warning, 2 something is broken, 3 the command could not do its
work, 64 the command line is wrong.";

/// Looks after a Tether stack: what is wrong, since when, and what to do about it.
#[derive(Debug, Parser)]
#[command(name = "tether", version, after_help = ENVIRONMENT, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    pub target: Target,
    /// Write JSON: one object per line
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
pub struct Target {
    /// Work on this CloudFormation stack
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "local")]
    pub stack: Option<String>,
    /// Work on the running `cargo dev`
    #[arg(long, global = true)]
    pub local: bool,
    /// First port of the local stack
    #[arg(long, global = true, default_value_t = 9000, value_name = "PORT")]
    pub port_base: u16,
}

impl Cli {
    /// Reads arguments, the program's name first. The error is help, a version, or what is wrong.
    pub fn of<T: Into<OsString> + Clone>(arguments: impl IntoIterator<Item = T>) -> Result<Self, clap::Error> {
        Self::try_parse_from(arguments)
    }
}

impl Target {
    pub fn source(&self) -> Source {
        match &self.stack {
            Some(name) => Source::Stack(name.clone()),
            None if self.local => Source::Local(self.port_base),
            None => Source::Environment,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check everything, from the API key to each account's windows
    #[command(
        after_help = "Examples:\n  tether --stack prod doctor\n  tether --local doctor 3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11 --json"
    )]
    Doctor(Doctor),
    /// List linked accounts
    #[command(
        after_help = "Examples:\n  tether accounts --organization org_acme\n  tether accounts --health action_needed --actor end_user"
    )]
    Accounts(Accounts),
    /// Show one account: state, issues, models, windows, timeline
    #[command(after_help = "Example:\n  tether account 3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11 --windows")]
    Account(Account),
    /// List what Merge reports as broken, or acknowledge it
    #[command(
        after_help = "Examples:\n  tether issues --type bad_api_key --organization org_acme\n  tether issues ack 5b1d7f0a-2222-4333-8444-555566667777"
    )]
    Issues(Issues),
    /// Who must act, and what to send them
    #[command(
        after_help = "Examples:\n  tether inbox\n  tether inbox --organization org_acme --actor end_user --links\n  tether inbox --account 3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11 --links"
    )]
    Inbox(Inbox),
    /// Fetch again: an account's changes, a model, a stretch of time, or everything
    #[command(
        after_help = "Examples:\n  tether replay 3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11\n  tether replay 3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11 --model hris.Employee --since 2026-11-20T00:00:00Z\n  tether replay --all --organization org_acme --since 2026-11-20T00:00:00Z --yes"
    )]
    Replay(Replay),
    /// Messages that the worker could not handle
    #[command(
        subcommand,
        after_help = "Examples:\n  tether dead-letters list\n  tether dead-letters redrive --dry-run\n  tether dead-letters discard --file dead.ndjson --cause unreadable"
    )]
    DeadLetters(DeadLetters),
    /// Deletions that are held because so many at once look like a lost permission
    #[command(
        subcommand,
        after_help = "Examples:\n  tether brake show\n  tether brake approve 3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11 --model accounting.PaymentTerm\n  tether brake discard 3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11 --model accounting.PaymentTerm\n  tether brake release 3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11"
    )]
    Brake(Brake),
    /// Accounts that only Merge or only we have
    #[command(
        subcommand,
        after_help = "Examples:\n  tether orphans list\n  tether orphans adopt 0b1e5a0e-1111-4222-8333-444455556666\n  tether orphans delete 0b1e5a0e-1111-4222-8333-444455556666"
    )]
    Orphans(Orphans),
    /// How fresh the copies are, how healthy the accounts, how many the records
    #[command(after_help = "Example:\n  tether stats --category hris")]
    Stats(Stats),
    /// Deliver a staging stack's webhooks to a port of this machine
    #[command(after_help = "Example:\n  tether --stack staging relay --port 3000 --path /webhooks")]
    Relay(Relay),
    /// Replace keys and tokens, step by step
    #[command(
        subcommand,
        after_help = "Run it again after an interruption: it goes on where it was.\n\nExamples:\n  tether rotate webhook-key --key-file new-key.txt\n  tether rotate webhook-key --finish\n  tether rotate account-token 3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11\n  tether rotate account-token --all --organization org_acme --state rotated.txt\n  tether rotate kms-key --state reencrypted.txt"
    )]
    Rotate(Rotate),
    /// Write a model's records, or their changes, to a compressed file
    #[command(
        after_help = "Run it again after an interruption: it goes on where it was.\n\nExamples:\n  tether export 3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11 --model hris.Employee --output employees.ndjson.gz\n  tether export 3f1d3a52-6a0e-4f1c-9b1e-2a5a7a1c0d11 --model hris.Employee --since CURSOR --output changes.ndjson.gz"
    )]
    Export(Export),
    /// Write shell completion to standard output
    #[command(after_help = "Example:\n  tether completion bash > /etc/bash_completion.d/tether")]
    Completion { shell: clap_complete::Shell },
    /// Write the manual page to standard output
    #[command(after_help = "Example:\n  tether man > tether.1")]
    Man,
}

impl Command {
    /// It changes nothing: that somebody reads its answer only in part, as `| head` does, takes nothing from it.
    pub fn only_looks(&self) -> bool {
        let consent = match self {
            Self::Replay(asked) => &asked.consent,
            Self::Issues(Issues { action: Some(IssueAction::Ack(asked)), .. }) => &asked.consent,
            Self::DeadLetters(DeadLetters::Redrive(asked)) => &asked.consent,
            Self::DeadLetters(DeadLetters::Discard(asked)) => &asked.consent,
            Self::Brake(Brake::Approve(asked) | Brake::Discard(asked)) => &asked.consent,
            Self::Brake(Brake::Release(asked)) => &asked.consent,
            Self::Orphans(Orphans::Adopt(asked) | Orphans::Delete(asked)) => &asked.consent,
            Self::Rotate(Rotate::WebhookKey(asked)) => &asked.consent,
            Self::Rotate(Rotate::AccountToken(asked)) => &asked.consent,
            Self::Rotate(Rotate::KmsKey(asked)) => &asked.consent,
            _ => return true,
        };
        consent.dry_run
    }
}

/// Which accounts.
#[derive(Debug, Clone, Default, Args)]
pub struct Selection {
    /// Only this organization's
    #[arg(long, value_name = "ID", value_parser = organization)]
    pub organization: Option<OrganizationId>,
    /// Only this category's
    #[arg(long, value_parser = words::parser::<Category>())]
    pub category: Option<Category>,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Check this account, with a sample of its records; else the stack and its accounts
    #[arg(value_parser = account)]
    pub account: Option<AccountId>,
    #[command(flatten)]
    pub selection: Selection,
    /// Check at most so many accounts
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    pub limit: usize,
    /// A copy this much older than Merge's is stale (default: twice the account's polling interval)
    #[arg(long, value_name = "MINUTES")]
    pub stale_after: Option<u32>,
    /// Compare the records of so many models with Merge's, the smallest first
    #[arg(long, default_value_t = 3, value_name = "MODELS")]
    pub sample: usize,
}

#[derive(Debug, Args)]
pub struct Accounts {
    #[command(flatten)]
    pub selection: Selection,
    /// Only in this state of health
    #[arg(long, value_name = "STATE", value_parser = words::parser::<HealthState>())]
    pub health: Option<HealthState>,
    /// Only those about which this person can do something
    #[arg(long, value_parser = words::parser::<Actor>())]
    pub actor: Option<Actor>,
    /// Only of this status of Merge's or ours, such as RELINK_NEEDED
    #[arg(long, value_parser = status)]
    pub status: Option<AccountStatus>,
}

#[derive(Debug, Args)]
pub struct Account {
    /// Ours, as the API shows it
    #[arg(value_parser = account)]
    pub account: AccountId,
    /// Also list the finished windows
    #[arg(long)]
    pub windows: bool,
    /// Latest events to show
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub events: usize,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Issues {
    #[command(subcommand)]
    pub action: Option<IssueAction>,
    #[command(flatten)]
    pub selection: Selection,
    /// Only of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = words::texts::<IssueKind>())]
    pub kind: Option<String>,
    /// Also those that are muted at Merge
    #[arg(long)]
    pub muted: bool,
    /// Also those that somebody has acknowledged
    #[arg(long)]
    pub acknowledged: bool,
}

#[derive(Debug, Args)]
pub struct Inbox {
    #[command(flatten)]
    pub selection: Selection,
    /// Only what this person can do
    #[arg(long, value_parser = words::parser::<Actor>())]
    pub actor: Option<Actor>,
    /// This account, even if nobody has anything to do about it
    #[arg(long, value_parser = account, conflicts_with_all = ["organization", "category"])]
    pub account: Option<AccountId>,
    /// Ask Merge for a link with which the end user can reconnect; it opens the account for whoever has it
    #[arg(long)]
    pub links: bool,
}

#[derive(Debug, Args)]
pub struct Stats {
    #[command(flatten)]
    pub selection: Selection,
}

#[derive(Debug, Args)]
pub struct Relay {
    /// The port that somebody listens on
    #[arg(long, value_name = "PORT")]
    pub port: u16,
    /// The path to post to
    #[arg(long, default_value = "/")]
    pub path: String,
    /// Stop once so many were answered
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Export {
    /// Ours, as the API shows it
    #[arg(value_parser = account)]
    pub account: AccountId,
    /// Such as hris.Employee
    #[arg(long)]
    pub model: String,
    /// The file, NDJSON compressed with gzip
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// Only what changed since; an earlier export printed it
    #[arg(long, value_name = "CURSOR")]
    pub since: Option<String>,
    /// Also records that are gone, without their data
    #[arg(long)]
    pub deleted: bool,
}

fn account(text: &str) -> Result<AccountId, String> {
    AccountId::parse(text).map_err(|error| error.to_string())
}

fn organization(text: &str) -> Result<OrganizationId, String> {
    OrganizationId::parse(text).map_err(|error| error.to_string())
}

fn status(text: &str) -> Result<AccountStatus, String> {
    use AccountStatus::*;
    let all = [Complete, RelinkNeeded, Idle, Deleting, Deleted];
    let found = all.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(text));
    found.ok_or_else(|| format!("one of {}", all.map(AccountStatus::as_str).join(", ")))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_stack_is_named_in_one_way() {
        let source = |arguments: &[&str]| {
            let cli = Cli::try_parse_from(["tether"].iter().chain(arguments).chain(&["accounts"]));
            cli.map(|cli| cli.target.source()).map_err(|error| error.kind())
        };
        assert_eq!(source(&[]), Ok(Source::Environment));
        assert_eq!(source(&["--stack", "prod"]), Ok(Source::Stack("prod".to_owned())));
        assert_eq!(source(&["--local", "--port-base", "9100"]), Ok(Source::Local(9100)));
        assert_eq!(source(&["--local", "--stack", "a"]), Err(clap::error::ErrorKind::ArgumentConflict));
    }

    /// Every command that people can type has a page of help with a purpose in it.
    #[test]
    fn every_command_says_what_it_is_for() {
        fn walk(command: &clap::Command) {
            for inner in command.get_subcommands() {
                assert!(inner.get_about().is_some(), "{}", inner.get_name());
                walk(inner);
            }
        }
        walk(&Cli::command());
    }

    /// What the help shows can be typed.
    #[test]
    fn every_example_is_a_command() {
        fn examples(command: &clap::Command, found: &mut Vec<String>) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            // Without where its output goes.
            let lines = help.lines().filter_map(|line| line.strip_prefix("  ")?.split(" > ").next().map(str::to_owned));
            found.extend(lines);
            command.get_subcommands().for_each(|inner| examples(inner, found));
        }
        let mut found = Vec::new();
        examples(&Cli::command(), &mut found);
        assert!(found.len() > 25, "the examples were found: {found:?}");
        let fault = |line: &String| Cli::of(line.split_whitespace()).err().map(|error| format!("{line}: {error}"));
        assert_eq!(found.iter().filter_map(fault).collect::<Vec<_>>(), Vec::<String>::new());
    }

    /// What is not known to look only takes a yes, and says beforehand what it would do.
    #[test]
    fn whatever_changes_something_asks() {
        const LOOKING: [&str; 14] = [
            "doctor",
            "accounts",
            "account",
            "issues",
            "inbox",
            "list",
            "show",
            "stats",
            "relay",
            "export",
            "completion",
            "man",
            "help",
            "tether",
        ];
        fn walk(command: &clap::Command) {
            let flag = |name: &str| command.get_arguments().any(|argument| argument.get_id() == name);
            let leaf = command.get_subcommands().all(|inner| inner.get_name() == "help");
            let asks = flag("yes") && flag("dry_run");
            assert!(!leaf || asks != LOOKING.contains(&command.get_name()), "{}", command.get_name());
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }
}
