//! Webhooks, and what the last day has counted: a stack to which none comes is told from one that is quiet.

use serde_json::json;

use super::{findings, one, tether, undisturbed};
use crate::harness::{Delivery, KEY, Setup, alone, signed};

fn silent() -> Setup {
    Setup::default().without_webhooks()
}

#[test]
fn a_silent_webhook_is_named_and_the_last_day_is_counted() {
    alone(silent, async |system| {
        let organization = "org_silent";
        let api = system.api(organization).await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.idle().await;
        undisturbed(system, organization, &account).await;
        assert_eq!(findings(system, &["--stale-after", "100000"]).await, (1, one("webhooks", "")));
        let records = api.account(&account.id).await["records"].clone();
        let counted = tether(system, &["stats", "--json"]).await.expect(0).value()["last_day"]["counted"].clone();
        assert_eq!((&counted["WebhookQueued"], &counted["RecordsWritten"]), (&json!(0), &records));
        assert_eq!(counted["WindowFinished"], 16);

        // One that nobody signed changes that.
        assert_eq!(Delivery { body: b"{}".to_vec(), signature: None }.post(system).await.0, 401);
        assert_eq!(findings(system, &["--stale-after", "100000"]).await, (2, one("webhooks", "")));

        // A genuine one ends it, whatever it is about.
        let body = json!({"hook": {"event": "LinkedAccount.sync_completed"}, "linked_account": {"id": account.merge_id},
            "data": {"sync_status": {}}});
        let body = body.to_string().into_bytes();
        let signature = signed(&body, KEY);
        assert_eq!(Delivery { body, signature: Some(&signature) }.post(system).await.0, 200);
        assert_eq!(findings(system, &["--stale-after", "100000"]).await, (0, Default::default()));
        let stats = tether(system, &["stats", "--json"]).await.expect(0).value();
        assert_eq!(
            (&stats["accounts"], &stats["records"], &stats["health"]["healthy"]),
            (&json!(1), &records, &json!(1))
        );
        let day = &stats["last_day"];
        assert_eq!((&day["counted"]["WebhookForged"], &day["merge_errors"]), (&json!(1), &json!({})));
        let cost = &day["cost"];
        assert!(cost["dynamodb"]["write_units"].as_u64() > records.as_u64(), "a record is a unit or more: {stats}");
        let used = |part: &str, unit: &str| {
            let (count, dollars) = (cost[part][unit].as_f64(), cost[part]["dollars"].as_f64());
            assert!(count > Some(0.0) && dollars > Some(0.0), "{part}: {stats}");
            dollars.unwrap_or_default()
        };
        let parts = [("dynamodb", "read_units"), ("lambda", "gb_seconds"), ("sqs", "requests")];
        let parts = parts.iter().chain(&[("kms_estimated", "requests")]).map(|(part, unit)| used(part, unit));
        let (sum, all) = (parts.sum::<f64>(), cost["dollars"].as_f64().unwrap_or_default());
        assert!((sum - all).abs() < 1e-9, "{sum} and {all}: {stats}");
        let told = tether(system, &["stats"]).await.expect(0).text;
        assert!(
            told.contains("webhooks forged") && told.contains("list price") && told.contains("KMS calls, estimated"),
            "{told}"
        );
    });
}
