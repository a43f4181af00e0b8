//! Logs: every line that a function process wrote to stdout or stderr, and what the host itself has to
//! say about one (a timeout, a crash, a stopped chain of invocations), in the order of arrival.
//!
//! Lines are kept as they were written. Nothing is filtered here: the console shows some of them, the
//! test harness searches all of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

/// Lines kept in memory; older ones are dropped first.
const CAPACITY: usize = 200_000;

/// How bad a line is. `Error` also stands for a panic and for what the host reports as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// One line of one function's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Cargo binary of the function, for example `webhook`.
    pub function: String,
    pub level: Level,
    /// The line without its end.
    pub line: String,
}

/// Which lines are echoed to standard error as they arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Echo {
    #[default]
    Nothing,
    /// Warnings and errors.
    Problems,
    Everything,
}

/// The sink that all processes of a stack write to. Clones share the lines.
#[derive(Debug, Clone)]
pub struct Logs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    echo: Echo,
    lines: Mutex<VecDeque<LogLine>>,
    arrivals: broadcast::Sender<LogLine>,
}

impl Logs {
    pub fn new(echo: Echo) -> Self {
        let (arrivals, _) = broadcast::channel(1_024);
        Self { inner: Arc::new(Inner { echo, lines: Mutex::default(), arrivals }) }
    }

    /// Takes a line as a process wrote it; its level is read from the JSON field `level`.
    pub fn written(&self, function: &str, line: String) {
        let level = level_of(&line);
        self.push(LogLine { function: function.to_owned(), level, line });
    }

    /// Adds what the host has to say about a function.
    pub fn host(&self, function: &str, level: Level, line: String) {
        self.push(LogLine { function: function.to_owned(), level, line });
    }

    /// Everything that was kept, oldest first.
    pub fn lines(&self) -> Vec<LogLine> {
        self.inner.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Receives every line that arrives from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<LogLine> {
        self.inner.arrivals.subscribe()
    }

    fn push(&self, line: LogLine) {
        let shown = match self.inner.echo {
            Echo::Nothing => false,
            Echo::Problems => line.level >= Level::Warn,
            Echo::Everything => true,
        };
        if shown {
            eprintln!("{:<12} {}", line.function, line.line);
        }
        let mut lines = self.inner.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == CAPACITY {
            lines.pop_front();
        }
        lines.push_back(line.clone());
        drop(lines);
        // An error only says that nobody is subscribed.
        self.inner.arrivals.send(line).ok();
    }
}

/// The level of a JSON log line; of any other line, `Error` when it is a panic and else `Info`.
fn level_of(line: &str) -> Level {
    let named = serde_json::from_str::<serde_json::Value>(line).ok();
    match named.as_ref().and_then(|json| json.get("level")).and_then(|level| level.as_str()) {
        Some("ERROR" | "error") => Level::Error,
        Some("WARN" | "warn") => Level::Warn,
        Some("DEBUG" | "debug" | "TRACE" | "trace") => Level::Debug,
        Some(_) => Level::Info,
        None if line.contains("panicked at") => Level::Error,
        None => Level::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_read_from_json_and_a_panic_is_an_error() {
        assert_eq!(level_of(r#"{"level":"ERROR","message":"x"}"#), Level::Error);
        assert_eq!(level_of(r#"{"level":"WARN"}"#), Level::Warn);
        assert_eq!(level_of(r#"{"level":"INFO","message":"level ERROR"}"#), Level::Info);
        assert_eq!(level_of("thread 'main' (1) panicked at src/main.rs:1:1:"), Level::Error);
        assert_eq!(level_of("hello"), Level::Info);
    }

    #[test]
    fn lines_are_kept_in_order_and_reach_subscribers() {
        let logs = Logs::new(Echo::Nothing);
        let mut arrivals = logs.subscribe();
        logs.written("a", "one".to_owned());
        logs.host("b", Level::Error, "two".to_owned());
        let kept: Vec<_> = logs.lines().into_iter().map(|line| line.line).collect();
        assert_eq!(kept, ["one", "two"]);
        assert_eq!(arrivals.try_recv().map(|line| line.line), Ok("one".to_owned()));
    }
}
