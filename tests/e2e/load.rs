//! A load on the webhook's URL: five hundred genuine deliveries at once among five thousand forged ones.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use serde_json::json;

use crate::harness::{BOUND, Delivery, KEY, Setup, System, alone, signed, until};

const GENUINE: usize = 500;
const FORGED: usize = 5_000;

fn account(n: usize) -> String {
    format!("00000000-0000-4000-9000-{n:012}")
}

fn event(n: usize) -> Vec<u8> {
    let account = json!({"id": account(n), "category": "hris", "end_user_origin_id": "x", "status": "COMPLETE"});
    let status = json!({"model_id": "hris.Employee", "model_name": "Employee", "status": "DONE"});
    let event =
        json!({"hook": {"event": "Employee.synced"}, "linked_account": account, "data": {"sync_status": status}});
    event.to_string().into_bytes()
}

/// Posts as Merge does: again after 5xx, never after 4xx. How often it was asked to come again.
async fn deliver(system: &System, n: usize) -> usize {
    let body = event(n);
    let signature = signed(&body, KEY);
    for again in 0..10 {
        let delivery = Delivery { body: body.clone(), signature: Some(&signature) };
        match delivery.post(system).await.0 {
            200 => return again,
            status => assert!(status >= 500, "a genuine delivery is never refused: {status}"),
        }
    }
    panic!("delivery {n} was not taken in ten attempts");
}

async fn forge(system: &System, n: usize) {
    // About the same accounts, and about others: with a signature of the wrong key, of other bytes, or with none.
    let body = event(n % (2 * GENUINE));
    let signature = match n % 3 {
        0 => Some(signed(&body, "the-forgers-own-key")),
        1 => Some(signed(&event(n + 1), KEY)),
        _ => None,
    };
    let (status, answer) = Delivery { body, signature: signature.as_deref() }.post(system).await;
    assert!(status == 401 || status >= 500, "a forged delivery is never taken: {status}");
    assert!(status >= 500 || answer.is_empty(), "whoever is refused is told nothing: {answer}");
}

#[test]
fn checklist_14_five_hundred_genuine_deliveries_among_five_thousand_forged_ones_all_arrive() {
    alone(
        || Setup::default().without_schedule(),
        async |system| {
            // A first one, so that the memory of a process at work is known.
            deliver(system, 2 * GENUINE + 1).await;
            let genuine = stream::iter(0..GENUINE).map(|n| deliver(system, n)).buffer_unordered(GENUINE);
            let forged = stream::iter(0..FORGED).map(|n| forge(system, n)).buffer_unordered(200);
            let (repeats, ()) = futures::future::join(genuine.collect::<Vec<_>>(), forged.collect::<()>()).await;
            assert_eq!(repeats.len(), GENUINE);

            let messages = system.stack.aws().expect("embedded services").messages();
            let named: BTreeSet<usize> =
                (0..2 * GENUINE).filter(|n| messages.iter().any(|message| message.contains(&account(*n)))).collect();
            assert_eq!(named, (0..GENUINE).collect(), "exactly the genuine ones were queued");
            until("the worker has seen them", BOUND * 4, async || {
                let depths = system.stack.queue_depths().await;
                let left: u64 = depths.values().map(|depth| depth.visible + depth.in_flight + depth.delayed).sum();
                if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
            })
            .await;
            let peak = system.peak_memory("webhook");
            assert!(peak < 64 << 20, "{} MB", peak >> 20);
        },
    );
}
