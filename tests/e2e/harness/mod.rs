//! The harness: a stack that tests share, the ways in which they talk to it, and what it refuses to find afterwards.

mod answer;
mod api;
mod canaries;
mod compare;
mod leftovers;
mod observe;
mod permissions;
mod ports;
mod queue;
mod random;
pub mod relay;
mod sandbox;
mod secrets;
mod setup;
mod shared_stack;
mod sign_in;
mod snapshot;
mod system;
pub mod tables;
mod until;
mod webhook;

pub use api::{Api, ORGANIZATION_HEADER, Raw};
pub use canaries::RECORD;
pub use compare::{assert_equal, records};
pub use ports::free_ports;
pub use queue::{send, sqs};
pub use random::Random;
pub use sandbox::{Outcome, hris_models, models_of, read_in_full};
pub use setup::{Setup, long, root as workspace};
pub use shared_stack::{SharedStack, alone};
pub use snapshot::{Snapshot, all_equal};
pub use system::{Connected, System};
pub use until::{BOUND, until};
pub use webhook::{Delivery, KEY, digest, put_webhook_keys, signed, webhook_keys};
