//! The rows of the matrix: every route of the template, and every field that it takes.

/// A field that holds an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `{id}` of the path: an account.
    Account,
    /// A query parameter that names an account.
    AccountOf(&'static str),
    /// The query parameter `cursor`: it was given for a list of one organization, or of one of its accounts.
    Cursor,
    /// `acknowledge_issues` of the body: an issue of one account.
    Issue,
    /// `public_token` of the body: what Merge's dialog gave to one organization's page.
    PublicToken,
}

impl Field {
    pub fn name(self) -> &'static str {
        match self {
            Self::Account => "id",
            Self::AccountOf(name) => name,
            Self::Cursor => "cursor",
            Self::Issue => "acknowledge_issues",
            Self::PublicToken => "public_token",
        }
    }
}

/// One route of the template.
pub struct Row {
    pub route: &'static str,
    pub ids: &'static [Field],
    /// Fields that name nothing of anybody's.
    pub plain: &'static [&'static str],
    /// Sent along, so that the request is a good one but for the id.
    pub body: Option<&'static str>,
    pub query: &'static str,
    /// The answer to what is one's own.
    pub own: u16,
}

const PLAIN: Row = Row { route: "", ids: &[], plain: &[], body: None, query: "", own: 200 };

/// Every route, the one that deletes last.
pub const ROWS: [Row; 17] = [
    Row { route: "GET /", ..PLAIN },
    Row { route: "GET /assets/{path+}", plain: &["path"], ..PLAIN },
    Row { route: "GET /config.json", ..PLAIN },
    Row { route: "GET /openapi.json", ..PLAIN },
    Row { route: "GET /v1/integrations", plain: &["category"], query: "category=hris", ..PLAIN },
    Row {
        route: "POST /v1/link-tokens",
        plain: &["category", "integration", "language", "magic_link", "end_user.email", "end_user.organization_name"],
        body: Some(r#"{"category":"ats","end_user":{"email":"admin@example.com","organization_name":"Example"}}"#),
        own: 201,
        ..PLAIN
    },
    Row {
        route: "GET /v1/linked-accounts",
        ids: &[Field::AccountOf("duplicates_of"), Field::Cursor],
        plain: &["category", "status", "limit"],
        query: "limit=1",
        ..PLAIN
    },
    Row {
        route: "POST /v1/linked-accounts",
        ids: &[Field::PublicToken],
        // A key names a request of its own organization; elsewhere it is a new one (`repeats.rs`).
        plain: &["category", "Idempotency-Key"],
        own: 201,
        ..PLAIN
    },
    Row { route: "GET /v1/linked-accounts/{id}", ids: &[Field::Account], ..PLAIN },
    Row {
        route: "GET /v1/linked-accounts/{id}/sync-status",
        ids: &[Field::Account],
        plain: &["refresh"],
        query: "refresh=true",
        ..PLAIN
    },
    Row {
        route: "GET /v1/linked-accounts/{id}/events",
        ids: &[Field::Account, Field::Cursor],
        plain: &["limit"],
        query: "limit=1",
        ..PLAIN
    },
    Row {
        route: "GET /v1/linked-accounts/{id}/records/{model}",
        ids: &[Field::Account, Field::Cursor],
        plain: &["model", "include_deleted", "limit"],
        query: "limit=1&include_deleted=true",
        ..PLAIN
    },
    Row {
        route: "GET /v1/linked-accounts/{id}/changes",
        ids: &[Field::Account, Field::Cursor],
        plain: &["model", "limit"],
        query: "limit=1",
        ..PLAIN
    },
    Row {
        route: "POST /v1/linked-accounts/{id}/sync",
        ids: &[Field::Account],
        plain: &["mode", "models", "ask_provider", "Idempotency-Key"],
        body: Some(r#"{"models":["hris.Employee"]}"#),
        own: 202,
        ..PLAIN
    },
    Row {
        route: "POST /v1/linked-accounts/{id}/relink",
        ids: &[Field::Account],
        plain: &["language", "magic_link", "end_user.email", "end_user.organization_name"],
        body: Some(r#"{"end_user":{"email":"admin@example.com","organization_name":"Example"}}"#),
        own: 201,
        ..PLAIN
    },
    Row {
        route: "PATCH /v1/linked-accounts/{id}",
        ids: &[Field::Account, Field::Issue],
        plain: &["display_name", "duplicate_ignored", "deletions_held", "deletions_held_for"],
        body: Some(r#"{"display_name":"mine"}"#),
        ..PLAIN
    },
    Row { route: "DELETE /v1/linked-accounts/{id}", ids: &[Field::Account], own: 202, ..PLAIN },
];
