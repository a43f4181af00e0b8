//! What can go wrong at DynamoDB, sorted by what to do about it.

use std::{future::Future, time::Duration};

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::keys::Key;
use crate::telemetry;

/// A failure of the store that no retry cured. Expected outcomes (a condition that does not hold) are values of the
/// calls, not errors.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// DynamoDB is unreachable, throttles, or keeps cancelling transactions.
    #[error("DynamoDB {action} did not succeed: {chain}")]
    Unavailable { action: &'static str, chain: String },
    /// DynamoDB refused the request as such: a defect of ours or a missing permission.
    #[error("DynamoDB refused {action}: {chain}")]
    Refused { action: &'static str, chain: String },
    /// An item does not have the shape we write.
    #[error("an item of the kind {kind} is not readable: {fault}")]
    Corrupt { kind: String, fault: String },
}

impl StoreError {
    /// The kind of the row, and not its key: keys name organizations and records.
    pub(super) fn corrupt(key: &Key, fault: impl ToString) -> Self {
        Self::Corrupt { kind: key.kind(), fault: fault.to_string() }
    }

    /// The same call may succeed later.
    pub fn retry(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// How one attempt failed.
pub(crate) enum Fault {
    /// The condition does not hold: an outcome, not an error.
    Condition,
    /// Lost against another transaction, or throttled.
    Contention(String),
    /// No answer: it may have happened.
    Unknown(String),
    Fatal(String),
}

impl Fault {
    pub(crate) fn of<E, R>(error: &SdkError<E, R>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug + 'static,
    {
        let chain = || telemetry::aws_chain(error);
        match error {
            SdkError::ServiceError(service) => match service.err().code().unwrap_or_default() {
                "ConditionalCheckFailedException" => Self::Condition,
                // Whether the cancellation is a condition or a conflict is read from its reasons by the caller.
                "TransactionCanceledException" => {
                    let text = service.err().message().unwrap_or_default();
                    if text.contains("ConditionalCheckFailed") {
                        Self::Condition
                    } else if text.contains("ValidationError") {
                        Self::Fatal(chain())
                    } else {
                        Self::Contention(chain())
                    }
                }
                "TransactionConflictException"
                | "TransactionInProgressException"
                | "ThrottlingException"
                | "ProvisionedThroughputExceededException"
                | "RequestLimitExceeded"
                | "LimitExceededException"
                | "InternalServerError"
                | "ServiceUnavailable" => Self::Contention(chain()),
                _ => Self::Fatal(chain()),
            },
            SdkError::ConstructionFailure(_) => Self::Fatal(chain()),
            _ => Self::Unknown(chain()),
        }
    }

    pub(crate) fn into_error(self, action: &'static str) -> StoreError {
        match self {
            Self::Contention(chain) | Self::Unknown(chain) => StoreError::Unavailable { action, chain },
            Self::Fatal(chain) => StoreError::Refused { action, chain },
            Self::Condition => {
                StoreError::Refused { action, chain: "a condition failed where none was expected".to_owned() }
            }
        }
    }
}

const ATTEMPTS: u32 = 5;
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(25);

/// Runs a call until it succeeds, its condition fails, or the attempts are used up. Contention and lost answers are
/// tried again after a pause with full jitter.
pub(crate) async fn with_retries<T, Fut>(
    action: &'static str,
    mut call: impl FnMut() -> Fut,
) -> Result<Option<T>, StoreError>
where
    Fut: Future<Output = Result<T, Fault>>,
{
    let mut attempt = 0;
    loop {
        let fault = match call().await {
            Ok(answer) => return Ok(Some(answer)),
            Err(Fault::Condition) => return Ok(None),
            Err(fault) => fault,
        };
        attempt += 1;
        match fault {
            Fault::Contention(_) | Fault::Unknown(_) if attempt < ATTEMPTS => {
                tokio::time::sleep(jitter(FIRST_PAUSE * 2u32.pow(attempt))).await;
            }
            fault => return Err(fault.into_error(action)),
        }
    }
}

pub(super) fn jitter(most: Duration) -> Duration {
    most.mul_f64(crate::ambient::fraction())
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::put_item::PutItemError;

    use super::*;

    #[test]
    fn an_error_says_code_and_words_and_nothing_of_the_answer() {
        let metadata = ErrorMetadata::builder().code("AccessDeniedException").message("not authorized").build();
        let error = SdkError::service_error(PutItemError::generic(metadata), "ORG#acme in the raw answer".to_owned());
        let said = Fault::of(&error).into_error("put").to_string();
        assert!(said.contains("AccessDeniedException") && said.contains("not authorized"), "{said}");
        assert!(!said.contains("acme"), "{said}");
        let timeout: SdkError<PutItemError, String> = SdkError::timeout_error("too slow");
        assert!(Fault::of(&timeout).into_error("put").to_string().contains("too slow"));
    }

    #[test]
    fn a_row_that_is_not_readable_shows_its_kind_and_no_key() {
        let key = Key { pk: "ORG#acme".to_owned(), sk: "ACCOUNT#3f1d3a52".to_owned() };
        let error = StoreError::corrupt(&key, "a fault");
        assert_eq!(error.to_string(), "an item of the kind ORG/ACCOUNT is not readable: a fault");
        assert!(!format!("{error:?}").contains("acme"));
    }
}
