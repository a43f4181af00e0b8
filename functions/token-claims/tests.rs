#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use shared::config::load_from;

use super::*;

fn identity() -> Identity {
    load_from(&|_| None).unwrap()
}

/// An event as Cognito's documentation shows it for a hosted sign-in, with this pool's attributes.
fn sign_in() -> Value {
    json!({
        "version": "2",
        "triggerSource": "TokenGeneration_HostedAuth",
        "region": "eu-central-1",
        "userPoolId": "eu-central-1_EXAMPLE",
        "userName": "9c7a3d6e-0000-4000-8000-3f1c52d0b1aa",
        "callerContext": { "awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "1example23456789" },
        "request": {
            "userAttributes": {
                "sub": "9c7a3d6e-0000-4000-8000-3f1c52d0b1aa",
                "cognito:user_status": "CONFIRMED",
                "email_verified": "true",
                "email": "jo@acme.example",
                "custom:org_id": "org_acme",
                "custom:org_name": "Acme GmbH"
            },
            "groupConfiguration": {
                "groupsToOverride": ["admins"],
                "iamRolesToOverride": [],
                "preferredRole": null
            },
            "scopes": ["openid", "email", "tether/linked-accounts:read"]
        },
        "response": { "claimsAndScopeOverrideDetails": null }
    })
}

fn access_token(answer: &Value) -> &Value {
    &answer["response"]["claimsAndScopeOverrideDetails"]["accessTokenGeneration"]
}

#[test]
fn the_organization_its_name_and_the_email_are_copied_and_nothing_else_is_touched() {
    let answer = handle(&identity(), sign_in()).unwrap();
    assert_eq!(
        access_token(&answer),
        &json!({ "claimsToAddOrOverride": {
            "org_id": "org_acme", "org_name": "Acme GmbH", "email": "jo@acme.example"
        }})
    );
    let details = answer["response"]["claimsAndScopeOverrideDetails"].as_object().unwrap();
    // Groups or scopes in the answer would replace the user's own.
    assert_eq!(details.keys().collect::<Vec<_>>(), ["accessTokenGeneration"]);
    let (mut sent, mut answered) = (sign_in(), answer);
    sent["response"] = Value::Null;
    answered["response"] = Value::Null;
    assert_eq!(sent, answered);
}

#[test]
fn claims_have_the_names_that_the_api_is_configured_with() {
    let named = |name: &str| match name {
        "ORGANIZATION_CLAIM" => Some("tenant".to_owned()),
        "ORGANIZATION_NAME_CLAIM" => Some("tenant_name".to_owned()),
        _ => None,
    };
    let answer = handle(&load_from(&named).unwrap(), sign_in()).unwrap();
    let claims = access_token(&answer)["claimsToAddOrOverride"].as_object().unwrap();
    assert_eq!(claims["tenant"], "org_acme");
    assert_eq!(claims["tenant_name"], "Acme GmbH");
    assert!(!claims.contains_key("org_id"));
}

#[test]
fn what_the_client_sends_with_the_sign_in_makes_no_claim() {
    let mut event = sign_in();
    event["request"]["clientMetadata"] = json!({ "custom:org_id": "org_globex", "org_id": "org_globex" });
    event["request"]["userAttributes"].as_object_mut().unwrap().remove("custom:org_id");
    let answer = handle(&identity(), event).unwrap();
    let claims = access_token(&answer)["claimsToAddOrOverride"].as_object().unwrap();
    assert!(!claims.contains_key("org_id"), "{claims:?}");
}

#[test]
fn an_empty_attribute_makes_no_claim() {
    let mut event = sign_in();
    event["request"]["userAttributes"]["custom:org_id"] = "".into();
    let answer = handle(&identity(), event).unwrap();
    assert!(access_token(&answer)["claimsToAddOrOverride"].get("org_id").is_none());
}

#[test]
fn a_refreshed_token_and_a_service_are_answered_too() {
    let mut refresh = sign_in();
    refresh["triggerSource"] = "TokenGeneration_RefreshTokens".into();
    let answer = handle(&identity(), refresh).unwrap();
    assert_eq!(access_token(&answer)["claimsToAddOrOverride"]["org_id"], "org_acme");

    // Version 3 adds client credentials, whose events have no user.
    let service = json!({
        "version": "3",
        "triggerSource": "TokenGeneration_ClientCredentials",
        "region": "eu-central-1",
        "userPoolId": "eu-central-1_EXAMPLE",
        "userName": "ClientCredentials",
        "callerContext": { "awsSdkVersion": "aws-sdk-unknown-unknown", "clientId": "1example23456789" },
        "request": { "userAttributes": null, "scopes": ["tether/organizations:act"], "clientMetadata": {} },
        "response": {}
    });
    let answer = handle(&identity(), service).unwrap();
    assert_eq!(access_token(&answer)["claimsToAddOrOverride"], json!({}));
}

#[test]
fn an_event_that_cannot_change_the_access_token_fails_the_sign_in() {
    let mut old = sign_in();
    old["version"] = "1".into();
    assert_eq!(handle(&identity(), old), Err(TokenClaimsError::Version("1".to_owned())));
    assert_eq!(handle(&identity(), json!({ "version": "2" })), Err(TokenClaimsError::Shape));
    assert_eq!(
        handle(&identity(), json!({ "version": "2", "request": {}, "response": "x" })),
        Err(TokenClaimsError::Shape)
    );
}
