//! `cargo dev` itself: it comes up, says where everything is, and leaves no process behind however it ends.

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use local_stack::cargo::of_another_package;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use shared::config::tls::http_client;
use tokio::process::Command as AsyncCommand;

use crate::harness::{free_ports, long, until, workspace};

/// A first build of everything that these commands need, on a slow machine.
const BUILD: Duration = Duration::from_secs(1_200);
/// The same, optimised.
const RELEASE_BUILD: Duration = Duration::from_secs(7_200);
const SHORTLY: Duration = Duration::from_secs(30);

/// Cargo's builds wait for each other anyway.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn run(test: impl Future<Output = ()>) {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test);
}

fn cargo_dev(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    // From elsewhere in the workspace: paths are the manifest's, not the caller's.
    command.current_dir(workspace().join("tests")).arg("dev").args(arguments).stdin(Stdio::null());
    // As in a terminal: build scripts depend on what these say, and what depends on them would be built anew.
    for name in of_another_package() {
        command.env_remove(name);
    }
    command
}

/// A running `cargo dev`, killed if the test fails.
struct Dev {
    child: Child,
    ready: Value,
}

impl Drop for Dev {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.child.kill().expect("it can be killed");
            self.child.wait().expect("it ends");
        }
    }
}

impl Dev {
    /// Starts it and waits for its ready file.
    async fn start() -> Self {
        Self::start_with(&[], BUILD).await
    }

    async fn start_with(more: &[&str], build: Duration) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let base = free_ports();
        let file = folder.join(format!("ready-{base}.json"));
        let (base, path) = (base.to_string(), file.display().to_string());
        let arguments = ["--port-base", &base, "--ready-file", &path, "--employees", "20", "--speed", "60"];
        let arguments = [&arguments[..], more].concat();
        let child = cargo_dev(&arguments).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().expect("cargo");
        let mut dev = Self { child, ready: Value::Null };
        dev.ready = until("the ready file is written", build, async || {
            if let Ok(Some(status)) = dev.child.try_wait() {
                panic!("it ended before it was ready: {status}");
            }
            let text = fs::read_to_string(&file).map_err(|error| error.to_string())?;
            serde_json::from_str(&text).map_err(|error| error.to_string())
        })
        .await;
        fs::remove_file(&file).expect("the ready file is a file");
        dev
    }

    fn url(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.ready))
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    async fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        until("it ends", SHORTLY, async || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        })
        .await
    }

    /// Uses the page and the webhook, so that functions run, and returns all processes below this one.
    async fn with_functions(&self) -> BTreeSet<u32> {
        let http = http_client().expect("an HTTP client");
        let page = http.get(self.url("page")).send().await.expect("the page");
        assert_eq!(page.status().as_u16(), 200);
        let forged = http.post(self.url("webhook")).body("{}").send().await.expect("the webhook");
        assert_eq!(forged.status().as_u16(), 401);
        let state = http.get(format!("{}/state", self.url("sandbox"))).send().await.expect("the sandbox");
        assert_eq!(state.status().as_u16(), 200);
        let below = descendants(self.pid());
        assert!(below.len() >= 2, "the functions are processes of their own: {below:?}");
        below
    }
}

/// Processes below `pid`.
fn descendants(pid: u32) -> BTreeSet<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .expect("a Linux machine")
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, parent(pid)?))
        })
        .collect();
    let mut found = BTreeSet::from([pid]);
    loop {
        let more: Vec<_> =
            parents.iter().filter(|(pid, parent)| found.contains(parent) && !found.contains(pid)).collect();
        if more.is_empty() {
            found.remove(&pid);
            return found;
        }
        found.extend(more.into_iter().map(|(pid, _)| pid));
    }
}

/// The parent of a process that runs; none of one that ended and was not waited for.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in parentheses and may hold anything.
    let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
    let state = rest.next()?;
    if state == "Z" { None } else { rest.next()?.parse().ok() }
}

async fn all_gone(processes: BTreeSet<u32>) {
    until("no process is left", SHORTLY, async || {
        let left: Vec<_> = processes.iter().filter(|pid| parent(**pid).is_some()).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("the process is there");
}

#[test]
fn it_serves_everything_and_ends_with_all_its_processes() {
    run(async {
        let mut dev = Dev::start().await;
        assert_eq!(dev.ready["version"], 1);
        let below = dev.with_functions().await;
        signal(dev.pid(), Signal::INT);
        let status = dev.ended().await;
        assert!(status.success(), "Ctrl-C is the way to end it: {status}");
        all_gone(below).await;
    });
}

/// Where a process's program lies.
fn program(pid: u32) -> PathBuf {
    fs::read_link(format!("/proc/{pid}/exe")).expect("a process that runs")
}

#[test]
fn with_release_it_runs_what_is_deployed() {
    // It builds everything a second time.
    if !long() {
        return;
    }
    run(async {
        let mut dev = Dev::start_with(&["--release"], RELEASE_BUILD).await;
        let below = dev.with_functions().await;
        let optimised = |pid: &u32| program(*pid).parent().is_some_and(|folder| folder.ends_with("release"));
        assert!(below.iter().all(optimised), "{:?}", below.iter().map(|pid| program(*pid)).collect::<Vec<_>>());
        signal(dev.pid(), Signal::INT);
        assert!(dev.ended().await.success());
        all_gone(below).await;
    });
}

#[test]
fn killed_it_takes_all_its_processes_with_it() {
    run(async {
        let mut dev = Dev::start().await;
        let below = dev.with_functions().await;
        signal(dev.pid(), Signal::KILL);
        assert!(!dev.ended().await.success());
        all_gone(below).await;
    });
}

/// Runs it to its end; it must refuse with one sentence and exit code 1.
async fn refusal(arguments: &[&str]) -> String {
    let ended = tokio::time::timeout(BUILD, AsyncCommand::from(cargo_dev(arguments)).kill_on_drop(true).output());
    let Output { status, stdout, stderr } = ended.await.expect("it ends by itself").expect("cargo");
    let stderr = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stdout.is_empty(), "{}", String::from_utf8_lossy(&stdout));
    // Without a terminal there are no progress bars: what is said is the sentence.
    let said: Vec<_> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    assert_eq!(said.len(), 1, "one sentence: {stderr}");
    assert!(said[0].starts_with("error: "), "{stderr}");
    said[0].to_owned()
}

#[test]
fn a_port_in_use_is_one_clear_sentence() {
    run(async {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("an address").port();
        // The third of the block, or the first where that is not possible.
        let base = port.checked_sub(2).unwrap_or(port).to_string();
        let sentence = refusal(&["--port-base", &base]).await;
        assert!(sentence.contains("port") && sentence.contains("in use"), "{sentence}");
    });
}

#[test]
fn a_malformed_template_is_one_clear_sentence() {
    run(async {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("malformed.yaml");
        fs::write(&file, "Resources:\n  Api: [unclosed\n").expect("a file");
        let base = free_ports().to_string();
        let path = file.display().to_string();
        let sentence = refusal(&["--port-base", &base, "--template", &path]).await;
        assert!(sentence.contains("malformed.yaml"), "it names the file: {sentence}");
        fs::remove_file(&file).expect("the file is there");
    });
}
