//! The operator: who uses the tool, as timelines name them.

use jiff::Timestamp;
use shared::store::events::{Event, EventKind};

/// `operator:` and the name of the user on this machine.
pub fn name() -> String {
    let user = ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| std::env::var(name).ok());
    let user: String = user.unwrap_or_default().chars().filter(|c| !c.is_control()).take(64).collect();
    format!("operator:{}", if user.is_empty() { "unknown" } else { &user })
}

/// Something that the operator does now.
pub fn event(kind: EventKind) -> Event {
    Event::new(Timestamp::now(), kind, name())
}
