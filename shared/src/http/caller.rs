//! The caller: who asks, as a verified token says. API Gateway's JWT authorizer has checked issuer, audience,
//! signature, time and the route's scope; here the claims are read again, so that a route wired without authorizer
//! answers 401.

use lambda_http::{Request, RequestExt};

use super::{Code, Problem};
use crate::config::{AccountOwner, Identity};
use crate::domain::ids::OrganizationId;
use crate::telemetry;

/// The header in which one of the SaaS's own services names the organization it acts for.
const ORGANIZATION_HEADER: &str = "tether-organization";

/// The longest display label that is passed on to Merge, in characters.
const LONGEST_LABEL: usize = 200;

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// `linked-accounts:read`
    LinkedAccountsRead,
    /// `linked-accounts:write`
    LinkedAccountsWrite,
    /// `records:read`
    RecordsRead,
    /// `organizations:act`: the SaaS's own services, on behalf of the organization they name.
    OrganizationsAct,
}

impl Scope {
    /// Its name without the configured prefix.
    pub fn name(self) -> &'static str {
        match self {
            Self::LinkedAccountsRead => "linked-accounts:read",
            Self::LinkedAccountsWrite => "linked-accounts:write",
            Self::RecordsRead => "records:read",
            Self::OrganizationsAct => "organizations:act",
        }
    }
}

/// Who asks, and for which organization. Nothing of it comes from path, query or body.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose accounts the request is about.
    pub organization: OrganizationId,
    /// The token's subject, for limits and the timeline.
    pub subject: String,
    /// The user's e-mail, a display label. `None` for services that act for an organization.
    pub email: Option<String>,
    /// The organization's name, a display label. `None` for services that act for an organization.
    pub organization_name: Option<String>,
    scopes: Vec<String>,
    scope_prefix: String,
}

impl Caller {
    /// Reads the verified claims. 401 without any, 403 without an organization.
    pub fn of(request: &Request, identity: &Identity) -> Result<Self, Problem> {
        let claim = |name: &str| claim(request, name);
        let subject = claim("sub").or_else(|| claim("client_id")).ok_or_else(unauthorized)?;
        let scopes = claim("scope").or_else(|| claim("scp")).unwrap_or_default();
        // The authorizer writes a claim that is a list as "[a b]".
        let scopes = scopes.trim_start_matches('[').trim_end_matches(']');
        let scopes: Vec<String> = scopes.split([' ', ',']).filter(|s| !s.is_empty()).map(str::to_owned).collect();

        let acts = scopes.iter().any(|scope| is(scope, &identity.scope_prefix, Scope::OrganizationsAct));
        let named = acts.then(|| request.headers().get(ORGANIZATION_HEADER)).flatten();
        let organization = match (named, identity.account_owner) {
            (Some(header), _) => Some(header.to_str().unwrap_or_default().to_owned()),
            (None, AccountOwner::Organization) => claim(&identity.organization_claim),
            (None, AccountOwner::User) => Some(subject.clone()),
        };
        let organization = organization
            .and_then(|organization| OrganizationId::parse(organization).ok())
            .ok_or_else(|| Problem::new(Code::Forbidden, "The token does not name an organization."))?;
        telemetry::about(&organization);
        // The labels of a service are not those of the organization that it acts for.
        let label = |name: &str| if named.is_some() { None } else { claim(name).and_then(|label| capped(&label)) };
        Ok(Self {
            organization,
            email: label(&identity.email_claim),
            organization_name: label(&identity.organization_name_claim),
            subject,
            scopes,
            scope_prefix: identity.scope_prefix.clone(),
        })
    }

    /// 403 unless the token has the scope.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.has(scope) {
            return Ok(());
        }
        Err(Problem::new(Code::Forbidden, format!("The token lacks the scope {}.", scope.name())))
    }

    /// Whether the token has the scope.
    pub fn has(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|name| is(name, &self.scope_prefix, scope))
    }
}

/// For routes whose answer is the same for every organization: 401 unless the request carries verified claims.
pub fn is_authenticated(request: &Request) -> Result<(), Problem> {
    claim(request, "sub").or_else(|| claim(request, "client_id")).map(|_| ()).ok_or_else(unauthorized)
}

fn unauthorized() -> Problem {
    Problem::new(Code::Unauthorized, "The request carries no verified token.")
}

fn is(name: &str, prefix: &str, scope: Scope) -> bool {
    name.strip_prefix(prefix) == Some(scope.name())
}

fn claim(request: &Request, name: &str) -> Option<String> {
    let lambda_http::request::RequestContext::ApiGatewayV2(context) = request.request_context_ref()? else {
        return None;
    };
    let value = context.authorizer.as_ref()?.jwt.as_ref()?.claims.get(name)?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

fn capped(label: &str) -> Option<String> {
    let label: String = label.chars().filter(|c| !c.is_control()).take(LONGEST_LABEL).collect();
    (!label.trim().is_empty()).then_some(label)
}
