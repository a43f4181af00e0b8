//! A fault: an AWS service's error answer, in the service's own code and words.

use serde_json::{Value, json};

/// An error as an AWS JSON protocol puts it on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub status: u16,
    /// Without namespace, for example `QueueDoesNotExist`.
    pub code: &'static str,
    pub message: String,
}

impl Fault {
    /// The caller's mistake: HTTP status 400.
    pub fn client(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code, message: message.into() }
    }

    /// Ours: HTTP status 500, which SDKs try again.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { status: 500, code: "InternalServerError", message: message.into() }
    }

    /// An action that the service has not, or that is not emulated.
    pub fn unknown_operation(service: &str, action: &str) -> Self {
        Self::client(
            "UnknownOperationException",
            format!("The operation {action} of {service} is not known to the local stack"),
        )
    }

    /// The JSON body; `namespace` is the service's shape namespace, such as `com.amazonaws.sqs`.
    pub fn body(&self, namespace: &str) -> Value {
        json!({ "__type": format!("{namespace}#{}", self.code), "message": self.message })
    }
}
