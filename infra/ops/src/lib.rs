//! The operator's tool: what `tether` does, command by command. The binary reads the command line and ends with the
//! code that [`run`] gives.
//!
//! Whatever it knows of tables, queues, keys and Merge it knows through `shared`, by the same code as the functions. It
//! prints no token, no key and no ciphertext; a link with which a customer reconnects only when it is asked for.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test that cannot go on fails"))]

mod account;
mod accounts;
mod brake;
pub mod cli;
mod connection;
mod dead_letters;
mod doctor;
mod export;
mod failure;
mod inbox;
mod issues;
mod metrics;
mod operator;
mod orphans;
pub mod output;
pub mod prices;
mod progress;
mod relay;
mod replay;
mod rotate;
pub mod severity;
mod stats;
mod strays;
mod walk;

use std::io;

use clap::CommandFactory;
use shared::{ambient, telemetry};

use cli::{Cli, Command, Target};
use connection::Connection;
use failure::Failure;
use output::Output;

/// Does what the command line says, on this thread. The answer is the exit code.
pub async fn run(cli: Cli, output: &Output) -> u8 {
    // Functions count by printing lines of metrics; a tool does not.
    ambient::replace(Some(ambient::Ambient {
        now: Box::new(jiff::Timestamp::now),
        random: Box::new(|| uuid::Uuid::new_v4().as_u128()),
        print: Box::new(|_| {}),
    }));
    let only_looks = cli.command.only_looks();
    let outcome = command(&cli.target, output, cli.command).await;
    ambient::replace(None);
    match outcome {
        Ok(code) => code,
        // Somebody reads no further, as `| head` does.
        Err(Failure::Output(error)) if only_looks && error.kind() == io::ErrorKind::BrokenPipe => severity::FINE,
        Err(failure) => {
            // Its causes may hold words of Merge's or a provider's.
            eprintln!("error: {}", output::shown(&telemetry::chain(&failure)));
            severity::FAILED
        }
    }
}

async fn command(target: &Target, output: &Output, command: Command) -> Result<u8, Failure> {
    let connect = async || Connection::open(&target.source()).await;
    match command {
        Command::Doctor(asked) => doctor::examine(&connect().await?, output, &asked).await,
        Command::Accounts(asked) => done(accounts::list(&connect().await?, output, &asked).await),
        Command::Account(asked) => done(account::show(&connect().await?, output, &asked).await),
        Command::Issues(asked) => done(issues::run(&connect().await?, output, &asked).await),
        Command::Inbox(asked) => done(inbox::inbox(&connect().await?, output, &asked).await),
        Command::Replay(asked) => done(replay::replay(&connect().await?, output, &asked).await),
        Command::DeadLetters(asked) => done(dead_letters::run(&connect().await?, output, &asked).await),
        Command::Brake(asked) => done(brake::run(&connect().await?, output, &asked).await),
        Command::Orphans(asked) => done(orphans::run(&connect().await?, output, &asked).await),
        Command::Rotate(asked) => done(rotate::run(&connect().await?, output, &asked).await),
        Command::Relay(asked) => done(relay::relay(&connect().await?, output, &asked).await),
        Command::Stats(asked) => done(stats::show(&connect().await?, output, &asked).await),
        Command::Export(asked) => done(export::export(&connect().await?, output, &asked).await),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "tether", &mut script);
            done(output.bytes(&script))
        }
        Command::Man => done(manual(output)),
    }
}

fn done(outcome: Result<(), Failure>) -> Result<u8, Failure> {
    outcome.map(|()| severity::FINE)
}

/// The manual page of the tool, then those of its commands, in one.
fn manual(output: &Output) -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let mut pages = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut pages)?;
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        clap_mangen::Man::new(inner.clone()).render(&mut pages)?;
    }
    output.bytes(&pages)
}
