//! The trace header of a request that sends messages.
//!
//! SQS keeps the request's `X-Amzn-Trace-Id` as the message's `AWSTraceHeader`, unless the sender gave
//! one. Every AWS SDK sends it from within Lambda, which is how a chain of invocations is followed
//! ([`lambda::trace`](crate::lambda::trace)).

use http::HeaderMap;
use serde_json::{Map, Value, json};

/// Adds the header to each message of a `SendMessage` or `SendMessageBatch` input.
pub fn keep(action: &str, headers: &HeaderMap, input: &mut Value) {
    let Some(trace) = headers.get("x-amzn-trace-id").and_then(|value| value.to_str().ok()) else {
        return;
    };
    let messages: Vec<&mut Value> = match action {
        "SendMessage" => vec![input],
        "SendMessageBatch" => input.get_mut("Entries").and_then(Value::as_array_mut).into_iter().flatten().collect(),
        _ => return,
    };
    for message in messages.into_iter().filter_map(Value::as_object_mut) {
        let attributes = message.entry("MessageSystemAttributes").or_insert_with(|| Map::new().into());
        if let Some(attributes) = attributes.as_object_mut() {
            let header = || json!({"DataType": "String", "StringValue": trace});
            attributes.entry("AWSTraceHeader").or_insert_with(header);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_a_request_carries_its_trace_but_keeps_its_own() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amzn-trace-id", "Root=1-2-3".parse().expect("a header"));
        let own = json!({"AWSTraceHeader": {"DataType": "String", "StringValue": "own"}});
        let mut batch = json!({"Entries": [{"Id": "a"}, {"Id": "b", "MessageSystemAttributes": own}]});
        keep("SendMessageBatch", &headers, &mut batch);
        let text =
            |index: usize| batch["Entries"][index]["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"].clone();
        assert_eq!((text(0), text(1)), (json!("Root=1-2-3"), json!("own")));

        let mut single = json!({"MessageBody": "x"});
        keep("ReceiveMessage", &headers, &mut single);
        assert_eq!(single, json!({"MessageBody": "x"}));
        keep("SendMessage", &HeaderMap::new(), &mut single);
        assert_eq!(single, json!({"MessageBody": "x"}));
        keep("SendMessage", &headers, &mut single);
        assert_eq!(single["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"], "Root=1-2-3");
    }
}
