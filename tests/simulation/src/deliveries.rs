//! Deliveries: Merge's webhooks on their way to the webhook function: lost, late, more than once, out of their time, or
//! not Merge's at all.

use std::time::Duration;

use functions::webhook;
use lambda_http::Body;
use merge_sandbox::webhook::{Delivery, Outcome};
use serde_json::Value;
use shared::domain::ids::MergeLinkedAccountId;

use crate::happenings::Happening;
use crate::host::Host;
use crate::machine::quiet_store;
use crate::merge::PATIENCE;
use crate::sim::Sim;

/// Deliveries that may come again.
const REMEMBERED: usize = 200;

/// What the answer to a delivery must be, and whether Merge hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Merge's own, which counts.
    Genuine,
    /// A copy of a genuine one.
    Copy,
    Forged,
}

/// Moves Merge's time forward and delivers its webhooks, for ever.
pub async fn deliver_all(host: Host) {
    let sim = host.sim().clone();
    let mut past: Vec<Delivery> = Vec::new();
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let due = {
            let (mut world, now) = sim.merge().world();
            world.webhooks.take_due(now)
        };
        for delivery in due {
            let (lost, twice, strange) = {
                let (faults, mut chance) = (sim.faults(), sim.chance());
                let strange = chance.hits(faults.webhook_strange);
                (chance.hits(faults.webhook_lost), chance.hits(faults.webhook_twice), strange)
            };
            if past.len() < REMEMBERED {
                past.push(delivery.clone());
            }
            if twice {
                sim.happened(Happening::WebhookTwice);
                deliver(&host, delivery.clone(), Kind::Copy);
            }
            if strange {
                something_strange(&host, &past, &delivery);
            }
            if lost {
                sim.note(&format!("webhook {} is lost", delivery.event));
                sim.happened(Happening::WebhookLost);
            } else {
                deliver(&host, delivery, Kind::Genuine);
            }
        }
    }
}

/// An old one again, many at once, or one that is not Merge's.
fn something_strange(host: &Host, past: &[Delivery], now: &Delivery) {
    let (which, old) = {
        let mut chance = host.sim().chance();
        (chance.below(3), chance.below(past.len() as u64) as usize)
    };
    match which {
        0 => {
            host.sim().happened(Happening::WebhookReplayed);
            deliver(host, past.get(old).unwrap_or(now).clone(), Kind::Copy);
        }
        1 => {
            host.sim().happened(Happening::WebhookBurst);
            (0..20).for_each(|_| deliver(host, now.clone(), Kind::Copy));
        }
        _ => {
            host.sim().happened(Happening::WebhookForged);
            // Signed for another body.
            let other = past.iter().find(|other| other.body != now.body);
            let mut forged = now.clone();
            forged.signature = other.map_or_else(|| "AAAA".to_owned(), |other| other.signature.clone());
            deliver(host, forged, Kind::Forged);
        }
    }
}

fn deliver(host: &Host, delivery: Delivery, kind: Kind) {
    let (host, sim) = (host.clone(), host.sim().clone());
    let wait = {
        let (faults, mut chance) = (sim.faults(), sim.chance());
        let late = chance.hits(faults.webhook_late);
        if late {
            sim.happened(Happening::WebhookLate);
        }
        if late { chance.millis(1_000, 120_000) } else { chance.millis(1, 50) }
    };
    tokio::task::spawn_local(async move {
        tokio::time::sleep(wait).await;
        notice_its_time(&sim, &delivery).await;
        let request = lambda_http::http::Request::post("http://127.0.0.1:1/")
            .header("X-Merge-Webhook-Signature", &delivery.signature)
            .body(Body::Binary(delivery.body.to_vec()))
            .expect("a request");
        let answer =
            host.front(PATIENCE, |machine| async move { webhook::handle(&machine.webhook, request).await }).await;
        let outcome = match answer {
            Some(Ok(answer)) => Outcome::Status(answer.status().as_u16()),
            Some(Err(_)) | None => Outcome::Unanswered,
        };
        sim.note(&format!(
            "webhook {} {outcome:?}{}",
            delivery.event,
            if kind == Kind::Forged { ", forged" } else { "" }
        ));
        match (kind, outcome) {
            (Kind::Genuine | Kind::Copy, Outcome::Status(400..=499)) => {
                sim.watch().broken(format!("P1: a genuine webhook was answered {outcome:?}"));
            }
            (Kind::Forged, Outcome::Status(..=400 | 402..=499)) => {
                sim.watch().broken(format!("P1: a forged webhook was answered {outcome:?}"));
            }
            _ => {}
        }
        if kind == Kind::Genuine {
            let (mut world, now) = sim.merge().world();
            world.webhooks.settle(delivery, outcome, now);
        }
    });
}

/// Counts the deliveries that come before their account is here, and after it has gone.
async fn notice_its_time(sim: &Sim, delivery: &Delivery) {
    let body: Value = serde_json::from_slice(&delivery.body).unwrap_or_default();
    let Some(id) = body["linked_account"]["id"].as_str() else { return };
    if !sim.merge().world().0.store.accounts.contains_key(id) {
        sim.happened(Happening::WebhookAfterDeletion);
    } else if delivery.event == "LinkedAccount.linked"
        && let Ok(id) = MergeLinkedAccountId::parse(id)
        && matches!(quiet_store(sim).owner(&id).await, Ok(None))
    {
        sim.happened(Happening::LinkedBeforeExchange);
    }
}
