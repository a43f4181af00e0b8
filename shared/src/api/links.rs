//! Link tokens and exchanges: `POST /v1/link-tokens`, `/v1/linked-accounts` and `/v1/linked-accounts/{id}/relink`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{category::Category, secret::LinkToken};
use crate::http::Problem;

/// Asks for a link token.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateLinkToken {
    /// The kind of system to connect.
    #[schema(value_type = String, example = "hris")]
    pub category: Category,
    /// Slug of the one integration to offer; none offers all of the category.
    #[serde(default)]
    pub integration: Option<String>,
    /// Language of the dialog.
    #[serde(default)]
    #[schema(example = "en")]
    pub language: Option<Language>,
    /// Also answer a URL that opens the dialog on its own.
    #[serde(default)]
    pub magic_link: bool,
    /// Who connects, if the token does not say.
    #[serde(default)]
    pub end_user: Option<EndUser>,
}

/// Asks for the link token of a relink.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Relink {
    /// Language of the dialog.
    #[serde(default)]
    pub language: Option<Language>,
    /// Also answer a URL that opens the dialog on its own.
    #[serde(default)]
    pub magic_link: bool,
    /// Who connects, if the token does not say.
    #[serde(default)]
    pub end_user: Option<EndUser>,
}

/// A language of the dialog.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    En,
    De,
}

impl Language {
    /// Its code.
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
        }
    }
}

/// Display labels of the person who connects; no mail is sent.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndUser {
    /// At most 100 characters.
    pub email: String,
    /// At most 100 characters.
    pub organization_name: String,
}

// Labels of people stand in no log.
impl std::fmt::Debug for EndUser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EndUser")
    }
}

/// The longest display label and integration slug, in characters: Merge has refused longer ones.
const LONGEST_LABEL: usize = 100;

impl EndUser {
    /// The labels of an end user: those of the token, else those of the request. 400 with neither. A long name is cut;
    /// a long e-mail address is left out, because what is left of it is no address.
    pub fn of(
        email: Option<&str>,
        organization_name: Option<&str>,
        request: Option<&EndUser>,
    ) -> Result<EndUser, Problem> {
        let label = |text: &str| {
            let label: String = text.trim().chars().filter(|c| !c.is_control()).collect();
            (!label.is_empty()).then_some(label)
        };
        let address = |text: &str| label(text).filter(|address| address.chars().count() <= LONGEST_LABEL);
        let name = |text: &str| label(text).map(|name| name.chars().take(LONGEST_LABEL).collect());
        let email = email.and_then(address).or_else(|| address(&request?.email));
        let organization_name = organization_name.and_then(name).or_else(|| name(&request?.organization_name));
        match (email, organization_name) {
            (Some(email), Some(organization_name)) => Ok(Self { email, organization_name }),
            _ => Err(Problem::new(
                crate::http::Code::EndUserRequired,
                "Name the end user in end_user, since the token does not: an e-mail address of at most 100 characters and \
                 the organization's name.",
            )),
        }
    }
}

/// An integration's slug as it may stand in a request.
pub fn integration_slug(text: &str) -> Result<&str, Problem> {
    let shape = !text.is_empty()
        && text.len() <= LONGEST_LABEL
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if shape { Ok(text) } else { Err(Problem::invalid("integration is not the slug of an integration.")) }
}

/// A fresh link token.
#[derive(Serialize, ToSchema)]
pub struct LinkTokenCreated {
    /// Opens the dialog once.
    pub link_token: String,
    /// Name of the integration, if one is implied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration_name: Option<String>,
    /// Opens the dialog on its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub magic_link_url: Option<String>,
    /// Our id of the account, the same before and after it is connected.
    pub id: Uuid,
}

impl LinkTokenCreated {
    /// The answer that hands the token to the page.
    pub fn new(
        link_token: &LinkToken,
        integration_name: Option<String>,
        magic_link_url: Option<&LinkToken>,
        id: Uuid,
    ) -> Self {
        let magic_link_url = magic_link_url.map(|url| url.expose().to_owned());
        Self { link_token: link_token.expose().to_owned(), integration_name, magic_link_url, id }
    }
}

/// Completes a connection with what the dialog gave the page.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The public token; good once, for a few minutes.
    pub public_token: String,
    /// The category that was connected.
    #[schema(value_type = String, example = "hris")]
    pub category: Category,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Code;

    #[test]
    fn the_token_names_the_end_user_before_the_request_does() {
        let given = EndUser { email: "b@x.example".into(), organization_name: "Given\n".into() };
        let user = EndUser::of(Some("a@x.example"), None, Some(&given)).unwrap();
        assert_eq!((user.email.as_str(), user.organization_name.as_str()), ("a@x.example", "Given"));
        let nobody = EndUser::of(None, Some("Acme"), None);
        assert_eq!(nobody.map(|_| ()).map_err(|p| p.code()), Err(Code::EndUserRequired));
    }

    #[test]
    fn a_long_name_is_cut_and_a_long_address_left_out() {
        let long = format!("{}@x.example", "ä".repeat(LONGEST_LABEL - 9));
        let given = EndUser { email: "b@x.example".into(), organization_name: "x".repeat(200) };
        let user = EndUser::of(Some(&long), None, Some(&given)).unwrap();
        assert_eq!((user.email.as_str(), user.organization_name.len()), ("b@x.example", LONGEST_LABEL));
        let nobody = EndUser::of(Some(&long), Some("Acme"), None);
        assert_eq!(nobody.map(|_| ()).map_err(|p| p.code()), Err(Code::EndUserRequired));
        let fits = &long["ä".len()..];
        assert_eq!(EndUser::of(Some(fits), Some("Acme"), None).unwrap().email, fits);
    }

    #[test]
    fn a_slug_is_one_word() {
        assert!(integration_slug("adp-workforce-now").is_ok());
        for bad in ["", "A", "a/b", "a b", "../x", &"x".repeat(300)] {
            assert!(integration_slug(bad).is_err(), "{bad}");
        }
    }
}
