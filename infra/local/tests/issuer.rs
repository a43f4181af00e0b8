//! The issuer: client credentials exactly as scripts use them, and the page's PKCE flow.

mod support;

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use local_stack::issuer::{Issuer, IssuerOptions};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::{client, listener, url};
use url::Url;

const PAGE: &str = "http://127.0.0.1:9000";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0123456789";

struct Running {
    url: String,
    http: Client,
    _issuer: Issuer,
}

async fn issuer() -> Running {
    issuer_with(None).await
}

async fn issuer_with(data_dir: Option<std::path::PathBuf>) -> Running {
    let listener = listener().await;
    let url = url(&listener);
    let options = IssuerOptions {
        url: url.clone(),
        page_origin: PAGE.to_owned(),
        audience: "tether-local".to_owned(),
        scope_prefix: "tether/".to_owned(),
        data_dir,
    };
    let issuer = Issuer::start(listener, options).expect("the issuer starts");
    Running { url, http: client(), _issuer: issuer }
}

impl Running {
    async fn token(&self, form: &[(&str, &str)]) -> Response {
        self.http.post(format!("{}/token", self.url)).form(form).send().await.expect("an answer")
    }

    fn authorize_url(&self, changed: &[(&str, &str)]) -> Url {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut query = HashMap::from([
            ("response_type", "code"),
            ("client_id", "tether-page"),
            ("redirect_uri", "http://127.0.0.1:9000/"),
            ("scope", "openid tether/linked-accounts:read"),
            ("state", "state & more"),
            ("nonce", "n-1"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        query.extend(changed.iter().copied());
        Url::parse_with_params(&format!("{}/authorize", self.url), query).expect("a URL")
    }

    /// Chooses Acme on the sign-in page and returns the code.
    async fn code(&self) -> String {
        let back = redirect(&self.choose(&self.authorize_url(&[]), "org_acme").await);
        assert_eq!(back["state"], "state & more");
        assert_eq!(back["iss"], self.url);
        back["code"].clone()
    }

    async fn choose(&self, authorize: &Url, organization: &str) -> Response {
        let mut form: Vec<_> = authorize.query_pairs().into_owned().collect();
        form.push(("organization".to_owned(), organization.to_owned()));
        self.http.post(format!("{}/authorize", self.url)).form(&form).send().await.expect("an answer")
    }

    async fn redeem(&self, code: &str, changed: &[(&str, &str)]) -> Response {
        let mut form = HashMap::from([
            ("grant_type", "authorization_code"),
            ("client_id", "tether-page"),
            ("redirect_uri", "http://127.0.0.1:9000/"),
            ("code", code),
            ("code_verifier", VERIFIER),
        ]);
        form.extend(changed.iter().copied());
        self.token(&form.into_iter().collect::<Vec<_>>()).await
    }
}

/// Query parameters of a redirect to the page.
fn redirect(response: &Response) -> HashMap<String, String> {
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    let location = response.headers()["location"].to_str().expect("text");
    let url = Url::parse(location).expect("a URL");
    assert_eq!(url.origin().ascii_serialization(), PAGE);
    url.query_pairs().into_owned().collect()
}

fn claims(token: &Value) -> Value {
    jsonwebtoken::dangerous::insecure_decode_claims(token.as_str().expect("a token")).expect("claims")
}

async fn json(response: Response, status: StatusCode) -> Value {
    assert_eq!(response.status(), status);
    response.json().await.expect("JSON")
}

#[tokio::test]
async fn client_credentials_have_the_shapes_of_the_contract() {
    let issuer = issuer().await;
    let form = [("grant_type", "client_credentials"), ("client_id", "org_blue_sky"), ("client_secret", "dev")];
    let answer = json(issuer.token(&form).await, StatusCode::OK).await;
    let scope = "tether/linked-accounts:read tether/linked-accounts:write tether/records:read";
    assert_eq!((&answer["token_type"], &answer["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(answer["scope"], scope);
    let claims = claims(&answer["access_token"]);
    let issued = claims["iat"].as_u64().expect("a time");
    let expected = json!({
        "iss": issuer.url, "sub": "org_blue_sky", "client_id": "org_blue_sky", "org_id": "org_blue_sky",
        "aud": "tether-local", "org_name": "Blue Sky", "email": "admin@blue-sky.example", "scope": scope,
        "iat": issued, "exp": issued + 3600,
    });
    assert_eq!(claims, expected);
}

#[tokio::test]
async fn organizations_act_is_granted_only_when_asked_for() {
    let issuer = issuer().await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "org_acme"),
        ("client_secret", "dev"),
        ("scope", "tether/organizations:act tether/records:read"),
    ];
    let answer = json(issuer.token(&form).await, StatusCode::OK).await;
    assert_eq!(claims(&answer["access_token"])["scope"], "tether/organizations:act tether/records:read");
}

#[tokio::test]
async fn wrong_clients_grants_and_scopes_are_refused() {
    let issuer = issuer().await;
    let check = async |form: &[(&str, &str)], status, error| {
        let answer = json(issuer.token(form).await, status).await;
        assert_eq!(answer, json!({ "error": error }), "{form:?}");
    };
    let credentials = ("grant_type", "client_credentials");
    let (unauthorized, bad) = (StatusCode::UNAUTHORIZED, StatusCode::BAD_REQUEST);
    check(&[credentials, ("client_id", "org_acme"), ("client_secret", "no")], unauthorized, "invalid_client").await;
    check(&[credentials, ("client_id", "org_acme")], unauthorized, "invalid_client").await;
    check(&[credentials, ("client_id", "acme"), ("client_secret", "dev")], unauthorized, "invalid_client").await;
    check(
        &[credentials, ("client_id", "org_acme"), ("client_secret", "dev"), ("scope", "everything")],
        bad,
        "invalid_scope",
    )
    .await;
    check(&[("grant_type", "password")], bad, "unsupported_grant_type").await;
}

#[tokio::test]
async fn client_credentials_may_come_as_basic_authentication() {
    let issuer = issuer().await;
    let request = issuer.http.post(format!("{}/token", issuer.url)).basic_auth("org_acme", Some("dev"));
    let answer = request.form(&[("grant_type", "client_credentials")]).send().await.expect("an answer");
    assert_eq!(claims(&json(answer, StatusCode::OK).await["access_token"])["org_id"], "org_acme");
}

#[tokio::test]
async fn a_person_signs_in_with_pkce() {
    let issuer = issuer().await;
    let page = issuer.http.get(issuer.authorize_url(&[])).send().await.expect("an answer");
    assert_eq!(page.status(), StatusCode::OK);
    let html = page.text().await.expect("text");
    assert!(html.contains(">Acme<") && html.contains(">Globex<"));
    assert!(html.contains("value=\"state &amp; more\""), "what it was asked is escaped");

    let answer = json(issuer.redeem(&issuer.code().await, &[]).await, StatusCode::OK).await;
    let access = claims(&answer["access_token"]);
    assert_eq!((&access["org_id"], &access["client_id"]), (&json!("org_acme"), &json!("tether-page")));
    assert_eq!((&access["org_name"], &access["email"]), (&json!("Acme"), &json!("admin@acme.example")));
    assert_eq!(
        (&access["aud"], &access["scope"]),
        (&json!("tether-local"), &json!("openid tether/linked-accounts:read"))
    );
    let id = claims(&answer["id_token"]);
    assert_eq!((&id["aud"], &id["nonce"], &id["sub"]), (&json!("tether-page"), &json!("n-1"), &access["sub"]));
}

#[tokio::test]
async fn a_code_works_once_and_only_with_its_verifier_and_redirect_uri() {
    let issuer = issuer().await;
    let refused = json!({"error": "invalid_grant"});
    let bad = StatusCode::BAD_REQUEST;
    let code = issuer.code().await;
    assert_eq!(json(issuer.redeem(&code, &[("code_verifier", &"x".repeat(60))]).await, bad).await, refused);
    assert_eq!(json(issuer.redeem(&code, &[]).await, bad).await, refused, "a wrong guess uses the code up");
    let code = issuer.code().await;
    assert_eq!(json(issuer.redeem(&code, &[("redirect_uri", "http://127.0.0.1:9000/x")]).await, bad).await, refused);
    let code = issuer.code().await;
    assert_eq!(issuer.redeem(&code, &[]).await.status(), StatusCode::OK);
    assert_eq!(json(issuer.redeem(&code, &[]).await, bad).await, refused);
    assert_eq!(json(issuer.redeem("unknown", &[]).await, bad).await, refused);
}

#[tokio::test]
async fn a_foreign_client_or_redirect_uri_is_never_redirected_to() {
    let issuer = issuer().await;
    for change in [
        ("client_id", "other"),
        ("redirect_uri", "http://127.0.0.1:9001/"),
        ("redirect_uri", "http://evil.example/"),
        ("redirect_uri", "http://127.0.0.1:9000@evil.example/"),
        ("redirect_uri", ""),
    ] {
        let asked = issuer.authorize_url(&[change]);
        assert_eq!(issuer.choose(&asked, "org_acme").await.status(), StatusCode::BAD_REQUEST, "{change:?}");
        let page = issuer.http.get(asked).send().await.expect("an answer");
        assert_eq!(page.status(), StatusCode::BAD_REQUEST, "{change:?}");
    }
}

#[tokio::test]
async fn other_faults_go_back_to_the_client() {
    let issuer = issuer().await;
    let check = async |change: (&str, &str), error: &str| {
        let answer = issuer.http.get(issuer.authorize_url(&[change])).send().await.expect("an answer");
        let back = redirect(&answer);
        assert_eq!((back["error"].as_str(), back["state"].as_str()), (error, "state & more"), "{change:?}");
    };
    check(("code_challenge_method", "plain"), "invalid_request").await;
    check(("code_challenge", ""), "invalid_request").await;
    check(("response_type", "token"), "unsupported_response_type").await;
    check(("scope", "tether/organizations:act"), "invalid_scope").await;
    check(("prompt", "none"), "login_required").await;
    let chosen = issuer.choose(&issuer.authorize_url(&[]), "org_other").await;
    assert_eq!(redirect(&chosen)["error"], "access_denied");
}

#[tokio::test]
async fn the_page_alone_may_read_answers_from_the_browser() {
    let issuer = issuer().await;
    for path in ["/.well-known/openid-configuration", "/.well-known/jwks.json"] {
        let answer = issuer.http.get(format!("{}{path}", issuer.url)).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["access-control-allow-origin"], PAGE, "{path}");
    }
}

#[tokio::test]
async fn the_key_survives_a_restart_with_a_data_directory() {
    let directory = std::env::temp_dir().join(format!("tether-issuer-{}", uuid::Uuid::new_v4()));
    std::fs::create_dir(&directory).expect("a directory");
    let keys = async |issuer: Running| {
        let answer = issuer.http.get(format!("{}/.well-known/jwks.json", issuer.url)).send().await;
        answer.expect("an answer").json::<Value>().await.expect("JSON")
    };
    let first = keys(issuer_with(Some(directory.clone())).await).await;
    let second = keys(issuer_with(Some(directory.clone())).await).await;
    let other = keys(issuer().await).await;
    assert_eq!(first, second);
    assert_ne!(first, other);
    std::fs::remove_dir_all(directory).expect("cleaned up");
}
