//! The commands that repair: each says what it would do, asks or takes `--yes`, and leaves a note in the timeline.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use shared::domain::ids::{AccountId, MergeLinkedAccountId, OrganizationId};

use super::{Selection, account, organization};

/// Of commands that change something.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Consent {
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub enum IssueAction {
    /// Somebody knows of it: nobody is told again until it comes back
    Ack(Acknowledge),
}

#[derive(Debug, Args)]
pub struct Acknowledge {
    /// Merge's id of the issue, as the list shows it
    #[arg(value_name = "ISSUE")]
    pub issue: String,
    /// Whose it is; without it every account is looked through
    #[arg(long, value_parser = account)]
    pub account: Option<AccountId>,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
pub struct Replay {
    /// The account; `--all` in its place for many
    #[arg(value_parser = account, required_unless_present = "all", conflicts_with = "all")]
    pub account: Option<AccountId>,
    /// Every connected account, or those of --organization and --category
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub selection: Selection,
    /// Only these models, such as hris.Employee
    #[arg(long = "model", value_name = "MODEL")]
    pub models: Vec<String>,
    /// Fetch again what changed since this time; what lies before stays as it is
    #[arg(long, value_name = "TIME", conflicts_with = "full")]
    pub since: Option<Timestamp>,
    /// Read everything again and find out what is gone
    #[arg(long)]
    pub full: bool,
    /// Accounts a second
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rate: u32,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// Show them by cause, organization and age; nothing is changed
    List(Letters),
    /// Send them to the worker again
    Redrive(Redrive),
    /// Keep them in a file and take them away
    Discard(Discard),
}

/// Which dead letters.
#[derive(Debug, Clone, Default, Args)]
pub struct Letters {
    /// Only of this cause, as `list` shows it
    #[arg(long)]
    pub cause: Option<String>,
    /// Only this organization's
    #[arg(long, value_name = "ID", value_parser = organization)]
    pub organization: Option<OrganizationId>,
    /// Only those sent before this time
    #[arg(long, value_name = "TIME")]
    pub before: Option<Timestamp>,
}

#[derive(Debug, Args)]
pub struct Redrive {
    #[command(flatten)]
    pub letters: Letters,
    /// Messages a second
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=300))]
    pub rate: u32,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
pub struct Discard {
    #[command(flatten)]
    pub letters: Letters,
    /// Append them here first, one JSON object per line
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// Messages a second
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=300))]
    pub rate: u32,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Subcommand)]
pub enum Brake {
    /// Show them: how many, of how many, and some of the records
    Show(BrakeShow),
    /// Delete them, if a full read still misses no more than these
    Approve(HeldDeletions),
    /// Keep the records, until a full read misses them again
    Discard(HeldDeletions),
    /// The system to which a relink led is the one that is meant: let deletions happen again
    Release(Release),
}

#[derive(Debug, Args)]
pub struct Release {
    #[arg(value_parser = account)]
    pub account: AccountId,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
pub struct BrakeShow {
    /// Of this account only
    #[arg(value_parser = account)]
    pub account: Option<AccountId>,
    #[command(flatten)]
    pub selection: Selection,
}

#[derive(Debug, Args)]
pub struct HeldDeletions {
    #[arg(value_parser = account)]
    pub account: AccountId,
    /// Such as hris.Employee
    #[arg(long)]
    pub model: String,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Subcommand)]
pub enum Orphans {
    /// Show them, and what can be done about each
    List,
    /// Write the owner row of an account of ours that lost it, or take up a link again whose webhook waits for it
    Adopt(Orphan),
    /// Mark an account as disconnected that Merge has not had for an hour, or remove an owner row that leads nowhere
    Delete(Orphan),
}

#[derive(Debug, Args)]
pub struct Orphan {
    /// Merge's id of the linked account
    #[arg(value_name = "MERGE_ID", value_parser = merge_id)]
    pub merge_id: MergeLinkedAccountId,
    #[command(flatten)]
    pub consent: Consent,
}

fn merge_id(text: &str) -> Result<MergeLinkedAccountId, String> {
    MergeLinkedAccountId::parse(text).map_err(|error| error.to_string())
}

#[derive(Debug, Subcommand)]
pub enum Rotate {
    /// Take a new webhook key beside the old; once Merge signs with it, --finish lets go of the old
    WebhookKey(RotateWebhookKey),
    /// Have Merge make new account tokens; the old ones are worth nothing from then on
    AccountToken(RotateAccountToken),
    /// Encrypt every account token again with the current key of the stack
    KmsKey(RotateKmsKey),
}

#[derive(Debug, Args)]
pub struct RotateWebhookKey {
    /// The new key, as Merge's dashboard shows it, in a file of its own
    #[arg(long, value_name = "FILE", required_unless_present = "finish", conflicts_with = "finish")]
    pub key_file: Option<PathBuf>,
    /// Keep the newest key only
    #[arg(long)]
    pub finish: bool,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
pub struct RotateAccountToken {
    /// The account; `--all` in its place for many
    #[arg(value_parser = account, required_unless_present = "all", conflicts_with = "all")]
    pub account: Option<AccountId>,
    /// Every connected account, or those of --organization and --category
    #[arg(long, requires = "state")]
    pub all: bool,
    #[command(flatten)]
    pub selection: Selection,
    /// Where to note which accounts are done, so that an interrupted run goes on
    #[arg(long, value_name = "FILE", required_unless_present = "account")]
    pub state: Option<PathBuf>,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
pub struct RotateKmsKey {
    #[command(flatten)]
    pub selection: Selection,
    /// Where to note which accounts are done, so that an interrupted run goes on; a move to another key needs none
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    /// Accounts a second; each takes up to four calls of the key service
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rate: u32,
    #[command(flatten)]
    pub consent: Consent,
}
