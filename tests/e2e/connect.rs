//! The main job, end to end: connect an HR system, and all of its data arrives.

use serde_json::json;

use crate::harness::{BOUND, Outcome, Setup, SharedStack, assert_equal, hris_models, until};

static STACK: SharedStack = SharedStack::new(Setup::default);

#[test]
fn a_connected_system_arrives_completely_and_byte_for_byte() {
    STACK.run(async |system| {
        let api = system.api("org_acme").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        assert_equal(system, &api, &account, &hris_models()).await;
    });
}
