//! Least privilege: a policy is what a function can do, here as on AWS. What the template does not grant is refused,
//! and the harness refuses the refusal; `infra/checks/after_e2e.py` wants every grant needed by some test.

use std::path::PathBuf;

use local_stack::logs::LogLine;
use reqwest::Method;
use serde_json::Value;
use shared::domain::ids::OrganizationId;
use shared::telemetry::hashed;

use crate::harness::{Setup, alone, workspace};

/// The template, but for what lets the delete function queue its work.
fn without_the_queue() -> PathBuf {
    let text = std::fs::read_to_string(workspace().join("infra/template.yaml")).expect("the template");
    let (before, role) = text.split_once("\n  DeleteRole:").expect("the delete function's role");
    assert!(role.find("[sqs:SendMessage]") < role.find("\n  DeletePermission:"), "the role grants it");
    let changed = format!("{before}\n  DeleteRole:{}", role.replacen("[sqs:SendMessage]", "[sqs:GetQueueUrl]", 1));
    let path = workspace().join("target/template-without-the-queue.yaml");
    std::fs::write(&path, changed).expect("a copy of the template");
    path
}

#[test]
fn an_action_that_is_taken_from_a_policy_is_refused() {
    alone(
        || Setup::default().template(without_the_queue()).without_schedule().without_webhooks(),
        async |system| {
            let api = system.api("org_denied").await;
            let account = system.connect(&api, "hris", "bamboohr").await;
            system.announce("not authorized to perform: sqs:SendMessage");
            let answer = api.call(Method::DELETE, &format!("/v1/linked-accounts/{}", account.id), None).await;
            assert_eq!(answer.status, 500, "{answer:?}");
            let refused = system.stack.aws().expect("the embedded services").refused();
            assert!(!refused.is_empty());
            let expected = |why: &String| why.contains("local-delete") && why.contains("perform: sqs:SendMessage");
            assert!(refused.iter().all(expected), "{refused:?}");

            // Whoever reads the log finds the line by request, by account and by the organization's hash.
            let of_it = |line: &LogLine| line.function == "delete" && line.line.contains("perform: sqs:SendMessage");
            let line = system.stack.logs().into_iter().find(of_it).expect("the function's line");
            let span = serde_json::from_str::<Value>(&line.line).expect("JSON")["span"].clone();
            let organization = OrganizationId::parse("org_denied").expect("an id");
            assert_eq!(span["organization"], hashed(&organization), "{line:?}");
            assert_eq!(span["account"], account.id.as_str(), "{line:?}");
            assert!(span["request_id"].is_string(), "{line:?}");
        },
    );
}
