//! `cargo dev`: builds the functions and runs the whole system on this machine until Ctrl-C.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use local_stack::cargo::{self, Profile};
use local_stack::logs::Echo;
use local_stack::ready::Ready;
use local_stack::{Options, Stack};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How long an orderly stop may take before the processes are simply ended.
const STOP: Duration = Duration::from_secs(10);

/// Runs the system of infra/template.yaml on this machine.
#[derive(Parser)]
#[command(name = "cargo dev", bin_name = "cargo dev")]
struct Arguments {
    /// First of the six ports
    #[arg(long, default_value_t = 9000)]
    port_base: u16,
    /// Keep all data here across restarts (default: in memory)
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
    /// Run the sandbox's syncs and the schedule this many times as fast
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    speed: f64,
    /// Use this AWS-compatible endpoint in place of the embedded one
    #[arg(long, value_name = "URL")]
    aws_endpoint: Option<String>,
    /// The sandbox sends no webhooks
    #[arg(long)]
    no_webhooks: bool,
    /// Write the URLs to this file as JSON once everything answers
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Employees of a sandbox account
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    employees: u32,
    /// Set a parameter of the template
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// Another template
    #[arg(long, value_name = "FILE", hide = true)]
    template: Option<PathBuf>,
    /// Run the functions as they are deployed, optimised; building them takes minutes
    #[arg(long)]
    release: bool,
    /// Show every log line of the functions, not only warnings and errors
    #[arg(long)]
    verbose: bool,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    pair.ok_or_else(|| "must be NAME=VALUE".to_owned())
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).init();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Returns when the user ends it; the error is one sentence.
async fn run(arguments: Arguments) -> Result<(), String> {
    let mut end = End::listen().map_err(|error| format!("signals cannot be handled: {error}"))?;
    let ready_file = arguments.ready_file.clone();
    let stack = tokio::select! {
        stack = start(arguments) => stack?,
        () = end.wanted() => return Ok(()),
    };
    announce(stack.ready());
    if let Some(file) = ready_file {
        stack.ready().write(&file).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    }
    end.wanted().await;
    eprintln!("Stopping ...");
    tokio::select! {
        _ = tokio::time::timeout(STOP, stack.stop()) => {}
        () = end.wanted() => {}
    }
    Ok(())
}

async fn start(arguments: Arguments) -> Result<Stack, String> {
    let root = root()?;
    let profile = if arguments.release { Profile::Release } else { Profile::Dev };
    let mut options = Options {
        template: arguments.template.unwrap_or_else(|| root.join("infra/template.yaml")),
        port_base: Some(arguments.port_base),
        data_dir: arguments.data_dir,
        speed: arguments.speed,
        aws_endpoint: arguments.aws_endpoint,
        webhooks: !arguments.no_webhooks,
        employees: arguments.employees,
        parameters: arguments.parameters.into_iter().collect(),
        echo_logs: if arguments.verbose { Echo::Everything } else { Echo::Problems },
        ..Options::default()
    };
    // Before the build, so that nobody waits for a message about a port.
    Stack::check_options(&options).await.map_err(|error| error.to_string())?;
    options.functions = cargo::build(&root, profile).await.map_err(|error| error.to_string())?;
    Stack::start(options).await.map_err(|error| error.to_string())
}

/// The workspace, wherever the command was typed.
fn root() -> Result<PathBuf, String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.ancestors().nth(2).unwrap_or(manifest);
    if root.join("Cargo.toml").exists() {
        return Ok(root.to_owned());
    }
    Err(format!("the workspace is no longer at {}: build this command again", root.display()))
}

fn announce(ready: &Ready) {
    let lines = [
        ("API", &ready.api),
        ("webhooks", &ready.webhook),
        ("Merge sandbox", &ready.merge),
        ("its control API", &ready.sandbox),
        ("AWS services", &ready.aws),
        ("issuer", &ready.issuer),
        ("Lambda runtime", &ready.runtime),
    ];
    for (name, url) in lines {
        println!("{name:<16} {url}");
    }
    println!("Ctrl-C stops everything. Open the page:");
    println!("{}", ready.page);
}

/// The signals that ask for the end.
struct End {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl End {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn wanted(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}
