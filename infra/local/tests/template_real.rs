//! The real template resolves into the deployment that the local stack runs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::path::Path;

use local_stack::deployment::Deployment;
use local_stack::template::{Inputs, load};
use serde_json::json;

fn inputs() -> Inputs {
    let parameters = [
        ("MergeBaseUrl", "http://127.0.0.1:9002/api"),
        ("MergeApiKey", "dev-api-key"),
        ("WebhookKeys", r#"["dev-webhook-key"]"#),
        ("OidcIssuer", "http://127.0.0.1:9004"),
        ("OidcAudience", "tether-local"),
        ("OidcClientId", "tether-page"),
    ];
    Inputs {
        stack_name: "tether-local".into(),
        region: "us-east-1".into(),
        account_id: "000000000000".into(),
        aws_endpoint: "http://127.0.0.1:9003".into(),
        api_endpoint: "http://127.0.0.1:9000".into(),
        function_url: "http://127.0.0.1:9001/".into(),
        parameters: parameters
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>(),
    }
}

fn real() -> Deployment {
    real_with(&inputs())
}

fn real_with(inputs: &Inputs) -> Deployment {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../template.yaml");
    load(&path, inputs).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn without_an_identity_provider_the_template_brings_its_own() {
    let mut own = inputs();
    for name in ["OidcIssuer", "OidcAudience", "OidcClientId"] {
        own.parameters.remove(name);
    }
    let (own, given) = (real_with(&own), real());
    let authorizer = own.authorizer.as_ref().unwrap();
    assert_eq!(authorizer.issuer, "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_UserPool");
    assert_eq!(authorizer.audiences, ["PageClient", "ServiceClient"]);
    let page = function(&own, "PageFunction");
    assert_eq!(page.environment["OIDC_ISSUER"], authorizer.issuer);
    assert_eq!(page.environment["OIDC_CLIENT_ID"], "PageClient");
    assert_eq!(function(&own, "TokenClaimsFunction").binary, "token-claims");
    assert!(given.functions.iter().all(|function| function.binary != "token-claims"));
}

#[test]
fn other_origins_may_call_the_api_only_when_they_are_named() {
    assert_eq!(real().cors_origins, Vec::<String>::new());
    let mut inputs = inputs();
    let origins = "https://app.example.com, https://admin.example.com";
    inputs.parameters.insert("AllowedOrigins".to_owned(), origins.to_owned());
    assert_eq!(real_with(&inputs).cors_origins, ["https://app.example.com", "https://admin.example.com"]);
}

#[test]
fn every_function_has_a_binary_and_only_the_actions_of_its_role() {
    let deployment = real();
    let binaries: Vec<&str> = deployment.functions.iter().map(|f| f.binary.as_str()).collect();
    for binary in [
        "link-token",
        "exchange",
        "relink",
        "delete",
        "accounts",
        "integrations",
        "records",
        "page",
        "webhook",
        "sync-worker",
        "poller",
    ] {
        assert!(binaries.contains(&binary), "{binary} is missing in {binaries:?}");
    }
    let webhook = function(&deployment, "WebhookFunction");
    let actions: Vec<String> = webhook
        .policy_statements
        .iter()
        .flat_map(|statement| serde_json::from_value::<Vec<String>>(statement["Action"].clone()).unwrap())
        .filter(|action| !action.starts_with("logs:") && !action.starts_with("xray:"))
        .collect();
    assert_eq!(actions, ["sqs:SendMessage", "kms:Encrypt", "secretsmanager:GetSecretValue", "kms:Decrypt"]);
    let sends = webhook.policy_statements.iter().find(|statement| statement["Action"] == json!(["sqs:SendMessage"]));
    assert_eq!(sends.unwrap()["Resource"], json!("arn:aws:sqs:us-east-1:000000000000:tether-local-SyncQueue.fifo"));
    assert!(webhook.function_url && !webhook.recursive_loop_allowed);
    assert_eq!(deployment.functions.iter().filter(|f| f.function_url).count(), 1);
}

fn function<'d>(deployment: &'d Deployment, logical_id: &str) -> &'d local_stack::deployment::Function {
    deployment
        .functions
        .iter()
        .find(|function| function.logical_id == logical_id)
        .unwrap_or_else(|| panic!("no {logical_id}"))
}

#[test]
fn globals_are_merged_and_the_environment_holds_physical_names() {
    let deployment = real();
    let worker = function(&deployment, "SyncWorkerFunction");
    assert_eq!((worker.timeout_seconds, worker.memory_mb), (120, 512));
    assert!(worker.recursive_loop_allowed);
    let variable = |name: &str| worker.environment[name].as_str();
    assert_eq!(variable("LOG_LEVEL"), "info");
    assert_eq!(variable("ACCOUNTS_TABLE"), "tether-local-AccountsTable");
    assert_eq!(variable("QUEUE_URL"), "http://127.0.0.1:9003/000000000000/tether-local-SyncQueue.fifo");
    assert_eq!(variable("TOKEN_KEY"), "arn:aws:kms:us-east-1:000000000000:alias/tether-local-TokenKey");
    assert_eq!(variable("EVENT_BUS"), "tether-local-events");
    assert_eq!(variable("MERGE_API_KEY_SECRET"), "tether-local-MergeApiKeySecret");
    assert_eq!(variable("MODELS"), "");
    let token = function(&deployment, "LinkTokenFunction");
    assert_eq!((token.timeout_seconds, token.memory_mb), (29, 256));
    assert_eq!(function(&deployment, "PageFunction").memory_mb, 128);
}

#[test]
fn routes_name_their_function_scopes_and_authorizer() {
    let deployment = real();
    let route = |method: &str, path: &str| {
        deployment
            .routes
            .iter()
            .find(|route| route.method == method && route.path == path)
            .unwrap_or_else(|| panic!("no {method} {path}"))
    };
    let create = route("POST", "/v1/link-tokens");
    assert_eq!(create.function, "LinkTokenFunction");
    assert!(create.jwt);
    assert_eq!(create.scopes, ["tether/linked-accounts:write"]);
    let asset = route("GET", "/assets/{path+}");
    assert!(!asset.jwt && asset.scopes.is_empty());
    assert_eq!(asset.function, "PageFunction");
    assert_eq!(route("DELETE", "/v1/linked-accounts/{id}").function, "DeleteFunction");
    let authorizer = deployment.authorizer.as_ref().unwrap();
    assert_eq!(authorizer.issuer, "http://127.0.0.1:9004");
    assert_eq!(authorizer.audiences, ["tether-local"]);
}

#[test]
fn stores_are_as_the_create_calls_want_them() {
    let deployment = real();
    let accounts = &deployment.tables[0];
    assert_eq!(accounts.ttl_attribute.as_deref(), Some("ttl"));
    assert_eq!(accounts.create["GlobalSecondaryIndexes"][0]["IndexName"], "due");
    assert_eq!(
        deployment.tables[1].create["StreamSpecification"],
        json!({"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"})
    );
    let queue = &deployment.queues[0];
    assert_eq!(queue.name, "tether-local-SyncQueue.fifo");
    assert_eq!(queue.attributes["FifoQueue"], "true");
    assert_eq!(queue.attributes["VisibilityTimeout"], "720");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&queue.attributes["RedrivePolicy"]).unwrap(),
        json!({
            "deadLetterTargetArn": "arn:aws:sqs:us-east-1:000000000000:tether-local-SyncDeadLetterQueue.fifo",
            "maxReceiveCount": 5
        })
    );
    assert_eq!(deployment.keys[0].alias, "alias/tether-local-TokenKey");
    assert_eq!(deployment.secrets[1].value, r#"["dev-webhook-key"]"#);
    assert_eq!(deployment.event_buses[0].name, "tether-local-events");
}

#[test]
fn the_worker_is_fed_by_the_queue_and_the_poller_by_the_clock() {
    let deployment = real();
    let [source] = deployment.event_sources.as_slice() else { panic!("{:?}", deployment.event_sources) };
    assert_eq!((source.function.as_str(), source.queue.as_str()), ("SyncWorkerFunction", "SyncQueue"));
    assert_eq!((source.batch_size, source.maximum_concurrency), (1, Some(50)));
    assert!(source.report_batch_item_failures);
    let [schedule] = deployment.schedules.as_slice() else { panic!("{:?}", deployment.schedules) };
    assert_eq!((schedule.function.as_str(), schedule.every_seconds), ("PollerFunction", 60));
    assert_eq!(schedule.input, r#"{"scheduled_time": "<aws.scheduler.scheduled-time>"}"#);
}

#[test]
fn outputs_give_the_addresses_of_this_machine() {
    let outputs = real().outputs;
    assert_eq!(outputs["PageUrl"], "http://127.0.0.1:9000");
    assert_eq!(outputs["WebhookUrl"], "http://127.0.0.1:9001/");
    assert_eq!(outputs["RecordsTableName"], "tether-local-RecordsTable");
}

#[test]
fn an_output_names_every_function_and_its_memory() {
    let mut own_pool = inputs();
    own_pool.parameters.retain(|name, _| !name.starts_with("Oidc"));
    for deployment in [real(), real_with(&own_pool)] {
        let mut named: Vec<&str> = deployment.outputs["Functions"].split_whitespace().collect();
        named.sort_unstable();
        let functions = deployment.functions.iter();
        let mut functions: Vec<String> = functions
            .map(|function| format!("{}=tether-local-{}:{}", function.binary, function.logical_id, function.memory_mb))
            .collect();
        functions.sort_unstable();
        assert_eq!(named, functions);
    }
}
