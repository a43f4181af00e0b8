//! The simulated Merge as a program: prints its address and runs until Ctrl-C or SIGTERM.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use merge_sandbox::{Options, Sandbox};

/// A simulated Merge: HTTP API under /api, control under /_sandbox, the dialog's script at /initialize.js.
#[derive(Parser)]
#[command(name = "merge-sandbox")]
struct Flags {
    /// Address to listen on; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:9002")]
    listen: SocketAddr,
    /// URL that webhooks are posted to (http only).
    #[arg(long)]
    webhook_url: Option<String>,
    /// Never send a webhook.
    #[arg(long)]
    no_webhooks: bool,
    /// Syncs run this many times as fast.
    #[arg(long, default_value_t = 1.0)]
    speed: f64,
    /// The same seed gives the same accounts and records.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Keep accounts across restarts in this folder.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Employees per account.
    #[arg(long, default_value_t = 10_000)]
    employees: u32,
    /// Address under which browsers reach the sandbox.
    #[arg(long)]
    public_base: Option<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let options = Options {
        listen: flags.listen,
        webhook_url: flags.webhook_url,
        webhooks: !flags.no_webhooks,
        speed: flags.speed,
        seed: flags.seed,
        data_dir: flags.data_dir,
        employees: flags.employees,
        public_base: flags.public_base,
    };
    let sandbox = match Sandbox::start(options).await {
        Ok(sandbox) => sandbox,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    println!("http://{}/api", sandbox.address());
    wait_for_the_end().await;
    sandbox.stop().await;
    ExitCode::SUCCESS
}

async fn wait_for_the_end() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}
