//! Signing in as a person: the page's own way to a token, by authorization code and PKCE.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::redirect::Policy;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Api, System};

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0123456789";
const SCOPE: &str = "openid tether/linked-accounts:read tether/linked-accounts:write tether/records:read";

impl System {
    /// The API as the person of `organization` (`org_<name>`) calls it. `subject`: whose accounts these are where each
    /// person has their own.
    pub async fn person(&self, organization: &str, subject: &str) -> Api<'_> {
        let page = self.ready().page.clone();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let form = [
            ("response_type", "code"),
            ("client_id", "tether-page"),
            ("redirect_uri", &page),
            ("scope", SCOPE),
            ("state", "s"),
            ("nonce", "n"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("organization", organization),
        ];
        let browser = reqwest::Client::builder().redirect(Policy::none()).no_proxy().build().expect("an HTTP client");
        let chosen = browser.post(format!("{}/authorize", self.ready().issuer)).form(&form).send().await;
        let chosen = chosen.expect("the issuer answers");
        let back = chosen.headers()["location"].to_str().expect("a redirect");
        let code = back.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).expect("a code");
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", "tether-page"),
            ("redirect_uri", &page),
            ("code", code),
            ("code_verifier", VERIFIER),
        ];
        let answer = browser.post(&self.ready().token).form(&form).send().await.expect("the issuer answers");
        let answer: Value = answer.json().await.expect("a token answer");
        let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("no token: {answer}"));
        self.secrets().plant("access token", token);
        Api::new(self, subject, token.to_owned())
    }
}
