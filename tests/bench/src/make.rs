//! Making the contenders: release binaries in the shape in which `sam build` ships them, and a Python environment.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A build that is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// As the tests make it: nothing is compiled that they have not compiled.
    Tests,
    /// As it ships.
    Release,
}

impl Build {
    /// Its name, and its folder under `target/`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tests => "debug",
            Self::Release => "release",
        }
    }
}

/// Builds the functions and the programs that are measured beside them; where they are.
pub fn all(root: &Path) -> Result<PathBuf, String> {
    let line = "build --release --locked -p functions -p hello -p first-call --bins";
    run(cargo(root).args(line.split(' ')))?;
    Ok(built(root, Build::Release))
}

/// Builds the two functions that are guarded, and nothing else.
pub fn guarded(root: &Path, build: Build) -> Result<PathBuf, String> {
    let which = match build {
        // Of the whole workspace, so that dependencies have the features that the tests have them with.
        Build::Tests => "build --quiet --locked --bin webhook --bin link-token",
        Build::Release => "build --release --locked -p functions --bin webhook --bin link-token",
    };
    run(cargo(root).args(which.split(' ')))?;
    Ok(built(root, build))
}

/// Where binaries stand once they are built.
pub fn built(root: &Path, build: Build) -> PathBuf {
    root.join("target").join(build.name())
}

/// The Python that the other backend runs on, with what it imports; made once.
pub fn python(root: &Path) -> Result<PathBuf, String> {
    let environment = root.join("target/venv-bench");
    let interpreter = environment.join("bin/python");
    if !interpreter.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(&interpreter).args(pip).arg(root.join("tests/bench/python/requirements.txt")))?;
    Ok(interpreter)
}

/// What stands checked out, in short.
pub fn commit(root: &Path) -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// Cargo, without what the outer one says about another package.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "LD_LIBRARY_PATH" {
            command.env_remove(&name);
        }
    }
    command
}

fn run(command: &mut Command) -> Result<(), String> {
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?}: {status}")),
        Err(error) => Err(format!("{command:?}: {error}")),
    }
}
