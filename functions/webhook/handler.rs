//! The webhook function: takes what Merge posts to the function URL and puts on the queue what there is to do.
//!
//! A genuine delivery is on the queue before it is answered 200. What cannot be judged or queued now is answered 5xx,
//! because Merge tries again after 5xx and never after 4xx. A forged one is answered 401 and changes nothing. All
//! answers are empty: nobody learns more than the status.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::{Request, http::Method};
use shared::domain::message::{DeduplicationId, Message, Work};
use shared::http::{Answer, Problem, Status, empty, raw_body};
use shared::merge::signature;
use shared::merge::webhook::{self, Delivery, Hint};
use shared::queue::relay::RelayQueue;
use shared::queue::{Queue, QueueError};
use shared::relay;
use shared::secrets::{SecretsError, TokenCipher, TokenContext, WebhookKeyring};
use shared::telemetry::{Metric, chain, count, count_by};

/// What the function lends to each delivery.
pub struct Webhook {
    /// Merge's signature keys.
    pub keys: WebhookKeyring,
    /// Encrypts the token of `LinkedAccount.linked`; this function may not decrypt.
    pub cipher: TokenCipher,
    /// Where deliveries go.
    pub queue: Queue,
    /// Of a staging stack: where copies of deliveries go, for whoever develops against it.
    pub relay: Option<RelayQueue>,
}

/// What became of a delivery.
enum Outcome {
    Done,
    Forged,
    NotAPost,
}

/// The delivery cannot be judged or queued now.
#[derive(Debug, thiserror::Error)]
enum Unavailable {
    #[error("the signature keys cannot be read")]
    Keys(#[source] SecretsError),
    #[error("the account token cannot be encrypted")]
    Token(#[source] SecretsError),
    #[error("the delivery cannot be queued")]
    Queue(#[source] QueueError),
}

impl Unavailable {
    fn label(&self) -> &'static str {
        match self {
            Self::Keys(_) => "keys",
            Self::Token(_) => "token",
            Self::Queue(_) => "queue",
        }
    }
}

/// Answers one delivery: 200, 401, 405 or 503, always without a body.
pub async fn handle(webhook: &Webhook, request: Request) -> Result<Answer, Problem> {
    let status = match webhook.deliver(&request).await {
        Ok(Outcome::Done) => Status::Ok,
        Ok(Outcome::Forged) => Status::Unauthorized,
        Ok(Outcome::NotAPost) => Status::MethodNotAllowed,
        Err(unavailable) => {
            count_by(Metric::WebhookUnavailable, unavailable.label(), 1);
            tracing::warn!(cause = chain(&unavailable), "webhook not taken");
            Status::Unavailable
        }
    };
    Ok(empty(status))
}

impl Webhook {
    async fn deliver(&self, request: &Request) -> Result<Outcome, Unavailable> {
        // 1. Merge posts, to any path.
        if request.method() != Method::POST {
            return Ok(Outcome::NotAPost);
        }

        // 2. Nothing is parsed before the signature over the raw bytes holds.
        let body = raw_body(request);
        let signature = request.headers().get(signature::HEADER).and_then(|value| value.to_str().ok());
        if !self.is_genuine(signature.unwrap_or_default(), body).await? {
            count(Metric::WebhookForged, 1);
            return Ok(Outcome::Forged);
        }

        // 3. to 5. Queue what there is to do.
        self.take(body).await?;

        // 6. A copy for a developer, on a staging stack. That it is lost is no failure of the delivery.
        if let Some(queue) = &self.relay
            && let Err(error) = relay::pass_on(queue, &self.cipher, signature.unwrap_or_default(), body).await
        {
            tracing::warn!(cause = chain(&error), "a copy for the relay is lost");
        }
        Ok(Outcome::Done)
    }

    async fn take(&self, body: &[u8]) -> Result<(), Unavailable> {
        // 3. Keep what is on the allow-list.
        let delivery = match webhook::parse(body) {
            Ok(delivery) => delivery,
            Err(ignored) => {
                count_by(Metric::WebhookIgnored, ignored.label(), 1);
                return Ok(());
            }
        };

        // 4. Make it a message, 5. and queue it before answering.
        let (event, about) = (delivery.event.clone(), delivery.hint.label());
        let (message, id) = self.message(delivery, body).await?;
        self.queue.send_as(&message, &id).await.map_err(Unavailable::Queue)?;
        count_by(Metric::WebhookQueued, about, 1);
        tracing::debug!(event, linked_account = %message.merge_id, "webhook queued");
        Ok(())
    }

    /// Whether one of Merge's keys signed the body. Keys newer than this process are fetched, at most every 30 s.
    async fn is_genuine(&self, signature: &str, body: &[u8]) -> Result<bool, Unavailable> {
        let current = self.keys.current().await.map_err(Unavailable::Keys)?;
        let mut key = signature::verify(signature, body, &current);
        if key.is_none()
            && signature::is_well_formed(signature)
            && let Some(newer) = self.keys.refreshed().await.map_err(Unavailable::Keys)?
        {
            key = signature::verify(signature, body, &newer);
        }
        if let Some(place) = key.filter(|place| *place > 0) {
            count_by(Metric::WebhookOlderKey, &place.to_string(), 1);
        }
        Ok(key.is_some())
    }

    async fn message(&self, delivery: Delivery, body: &[u8]) -> Result<(Message, DeduplicationId), Unavailable> {
        let Delivery { merge_id, hint, .. } = delivery;
        let mut id = DeduplicationId::webhook(body);
        let work = match hint {
            Hint::Linked { end_user_origin_id, category, is_relink, account_token } => {
                let token = match &account_token {
                    Some(token) => {
                        let context = TokenContext::Webhook { merge_id: &merge_id };
                        let ciphertext = self.cipher.encrypt(token, context).await.map_err(Unavailable::Token)?;
                        Some(STANDARD.encode(ciphertext))
                    }
                    None => None,
                };
                Work::Linked { end_user_origin_id, category, is_relink, token }
            }
            Hint::Synced { models, finished } => Work::Synced { models, finished },
            Hint::RecordsChanged => {
                // However many records changed, one look per account and minute is enough.
                let minute = shared::ambient::now().as_second().div_euclid(60);
                id = DeduplicationId::record_events(&merge_id, minute);
                Work::RecordsChanged {}
            }
            Hint::Deleted => Work::Deleted {},
            Hint::Issue { issue, end_user_origin_id } => Work::Issue { issue, end_user_origin_id },
        };
        Ok((Message::new(merge_id, work), id))
    }
}

#[cfg(test)]
mod tests;
