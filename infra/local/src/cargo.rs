//! Cargo: builds the functions' binaries and says where they are.
//!
//! The nested build uses the workspace's own target directory, so what is built already is not built
//! again. Progress is drawn from Cargo's JSON messages; compiler errors are shown as Cargo renders them.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::lambda::process;

/// Which profile to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Dev,
    /// That of a deployment, for this machine's processor.
    Release,
}

impl Profile {
    /// What is built: the functions. In the dev profile with everything else, so that their dependencies have the
    /// features which tests and `cargo dev` itself were built with and nothing is compiled twice; for release alone, as
    /// they are deployed.
    fn selected(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &["--workspace", "--bins"],
            Self::Release => &["--package", "functions", "--bins", "--release"],
        }
    }

    /// The packages that this compiles.
    fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &["--workspace"],
            Self::Release => &["--package", "functions"],
        }
    }
}

#[derive(Debug, Error)]
pub enum BuildError {
    #[error("cargo was not found: install Rust from https://rustup.rs and run this again")]
    NoCargo,
    #[error(
        "no C compiler was found: install one (on Debian and Ubuntu `apt-get install build-essential`) and run this again"
    )]
    NoCompiler,
    #[error("the functions do not build: Cargo's errors stand above")]
    Failed,
    #[error("cargo could not be run: {0}")]
    Io(#[from] std::io::Error),
}

/// What this module reads of Cargo's messages.
#[derive(Deserialize)]
struct Message {
    reason: String,
    package_id: Option<String>,
    executable: Option<PathBuf>,
    target: Option<Target>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds the functions of the workspace at `root` and returns their executables by binary name.
///
/// # Errors
///
/// One sentence; the compiler's own errors are on standard error by then.
pub async fn build(root: &Path, profile: Profile) -> Result<BTreeMap<String, PathBuf>, BuildError> {
    let bar = progress(packages(root, profile).await);
    let mut command = cargo(root).map_err(|_| BuildError::NoCargo)?;
    command.args(["build", "--message-format", "json-render-diagnostics"]).args(profile.selected());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut group = Group::spawn(command).await?;
    let (stdout, stderr) = (group.child.stdout.take(), group.child.stderr.take());

    let complaints = tokio::spawn(async move {
        let mut text = String::new();
        match stderr {
            Some(mut stderr) => stderr.read_to_string(&mut text).await.map(|_| text),
            None => Ok(text),
        }
    });
    let mut executables = BTreeMap::new();
    let mut built = HashSet::new();
    if let Some(stdout) = stdout {
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await? {
            let Ok(message) = serde_json::from_str::<Message>(&line) else {
                continue;
            };
            if message.reason != "compiler-artifact" {
                continue;
            }
            if let (Some(target), Some(executable)) = (&message.target, message.executable)
                && target.kind.iter().any(|kind| kind == "bin")
            {
                executables.insert(target.name.clone(), executable);
            }
            if built.insert(message.package_id.unwrap_or_default()) {
                bar.set_message(message.target.map(|target| target.name).unwrap_or_default());
                bar.inc(1);
            }
        }
    }
    let status = group.child.wait().await?;
    group.ended();
    bar.finish_and_clear();
    let complaints = complaints.await.map_err(std::io::Error::other)??;
    if status.success() {
        return Ok(executables);
    }
    if is_missing_compiler(&complaints) {
        return Err(BuildError::NoCompiler);
    }
    let diagnostics = complaints.lines().skip_while(|line| !line.starts_with("error") && !line.starts_with("warning"));
    diagnostics.for_each(|line| eprintln!("{line}"));
    Err(BuildError::Failed)
}

/// A child with all that it starts; dropped before its end, it is interrupted as by Ctrl-C.
struct Group {
    child: Child,
    id: Option<Pid>,
}

impl Group {
    async fn spawn(command: Command) -> Result<Self, BuildError> {
        let child = process::spawn(command).await?;
        let id = child.id().and_then(|id| Pid::from_raw(id as i32));
        Ok(Self { child, id })
    }

    fn ended(&mut self) {
        self.id = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // It may have ended by itself in the meantime.
            kill_process_group(id, Signal::INT).ok();
        }
    }
}

/// Variables by which an outer `cargo run` or `cargo test` says things about another package.
pub fn of_another_package() -> impl Iterator<Item = OsString> {
    std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let text = name.to_string_lossy();
        let named = matches!(&*text, "LD_LIBRARY_PATH" | "OUT_DIR");
        named || text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_")
    })
}

/// Cargo, in the workspace.
fn cargo(root: &Path) -> std::io::Result<Command> {
    let mut command = process::command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))?;
    command.current_dir(root);
    for name in of_another_package() {
        command.env_remove(name);
    }
    Ok(command)
}

/// How many packages the functions consist of; `None` when Cargo does not say.
async fn packages(root: &Path, profile: Profile) -> Option<u64> {
    let mut command = cargo(root).ok()?;
    command.arg("tree").args(profile.packages());
    command.args(["--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let output = command.stdin(Stdio::null()).output().await.ok().filter(|output| output.status.success())?;
    let names = String::from_utf8_lossy(&output.stdout);
    let distinct: HashSet<_> = names.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    Some(distinct.len() as u64)
}

/// On a terminal a bar, elsewhere one line.
fn progress(total: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::new(total.unwrap_or_default());
    if bar.is_hidden() {
        eprintln!("Building the functions ...");
        return bar;
    }
    let style = match total {
        Some(_) => "Building the functions [{bar:30}] {pos}/{len} {wide_msg}",
        None => "Building the functions {spinner} {pos} {wide_msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn is_missing_compiler(complaints: &str) -> bool {
    let linker = complaints.contains("linker `") && complaints.contains("not found");
    linker || complaints.contains("failed to find tool") || complaints.contains("is `cc` not installed")
}

#[cfg(test)]
mod tests {
    use super::is_missing_compiler;

    #[test]
    fn a_missing_compiler_is_told_from_broken_code() {
        assert!(is_missing_compiler("error: linker `cc` not found\n  |\n  = note: No such file or directory"));
        assert!(is_missing_compiler("error occurred in cc-rs: failed to find tool \"cc\": No such file"));
        assert!(!is_missing_compiler("error[E0425]: cannot find value `linker` in this scope"));
    }
}
