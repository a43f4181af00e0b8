//! A command in a process of its own, for tests that kill it or measure it: this very program, told by its environment
//! to be the tool.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use ops::cli::Cli;
use ops::output::Output;
use uuid::Uuid;

use crate::harness::System;

/// The command line, as JSON; set in the process that is to be the tool.
const LINE: &str = "TETHER_LINE";
/// The file into which that process writes the most memory that it ever held of its own, in bytes.
const PEAK: &str = "TETHER_PEAK";

/// See the module.
pub struct Process {
    child: Child,
    peak: PathBuf,
}

impl Process {
    /// Starts `tether` on a stack.
    pub fn start(system: &System, arguments: &[&str]) -> Self {
        let base = system.ready().port_base.to_string();
        Self::of(&[&["tether", "--local", "--port-base", &base][..], arguments].concat())
    }

    fn of(line: &[&str]) -> Self {
        let peak = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("peak-{}", Uuid::new_v4()));
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", "operator::process::a_process_ends_as_its_command_does", "--nocapture"]);
        command.env(LINE, serde_json::to_string(line).expect("a line")).env(PEAK, &peak);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self { child: child.expect("a process"), peak }
    }

    /// Ends it with SIGKILL, in the middle of what it does.
    pub fn kill(mut self) {
        assert!(self.child.try_wait().expect("its state").is_none(), "it was done already");
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("its end");
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        crate::harness::until("the process ends", crate::harness::BOUND * 10, async || {
            self.child.try_wait().expect("its state").ok_or_else(|| "it runs".to_owned())
        })
        .await
    }

    /// The most memory that it held, once it has ended: its own, without the program itself.
    pub fn peak(&self) -> u64 {
        let text = fs::read_to_string(&self.peak).expect("it says what it held");
        text.parse().expect("a number")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killed before it could write it, or killed now because its test has failed.
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_file(&self.peak).ok();
    }
}

/// A line of `/proc/self/status`, in bytes.
fn held(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the status of this process");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    let kilobytes = line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>();
    kilobytes.expect("a number") << 10
}

#[test]
fn a_process_ends_as_its_command_does() {
    let Some(line) = std::env::var_os(LINE) else {
        let mut process = Process::of(&["tether", "--stack", "nobodys", "accounts"]);
        let status = process.child.wait().expect("its end");
        assert_eq!(status.code(), Some(3), "it has no credentials");
        return;
    };
    let line: Vec<String> = serde_json::from_str(line.to_str().expect("text")).expect("a line");
    let cli = Cli::of(line).expect("a command");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let output = Output::standard(cli.json);
    let code = runtime.block_on(ops::run(cli, &output));
    let peak = held("VmHWM").saturating_sub(held("RssFile"));
    fs::write(std::env::var_os(PEAK).expect("where to"), peak.to_string()).expect("a file");
    std::process::exit(code.into());
}
