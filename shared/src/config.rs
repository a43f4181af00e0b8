//! Configuration: what the environment of a function says, and the only code that reads it.
//!
//! One [`Section`] per concern. A function's `main` asks for the sections it uses, all at once:
//!
//! ```no_run
//! use shared::config::{self, Queue, Tables};
//! # fn main() -> Result<(), config::ConfigError> {
//! let (tables, queue): (Tables, Queue) = config::load()?;
//! # Ok(()) }
//! ```
//!
//! Every fault of every section asked for is reported in one [`ConfigError`], by variable name.
//! The variables are those that `infra/template.yaml` sets; the parser itself is pure over a lookup.

pub mod aws;
mod limits;
mod page;
mod reader;
mod sections;
pub mod tls;

pub use limits::{DeleteLimit, Limit, RefreshLimit, RefusedLimit, RelinkLimit};
pub use page::{Page, PageLocale, PageMode};
pub use reader::{ConfigError, Fault, Reader};
pub(crate) use reader::{is_plain, is_secret};
pub use sections::{
    AccountOwner, Clock, EventBus, Identity, Linking, Logging, Merge, Models, Poller, Queue, Relay, Retention, Tables,
    TokenKey, WebhookKeys, Worker,
};

/// A group of settings that belong to one concern.
pub trait Section: Sized {
    /// Reads the section. A fault is noted in `reader`, and the field gets a placeholder that
    /// nobody sees, because [`load`] then fails.
    fn read(reader: &mut Reader<'_>) -> Self;
}

/// Reads sections from the environment of this process.
pub fn load<S: Section>() -> Result<S, ConfigError> {
    load_from(&|name| std::env::var(name).ok())
}

/// Reads sections from any lookup of variables.
pub fn load_from<S: Section>(lookup: &dyn Fn(&str) -> Option<String>) -> Result<S, ConfigError> {
    let mut reader = Reader::new(lookup);
    let sections = S::read(&mut reader);
    reader.finish().map(|()| sections)
}

macro_rules! sections_of {
    ($($name:ident)+) => {
        impl<$($name: Section),+> Section for ($($name,)+) {
            fn read(reader: &mut Reader<'_>) -> Self {
                ($($name::read(reader),)+)
            }
        }
    };
}
sections_of!(A);
sections_of!(A B);
sections_of!(A B C);
sections_of!(A B C D);
sections_of!(A B C D E);
sections_of!(A B C D E F);
sections_of!(A B C D E F G);
sections_of!(A B C D E F G H);
sections_of!(A B C D E F G H I);
sections_of!(A B C D E F G H I J);
sections_of!(A B C D E F G H I J K);

#[cfg(test)]
mod tests;
