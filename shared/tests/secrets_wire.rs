//! Secrets against the wire of KMS and Secrets Manager, as the local stack emulates them.

#![allow(clippy::unwrap_used, reason = "tests")]

use aws_config::SdkConfig;
use aws_sdk_sqs::config::{Credentials, SharedCredentialsProvider};
use local_stack::aws::{Aws, AwsOptions};
use shared::config::{self, TokenKey, WebhookKeys, aws::sdk_config};
use shared::domain::ids::{MergeLinkedAccountId, OrganizationId};
use shared::domain::secret::AccountToken;
use shared::secrets::{SecretsError, TokenCipher, TokenContext, Under, WebhookKeyring, api_key};

async fn aws() -> (Aws, SdkConfig) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let options = AwsOptions { listen, data_dir: None, region: "us-east-1".to_owned(), account_id: "0".repeat(12) };
    let aws = Aws::start(options).await.unwrap();
    let sdk = sdk(aws.endpoint());
    (aws, sdk)
}

fn sdk(endpoint: String) -> SdkConfig {
    let section = config::aws::Aws { region: "us-east-1".to_owned(), endpoint_url: Some(endpoint) };
    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    sdk_config(&section).unwrap().into_builder().credentials_provider(credentials).build()
}

async fn cipher(sdk: &SdkConfig) -> TokenCipher {
    TokenCipher::new(sdk, &TokenKey { id: key(sdk).await, previous: None })
}

async fn key(sdk: &SdkConfig) -> String {
    aws_sdk_kms::Client::new(sdk).create_key().send().await.unwrap().key_metadata.unwrap().key_id
}

async fn secret(sdk: &SdkConfig, name: &str, text: &str) {
    let client = aws_sdk_secretsmanager::Client::new(sdk);
    client.create_secret().name(name).secret_string(text).send().await.unwrap();
}

fn organization(name: &str) -> OrganizationId {
    OrganizationId::parse(name).unwrap()
}

fn merge_id(id: &str) -> MergeLinkedAccountId {
    MergeLinkedAccountId::parse(id).unwrap()
}

#[tokio::test]
async fn checklist_25_a_token_decrypts_under_its_own_context_only() {
    let (_aws, sdk) = aws().await;
    let cipher = cipher(&sdk).await;
    let (acme, globex, one, two) = (organization("acme"), organization("globex"), merge_id("1"), merge_id("2"));
    let own = TokenContext::Account { organization: &acme, merge_id: &one };
    let ciphertext = cipher.encrypt(&AccountToken::new("canary"), own).await.unwrap();
    assert!(!ciphertext.windows(6).any(|window| window == b"canary"));
    for foreign in [
        TokenContext::Account { organization: &globex, merge_id: &one },
        TokenContext::Account { organization: &acme, merge_id: &two },
        TokenContext::Webhook { merge_id: &one },
    ] {
        let refused = cipher.decrypt(&ciphertext, foreign).await;
        assert!(matches!(refused, Err(SecretsError::WrongContext)), "{foreign:?}: {refused:?}");
    }
    // The second time from the cache, which knows contexts apart as KMS does.
    for _ in 0..2 {
        assert_eq!(cipher.decrypt(&ciphertext, own).await.unwrap().expose(), "canary");
    }
    let webhook = TokenContext::Webhook { merge_id: &one };
    assert!(cipher.decrypt(&ciphertext, webhook).await.is_err());
    let damaged = [&ciphertext[..ciphertext.len() - 1], &[ciphertext[ciphertext.len() - 1] ^ 1]].concat();
    assert!(cipher.decrypt(&damaged, own).await.is_err());
}

#[tokio::test]
async fn the_key_before_opens_what_it_encrypted_until_it_is_no_longer_named() {
    let (_aws, sdk) = aws().await;
    let (old, new, foreign) = (key(&sdk).await, key(&sdk).await, key(&sdk).await);
    let over = |id: &str, previous: Option<&String>| {
        TokenCipher::new(&sdk, &TokenKey { id: id.to_owned(), previous: previous.cloned() })
    };
    let moving = over(&new, Some(&old));
    assert!(moving.moves() && !over(&new, None).moves());
    let (acme, globex, id) = (organization("acme"), organization("globex"), merge_id("1"));
    let own = TokenContext::Account { organization: &acme, merge_id: &id };
    let token = AccountToken::new("canary");

    for (cipher, under) in [(over(&old, None), Under::Previous), (over(&new, None), Under::Current)] {
        let ciphertext = cipher.encrypt(&token, own).await.unwrap();
        let (opened, with) = moving.opened(&ciphertext, own).await.unwrap();
        assert_eq!((opened.expose(), with), ("canary", under));
        assert_eq!(moving.decrypt(&ciphertext, own).await.unwrap().expose(), "canary");
        let elsewhere = TokenContext::Account { organization: &globex, merge_id: &id };
        assert!(matches!(moving.opened(&ciphertext, elsewhere).await, Err(SecretsError::WrongContext)));
        let sealed = cipher.seal(b"a webhook").await.unwrap();
        assert_eq!(moving.open(&sealed).await.unwrap(), b"a webhook");
    }
    let fresh = moving.encrypt(&token, own).await.unwrap();
    assert_eq!(over(&new, None).decrypt(&fresh, own).await.unwrap().expose(), "canary", "it encrypts with the new one");

    let before = over(&old, None).encrypt(&token, own).await.unwrap();
    assert!(matches!(over(&new, None).decrypt(&before, own).await, Err(SecretsError::WrongContext)));
    let others = over(&foreign, None).encrypt(&token, own).await.unwrap();
    assert!(matches!(moving.decrypt(&others, own).await, Err(SecretsError::WrongContext)), "whoever may use that key");
}

#[tokio::test]
async fn a_decrypted_token_is_not_asked_for_again_for_a_while() {
    let (aws, sdk) = aws().await;
    let cipher = cipher(&sdk).await;
    let id = merge_id("1");
    let context = TokenContext::Webhook { merge_id: &id };
    let ciphertext = cipher.encrypt(&AccountToken::new("t"), context).await.unwrap();
    cipher.decrypt(&ciphertext, context).await.unwrap();
    aws.stop().await;
    assert_eq!(cipher.decrypt(&ciphertext, context).await.unwrap().expose(), "t");
    let error = cipher.encrypt(&AccountToken::new("canary"), context).await.unwrap_err();
    assert!(error.is_transient());
    assert!(!shared::telemetry::chain(&error).contains("canary"));
}

#[tokio::test]
async fn the_api_key_is_read_as_a_header_can_carry_it() {
    let (_aws, sdk) = aws().await;
    secret(&sdk, "good", " dev-api-key\n").await;
    secret(&sdk, "bad", "two words").await;
    let merge = |name: &str| config::Merge {
        base_url: "https://merge.example/api".to_owned(),
        api_key_secret: name.to_owned(),
        requests_per_minute: 100,
    };
    assert_eq!(api_key(&sdk, &merge("good")).await.unwrap().expose(), "dev-api-key");
    assert!(matches!(api_key(&sdk, &merge("bad")).await, Err(SecretsError::Shape { .. })));
    assert!(api_key(&sdk, &merge("absent")).await.unwrap_err().is_transient());
}

#[tokio::test]
async fn newer_webhook_keys_are_fetched_when_nothing_fits_but_not_again_at_once() {
    let (_aws, sdk) = aws().await;
    secret(&sdk, "keys", r#"["old"]"#).await;
    let keyring = WebhookKeyring::new(&sdk, &WebhookKeys { secret: "keys".to_owned() });
    assert!(keyring.cached().is_none());
    let read = keyring.refreshed().await.unwrap().unwrap();
    assert_eq!((read.len(), read[0].expose()), (1, "old"));
    let client = aws_sdk_secretsmanager::Client::new(&sdk);
    client.put_secret_value().secret_id("keys").secret_string(r#"["new","old"]"#).send().await.unwrap();
    assert!(keyring.refreshed().await.unwrap().is_none(), "within 30 s a delivery is judged by the keys at hand");
    assert_eq!(keyring.load().await.unwrap()[0].expose(), "new");
    assert_eq!(keyring.cached().unwrap().len(), 2);
}

#[tokio::test]
async fn without_the_secret_store_nobody_can_judge_a_delivery() {
    let keyring =
        WebhookKeyring::new(&sdk("http://127.0.0.1:1".to_owned()), &WebhookKeys { secret: "keys".to_owned() });
    assert!(keyring.load().await.unwrap_err().is_transient());
    assert!(keyring.cached().is_none());
    assert!(keyring.refreshed().await.is_err(), "never an empty list that would make every delivery forged");
}
