//! `tether`: reads the command line, does what it says, and ends with the severity of what was found.

use std::process::ExitCode;

use ops::cli::Cli;
use ops::output::Output;
use ops::severity;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = match Cli::of(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors, and go to standard output.
            let code = if error.use_stderr() { severity::MISUSED } else { severity::FINE };
            return if error.print().is_ok() { code.into() } else { severity::FAILED.into() };
        }
    };
    let output = Output::standard(cli.json);
    ops::run(cli, &output).await.into()
}
