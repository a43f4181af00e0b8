//! Making the contenders: binaries, for release in the shape in which `sam build` ships them, and a Python environment.

use std::path::{Path, PathBuf};
use std::process::Command;

use local_stack::cargo::of_another_package;

/// A build that is measured or guarded.
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
pub fn all(root: &Path, build: Build) -> Result<PathBuf, String> {
    let line = match build {
        // Of the whole workspace, so that dependencies have the features that the tests have them with.
        Build::Tests => "build --quiet --locked --workspace --bins",
        Build::Release => "build --release --locked -p functions -p hello -p first-call --bins",
    };
    run(cargo(root).args(line.split(' ')))?;
    Ok(built(root, build))
}

/// Builds the two functions that are guarded, and nothing else.
pub fn guarded(root: &Path, build: Build) -> Result<PathBuf, String> {
    let which = match build {
        // As above.
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
    run(Command::new(&interpreter).args(pip).arg(root.join("tests/bench/python/requirements.lock")))?;
    Ok(interpreter)
}

/// What stands checked out, in short.
pub fn commit(root: &Path) -> String {
    let output = Command::new("git").args(["rev-parse", "--short", "HEAD"]).current_dir(root).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// Cargo, in the workspace.
fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    for name in of_another_package() {
        command.env_remove(name);
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
