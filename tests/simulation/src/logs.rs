//! Logs: what the handlers log in a run goes to its trace, and is searched for secrets.

use std::fmt::Write as _;

use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::prelude::*;

use crate::sim::Sim;

struct Logs(Sim);

/// Sends this thread's log to the run until the guard is dropped.
pub fn to(sim: &Sim) -> DefaultGuard {
    tracing_subscriber::registry().with(Logs(sim.clone())).set_default()
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        write!(self.0, " {}={value:?}", field.name()).ok();
    }
}

impl<S: Subscriber> Layer<S> for Logs {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _context: Context<'_, S>) -> bool {
        let ours = ["shared", "functions"].iter().any(|name| metadata.target().starts_with(name));
        ours && *metadata.level() <= Level::INFO
    }

    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.printed(&line.0);
    }
}
