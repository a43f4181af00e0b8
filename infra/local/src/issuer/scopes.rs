//! Scopes: what a token may be used for. The API's own carry a prefix, OIDC's do not.

use std::fmt;

const DATA: [&str; 3] = ["linked-accounts:read", "linked-accounts:write", "records:read"];
const ACT: &str = "organizations:act";
const OIDC: [&str; 3] = ["openid", "profile", "email"];

/// A granted set, in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scopes(Vec<String>);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// A service: data scopes by default, `organizations:act` when it asks.
    Service,
    /// A person on the page: never `organizations:act`, but OIDC's scopes.
    Person,
}

impl Scopes {
    /// Grants what was asked for; nothing asked for is the data scopes.
    ///
    /// # Errors
    ///
    /// The scope that does not exist or is not for this audience.
    pub fn grant(asked: Option<&str>, prefix: &str, audience: Audience) -> Result<Self, String> {
        let data: Vec<_> = DATA.iter().map(|scope| format!("{prefix}{scope}")).collect();
        let asked: Vec<_> = asked.unwrap_or_default().split_whitespace().collect();
        if asked.is_empty() {
            return Ok(Self(data));
        }
        let allowed = |scope: &str| match audience {
            Audience::Service => scope == format!("{prefix}{ACT}"),
            Audience::Person => OIDC.contains(&scope),
        };
        match asked.iter().find(|scope| !data.iter().any(|known| known == *scope) && !allowed(scope)) {
            Some(refused) => Err((*refused).to_owned()),
            None => Ok(Self(asked.into_iter().map(str::to_owned).collect())),
        }
    }

    pub fn contains(&self, scope: &str) -> bool {
        self.0.iter().any(|granted| granted == scope)
    }

    /// Every scope that the issuer knows, for its metadata.
    pub fn supported(prefix: &str) -> Vec<String> {
        let own = DATA.iter().chain([&ACT]).map(|scope| format!("{prefix}{scope}"));
        OIDC.iter().map(|scope| (*scope).to_owned()).chain(own).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: Option<&str>, audience: Audience, expected: Result<&str, &str>) {
        let granted = Scopes::grant(asked, "t/", audience).map(|scopes| scopes.to_string());
        assert_eq!(granted, expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn only_a_service_may_act_for_organizations_and_only_when_it_asks() {
        let data = "t/linked-accounts:read t/linked-accounts:write t/records:read";
        check(None, Audience::Service, Ok(data));
        check(Some(""), Audience::Person, Ok(data));
        check(Some("t/organizations:act t/records:read"), Audience::Service, Ok("t/organizations:act t/records:read"));
        check(Some("t/organizations:act"), Audience::Person, Err("t/organizations:act"));
        check(Some("openid t/records:read"), Audience::Person, Ok("openid t/records:read"));
        check(Some("records:read"), Audience::Service, Err("records:read"));
    }
}
