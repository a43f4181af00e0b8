//! KMS: the encryption context is part of the lock, and keys outlive a restart.

use std::collections::HashMap;

use aws_sdk_kms::Client;
use aws_sdk_kms::error::ProvideErrorMetadata;
use aws_sdk_kms::primitives::Blob;
use local_stack::aws::Aws;
use local_stack::provision::provision;

use crate::{Scratch, deployment, endpoint, sdk, start};

const KEY: &str = "arn:aws:kms:us-east-1:000000000000:alias/tether-local-TokenKey";

fn context(organization: &str) -> Option<HashMap<String, String>> {
    Some(HashMap::from([
        ("organization_id".to_owned(), organization.to_owned()),
        ("linked_account".to_owned(), "m-1".to_owned()),
    ]))
}

async fn client(aws: &Aws) -> Client {
    provision(&deployment(&endpoint(aws), "key"), &endpoint(aws)).await.unwrap();
    Client::new(&sdk(aws, "test").await)
}

async fn encrypt(kms: &Client, organization: &str) -> Blob {
    kms.encrypt()
        .key_id(KEY)
        .plaintext(Blob::new("account-token"))
        .set_encryption_context(context(organization))
        .send()
        .await
        .unwrap()
        .ciphertext_blob
        .unwrap()
}

async fn decrypt(kms: &Client, blob: &Blob, organization: &str) -> Result<Vec<u8>, aws_sdk_kms::Error> {
    let answer = kms
        .decrypt()
        .key_id(KEY)
        .ciphertext_blob(blob.clone())
        .set_encryption_context(context(organization))
        .send()
        .await?;
    Ok(answer.plaintext.unwrap().into_inner())
}

#[tokio::test]
async fn another_organizations_context_does_not_decrypt() {
    let aws = start(None).await;
    let kms = client(&aws).await;
    let blob = encrypt(&kms, "acme").await;
    assert_eq!(decrypt(&kms, &blob, "acme").await.unwrap(), b"account-token");
    let error = decrypt(&kms, &blob, "globex").await.unwrap_err();
    assert!(matches!(error, aws_sdk_kms::Error::InvalidCiphertextException(_)), "{error:?}");
    let unknown = kms.encrypt().key_id("alias/none").plaintext(Blob::new("x")).send().await;
    assert!(unknown.unwrap_err().into_service_error().is_not_found_exception());
    let absent = kms.list_aliases().send().await.unwrap();
    assert_eq!(absent.aliases().len(), 2);
    assert_eq!(kms.describe_key().key_id("alias/none").send().await.unwrap_err().code(), Some("NotFoundException"));
    aws.stop().await;
}

#[tokio::test]
async fn what_an_earlier_run_encrypted_can_be_decrypted() {
    let scratch = Scratch::new();
    let aws = start(Some(&scratch.0)).await;
    let blob = encrypt(&client(&aws).await, "acme").await;
    drop(aws);
    for _ in 0..2 {
        let aws = start(Some(&scratch.0)).await;
        let kms = client(&aws).await;
        assert_eq!(decrypt(&kms, &blob, "acme").await.unwrap(), b"account-token");
        assert!(decrypt(&kms, &blob, "globex").await.is_err());
        aws.stop().await;
    }
}
