//! The operations of the API: what each takes, answers and refuses.

use shared::api::{accounts, links, records, sync};
use shared::http::{Code, Scope};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, schema::Schema},
};

type Schemas = Vec<(String, RefOr<Schema>)>;

/// A type of the API: its name, and itself with all that it refers to.
pub struct Shape {
    pub name: String,
    pub schemas: fn(&mut Schemas),
}

fn shape<T: ToSchema + PartialSchema>() -> Shape {
    fn collect<T: ToSchema + PartialSchema>(schemas: &mut Schemas) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
    Shape { name: T::name().into_owned(), schemas: collect::<T> }
}

/// A parameter of the query, or a header.
pub struct Parameter {
    pub place: &'static str,
    pub name: &'static str,
    pub about: &'static str,
    /// JSON schema, as text.
    pub schema: &'static str,
}

/// One operation.
pub struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    pub id: &'static str,
    pub summary: &'static str,
    pub scope: Scope,
    pub parameters: Vec<Parameter>,
    pub request: Option<Shape>,
    /// The request may come without a body.
    pub request_optional: bool,
    /// Status, meaning and type of each answer that is not a problem.
    pub answers: Vec<(u16, &'static str, Shape)>,
    pub problems: Vec<Code>,
}

const LIMIT: Parameter = Parameter {
    place: "query",
    name: "limit",
    about: "The most entries of the answer.",
    schema: r#"{"type":"integer","minimum":1,"maximum":1000,"default":100}"#,
};
const CURSOR: Parameter = Parameter {
    place: "query",
    name: "cursor",
    about: "The `next_cursor` of the page before.",
    schema: r#"{"type":"string"}"#,
};
const IDEMPOTENCY_KEY: Parameter = Parameter {
    place: "header",
    name: "Idempotency-Key",
    about: "Names this request, for an hour and within the organization: the same key and body again is answered alike, and done once. The same key with another body is refused. What was refused or went wrong may be tried again under its key.",
    schema: r#"{"type":"string","minLength":1,"maxLength":255,"pattern":"^[!-~]+$"}"#,
};
const CATEGORY: Parameter = Parameter {
    place: "query",
    name: "category",
    about: "Only this category.",
    schema: r#"{"type":"string","enum":["hris","ats","crm","accounting","ticketing","filestorage","knowledgebase"]}"#,
};

/// The integrations that an end user can be offered. As the function answers it.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its shape is used")]
pub struct IntegrationList {
    pub results: Vec<shared::merge::CatalogueEntry>,
    /// `live`, `cached` or `fallback`.
    #[schema(example = "live")]
    pub source: String,
}

/// Every operation of the API.
pub fn operations() -> Vec<Operation> {
    use Code::*;
    use Scope::*;
    let read = || Operation {
        method: "GET",
        path: "",
        id: "",
        summary: "",
        scope: LinkedAccountsRead,
        parameters: Vec::new(),
        request: None,
        request_optional: false,
        answers: Vec::new(),
        problems: vec![NotFound],
    };
    let write = || Operation { method: "POST", scope: LinkedAccountsWrite, ..read() };
    vec![
        Operation {
            path: "/v1/link-tokens",
            id: "createLinkToken",
            summary: "Start to connect a system: reserve an account and get a fresh link token for the dialog.",
            request: Some(shape::<links::CreateLinkToken>()),
            answers: vec![(201, "The link token.", shape::<links::LinkTokenCreated>())],
            problems: vec![
                InvalidRequest,
                EndUserRequired,
                AlreadyConnected,
                Disconnecting,
                TooLarge,
                RateLimited,
                MergeUnavailable,
            ],
            ..write()
        },
        Operation {
            path: "/v1/linked-accounts",
            id: "exchangePublicToken",
            summary: "Complete a connection with what the dialog gave the page.",
            parameters: vec![IDEMPOTENCY_KEY],
            request: Some(shape::<links::Exchange>()),
            answers: vec![
                (201, "The account is connected.", shape::<accounts::AccountView>()),
                (200, "The account was connected before, or linked again.", shape::<accounts::AccountView>()),
            ],
            problems: vec![
                InvalidRequest,
                PublicTokenInvalid,
                NotFound,
                ExchangeInProgress,
                RequestInProgress,
                IdempotencyKeyReused,
                TooLarge,
                RateLimited,
                MergeUnavailable,
            ],
            ..write()
        },
        Operation {
            path: "/v1/linked-accounts",
            id: "listLinkedAccounts",
            summary: "List the organization's accounts, attempts that were not finished included.",
            parameters: vec![
                CATEGORY,
                Parameter {
                    place: "query",
                    name: "status",
                    about: "Only this status.",
                    schema: r#"{"type":"string","enum":["INCOMPLETE","COMPLETE","RELINK_NEEDED","IDLE","DELETED"]}"#,
                },
                Parameter {
                    place: "query",
                    name: "duplicates_of",
                    about: "Only accounts with the same credentials as this one.",
                    schema: r#"{"type":"string","format":"uuid"}"#,
                },
                CURSOR,
                LIMIT,
            ],
            answers: vec![(200, "A page of accounts.", shape::<accounts::AccountList>())],
            problems: vec![InvalidRequest, CursorInvalid, NotFound, RateLimited, MergeUnavailable],
            ..read()
        },
        Operation {
            path: "/v1/linked-accounts/{id}",
            id: "getLinkedAccount",
            summary: "One account with its health.",
            answers: vec![(200, "The account.", shape::<accounts::AccountView>())],
            ..read()
        },
        Operation {
            method: "PATCH",
            path: "/v1/linked-accounts/{id}",
            id: "updateLinkedAccount",
            summary: "Rename an account, or ignore its duplicates.",
            request: Some(shape::<accounts::PatchAccount>()),
            answers: vec![(200, "The account.", shape::<accounts::AccountView>())],
            problems: vec![InvalidRequest, NotFound, NotConnected, Disconnecting, Conflict, TooLarge, RateLimited],
            ..write()
        },
        Operation {
            method: "DELETE",
            path: "/v1/linked-accounts/{id}",
            id: "deleteLinkedAccount",
            summary: "Disconnect an account and erase its data, for good. May be repeated.",
            answers: vec![(202, "The account is being deleted.", shape::<accounts::AccountView>())],
            problems: vec![NotFound, NotConnected, RateLimited],
            ..write()
        },
        Operation {
            path: "/v1/linked-accounts/{id}/relink",
            id: "relinkLinkedAccount",
            summary: "Get a link token that repairs this account.",
            request: Some(shape::<links::Relink>()),
            request_optional: true,
            answers: vec![(201, "The link token.", shape::<links::LinkTokenCreated>())],
            problems: vec![
                InvalidRequest,
                EndUserRequired,
                NotFound,
                NotConnected,
                Disconnecting,
                Disconnected,
                TooLarge,
                RateLimited,
                MergeUnavailable,
            ],
            ..write()
        },
        Operation {
            path: "/v1/linked-accounts/{id}/sync",
            id: "requestSync",
            summary: "Fetch now what changed, or everything again.",
            parameters: vec![IDEMPOTENCY_KEY],
            request: Some(shape::<sync::RequestSync>()),
            request_optional: true,
            answers: vec![(202, "The sync is queued.", shape::<sync::SyncRequested>())],
            problems: vec![
                InvalidRequest,
                NotFound,
                NotConnected,
                Disconnecting,
                Disconnected,
                RequestInProgress,
                IdempotencyKeyReused,
                TooLarge,
                RateLimited,
            ],
            ..write()
        },
        Operation {
            path: "/v1/linked-accounts/{id}/sync-status",
            id: "getSyncStatus",
            summary: "Where each model stands.",
            parameters: vec![Parameter {
                place: "query",
                name: "refresh",
                about: "Ask the connection service anew, at most every 15 seconds for one account.",
                schema: r#"{"type":"boolean","default":false}"#,
            }],
            answers: vec![(200, "Every model.", shape::<sync::SyncStatusView>())],
            problems: vec![InvalidRequest, NotFound, NotConnected, Disconnecting],
            ..read()
        },
        Operation {
            path: "/v1/linked-accounts/{id}/events",
            id: "listEvents",
            summary: "The account's timeline, newest first.",
            parameters: vec![CURSOR, LIMIT],
            answers: vec![(200, "A page of events.", shape::<accounts::EventList>())],
            problems: vec![InvalidRequest, CursorInvalid, NotFound, NotConnected, Disconnecting],
            ..read()
        },
        Operation {
            path: "/v1/linked-accounts/{id}/records/{model}",
            id: "listRecords",
            summary: "A model's records, each as it was received, byte for byte.",
            scope: RecordsRead,
            parameters: vec![
                Parameter {
                    place: "query",
                    name: "include_deleted",
                    about: "Also records that the provider deleted.",
                    schema: r#"{"type":"boolean","default":false}"#,
                },
                CURSOR,
                LIMIT,
            ],
            answers: vec![(200, "A page of records: at most 5 MB.", shape::<records::RecordList>())],
            problems: vec![InvalidRequest, CursorInvalid, NotFound, NotConnected, Disconnecting],
            ..read()
        },
        Operation {
            path: "/v1/linked-accounts/{id}/changes",
            id: "listChanges",
            summary: "What changed, in order per model. Misses nothing, may repeat. Start with `cursor=now`.",
            scope: RecordsRead,
            parameters: vec![
                Parameter {
                    place: "query",
                    name: "model",
                    about: "Only this model.",
                    schema: r#"{"type":"string","examples":["hris.Employee"]}"#,
                },
                Parameter {
                    place: "query",
                    name: "cursor",
                    about: "The `next_cursor` of the page before, or `now` for an empty page and where to go on. Without one: from the first change, while that is kept. 410: changes after it may be gone, start over.",
                    schema: r#"{"type":"string"}"#,
                },
                LIMIT,
            ],
            answers: vec![(200, "A page of changes.", shape::<records::ChangeList>())],
            problems: vec![InvalidRequest, CursorInvalid, NotFound, NotConnected, Disconnecting, CursorExpired],
            ..read()
        },
        Operation {
            path: "/v1/integrations",
            id: "listIntegrations",
            summary: "The systems that can be connected.",
            parameters: vec![CATEGORY],
            answers: vec![(200, "The catalogue.", shape::<IntegrationList>())],
            problems: vec![InvalidRequest],
            ..read()
        },
    ]
}
