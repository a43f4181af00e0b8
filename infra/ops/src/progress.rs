//! Progress: how far a command has come, where somebody looks on: on a terminal, on standard error.

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};

/// Counts what has no known end, and is gone when the command is.
pub fn counter(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear).with_message(what);
    match ProgressStyle::with_template("{spinner} {pos} {msg}, {per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Shows that something is waited for, at each tick.
pub fn waiting(what: &'static str) -> ProgressBar {
    ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear).with_message(what)
}
