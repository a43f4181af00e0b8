//! The JWT authorizer: what passes, and every forgery that must not.

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use local_stack::deployment::JwtAuthorizer;
use local_stack::edge::authorizer::{Authorizer, Refusal};
use serde_json::{Value, json};
use support::{client, listener, url};

struct Issuer {
    url: String,
    key: EncodingKey,
    jwk: Jwk,
    authorizer: Authorizer,
}

fn key() -> (EncodingKey, String) {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("DER");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der.as_ref()));
    (EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key"), pem)
}

/// An issuer with one key, `k1`, and the authorizer that trusts it.
async fn issuer() -> Issuer {
    let listener = listener().await;
    let url = url(&listener);
    let (key, _) = key();
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).expect("a JWK");
    jwk.common.key_id = Some("k1".to_owned());
    let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
    let keys = json!({"keys": [jwk]});
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(async || Json(discovery)))
        .route("/keys", get(async || Json(keys)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let trusted = JwtAuthorizer { issuer: url.clone(), audiences: vec!["api".to_owned()] };
    Issuer { authorizer: Authorizer::new(&trusted, client()), url, key, jwk }
}

impl Issuer {
    /// Good claims with some changed; null removes one.
    fn claims(&self, changed: Value) -> Value {
        let now = now();
        let mut claims = json!({
            "iss": self.url, "aud": "api", "sub": "someone", "scope": "a b", "iat": now, "exp": now + 60,
            "number": 7, "list": ["x", "y"],
        });
        for (name, value) in changed.as_object().expect("an object") {
            match value {
                Value::Null => drop(claims.as_object_mut().expect("an object").remove(name)),
                value => claims[name] = value.clone(),
            }
        }
        claims
    }

    fn token(&self, changed: Value) -> String {
        signed(&self.key, Some("k1"), &self.claims(changed))
    }

    async fn authorize(&self, token: &str, scopes: &[&str]) -> Result<Value, Refusal> {
        let scopes: Vec<_> = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.authorizer.authorize(Some(&format!("Bearer {token}")), &scopes).await
    }

    async fn check(&self, what: &str, token: &str, expected: Result<(), Refusal>) {
        assert_eq!(self.authorize(token, &["b"]).await.map(drop), expected, "{what}");
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

fn signed(key: &EncodingKey, id: Option<&str>, claims: &Value) -> String {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = id.map(str::to_owned);
    encode(&header, claims, key).expect("a token")
}

#[tokio::test]
async fn a_good_token_becomes_claims_as_strings() {
    let issuer = issuer().await;
    let context = issuer.authorize(&issuer.token(json!({})), &["b", "c"]).await.expect("it passes");
    let claims = &context["jwt"]["claims"];
    assert_eq!((&claims["sub"], &claims["number"], &claims["list"]), (&json!("someone"), &json!("7"), &json!("[x y]")));
    assert_eq!(context["jwt"]["scopes"], json!(["b"]));
    let context = issuer.authorize(&issuer.token(json!({})), &[]).await.expect("it passes");
    assert_eq!(context["jwt"]["scopes"], Value::Null);
}

#[tokio::test]
async fn checklist_18_claims_are_checked_as_api_gateway_does() {
    let issuer = issuer().await;
    let refused = Err(Refusal::Unauthorized);
    let cases = [
        ("expired", json!({"exp": now() - 1}), refused),
        ("without expiry", json!({"exp": null}), refused),
        ("not yet valid", json!({"nbf": now() + 60}), refused),
        ("valid since a while", json!({"nbf": now() - 60}), Ok(())),
        ("issued in the future", json!({"iat": now() + 60}), refused),
        ("another audience", json!({"aud": "other"}), refused),
        ("several audiences", json!({"aud": ["other", "api"]}), Ok(())),
        ("client id in place of an audience", json!({"aud": null, "client_id": "api"}), Ok(())),
        ("client id besides a wrong audience", json!({"aud": "other", "client_id": "api"}), refused),
        ("neither audience nor client id", json!({"aud": null}), refused),
        ("another issuer", json!({"iss": "http://evil.example"}), refused),
        ("no issuer", json!({"iss": null}), refused),
        ("scope in scp", json!({"scope": null, "scp": ["b"]}), Ok(())),
        ("another scope", json!({"scope": "a bb"}), Err(Refusal::Forbidden)),
        ("no scope", json!({"scope": null}), Err(Refusal::Forbidden)),
    ];
    for (what, changed, expected) in cases {
        issuer.check(what, &issuer.token(changed), expected).await;
    }
}

#[tokio::test]
async fn checklist_18_forged_tokens_are_refused() {
    let issuer = issuer().await;
    let refused = Err(Refusal::Unauthorized);
    let claims = issuer.claims(json!({}));
    let good = issuer.token(json!({}));
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());

    for algorithm in ["none", "None", "NONE"] {
        let unsigned = format!("{}.{}.", part(&json!({"alg": algorithm, "typ": "JWT", "kid": "k1"})), part(&claims));
        issuer.check(algorithm, &unsigned, refused).await;
    }
    // The classic confusion: an HMAC whose secret is the public key, which everybody has.
    let public = serde_json::to_vec(&issuer.jwk).expect("JSON");
    for secret in [public.as_slice(), b"k1", b""] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("k1".to_owned());
        let hmac = encode(&header, &claims, &EncodingKey::from_secret(secret)).expect("a token");
        issuer.check("HS256", &hmac, refused).await;
    }
    let (other, _) = key();
    issuer.check("another key under the same id", &signed(&other, Some("k1"), &claims), refused).await;
    issuer.check("an unknown key id", &signed(&issuer.key, Some("k2"), &claims), refused).await;
    issuer.check("no key id", &signed(&issuer.key, None, &claims), refused).await;
    let mut header = Header::new(Algorithm::RS384);
    header.kid = Some("k1".to_owned());
    issuer.check("RS384", &encode(&header, &claims, &issuer.key).expect("a token"), refused).await;
    let (head, signature) = good.rsplit_once('.').expect("three parts");
    let (first, _) = head.split_once('.').expect("three parts");
    let swapped = format!("{first}.{}.{signature}", part(&issuer.claims(json!({"sub": "someone else"}))));
    issuer.check("other claims under the signature", &swapped, refused).await;
    issuer.check("no signature", &format!("{head}."), refused).await;
    issuer.check("garbage", "a.b.c", refused).await;
    issuer.check("nothing", "", refused).await;
    issuer.check("the good one", &good, Ok(())).await;
}

#[tokio::test]
async fn the_header_is_a_bearer_token_or_the_token_alone() {
    let issuer = issuer().await;
    let token = issuer.token(json!({}));
    let check = async |header: Option<String>, expected: Result<(), Refusal>| {
        let decided = issuer.authorizer.authorize(header.as_deref(), &[]).await;
        assert_eq!(decided.map(drop), expected, "{header:?}");
    };
    check(Some(format!("Bearer {token}")), Ok(())).await;
    check(Some(format!("bearer {token}")), Ok(())).await;
    check(Some(token.clone()), Ok(())).await;
    check(Some(format!("Basic {token}")), Err(Refusal::Unauthorized)).await;
    check(None, Err(Refusal::Unauthorized)).await;
}
