//! Orphans: what only one side has is named, both ways, and goes by one command.

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{findings, one, operators_event, tether, undisturbed};
use crate::harness::tables::text;
use crate::harness::{BOUND, Outcome, Setup, alone, until};

#[test]
fn orphans_are_named_both_ways() {
    alone(Setup::default, async |system| {
        let organization = "org_orphans";
        let api = system.api(organization).await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        // While Merge lists no account at all, nothing counts as gone: somebody else's stays.
        let bystander = system.connect_and_sync(&system.api("org_bystander").await, "hris", "bamboohr").await;
        system.idle().await;
        undisturbed(system, organization, &account).await;
        undisturbed(system, "org_bystander", &bystander).await;
        assert_eq!(findings(system, &["--stale-after", "100000"]).await, (0, Default::default()));

        // Its owner row is lost: it is ours all the same.
        system.tables().remove(&format!("MERGE#{}", account.merge_id), "OWNER").await;
        assert_eq!(findings(system, &["--stale-after", "100000"]).await, (2, one("owner", "")));
        let listed = tether(system, &["orphans", "list", "--json"]).await.expect(0).value();
        assert_eq!((&listed["kind"], &listed["of"]["account"]), (&json!("unowned"), &json!(account.id)));
        let adopt = ["orphans", "adopt", &account.merge_id];
        tether(system, &adopt).await.expect(3);
        tether(system, &[&adopt[..], &["--dry-run"]].concat()).await.expect(0);
        assert_eq!(findings(system, &["--stale-after", "100000"]).await.0, 2, "neither changes anything");
        tether(system, &[&adopt[..], &["--yes"]].concat()).await.expect(0);
        assert_eq!(findings(system, &["--stale-after", "100000"]).await, (0, Default::default()));
        assert_eq!(operators_event(system, &account, "orphaned").await["outcome"], "adopted");
        tether(system, &[&adopt[..], &["--yes"]].concat()).await.expect(3);

        // Linked at Merge, and nobody tells us.
        system.sandbox().post("/webhooks", json!({"mode": "drop"})).await;
        let (link_token, _) = api.link_token("ats").await;
        system.sandbox().link(&link_token, "greenhouse", Outcome::Success).await.expect("linked");
        assert_eq!(findings(system, &["--stale-after", "100000"]).await, (1, one("orphan", "")));
        let listed = tether(system, &["orphans", "list", "--json"]).await.expect(0).value();
        assert_eq!((&listed["kind"], &listed["integration"]), (&json!("at-merge"), &json!("Greenhouse")));
        let stray = listed["merge_id"].as_str().expect("an id").to_owned();
        tether(system, &["orphans", "adopt", &stray, "--yes"]).await.expect(3);
        tether(system, &["orphans", "delete", &stray, "--yes"]).await.expect(3);

        // Removed at Merge, and nobody tells us.
        system.sandbox().act(&stray, "remove", json!({})).await;
        system.sandbox().act(&account.merge_id, "remove", json!({})).await;
        assert_eq!(findings(system, &["--stale-after", "100000"]).await, (2, one("orphan", "")));
        let listed = tether(system, &["orphans", "list", "--json"]).await.expect(0).value();
        assert_eq!((&listed["kind"], &listed["merge_id"]), (&json!("here"), &json!(account.merge_id)));
        assert_eq!(tether(system, &["orphans", "delete", &account.merge_id]).await.code, 3, "it asks first");
        // One look at Merge's list is no proof, the operator's neither; a second one an hour later is.
        let delete = ["orphans", "delete", &account.merge_id, "--yes"];
        tether(system, &delete).await.expect(0);
        let (org, row) = (format!("ORG#{organization}"), format!("ACCOUNT#{}", account.id));
        until("it is noted as missing", BOUND, async || {
            let rows = system.tables().partition(&org).await;
            let own = rows.iter().find(|item| text(item, "sk") == row).ok_or("no row")?;
            let missing = own["deletion"].as_m().is_ok_and(|deletion| deletion.contains_key("missing_since"));
            if missing { Ok(()) } else { Err("it is not missing yet".to_owned()) }
        })
        .await;
        assert_eq!(api.account(&account.id).await["status"], "COMPLETE");
        let hours_ago = Timestamp::now().checked_sub(SignedDuration::from_hours(2)).expect("a time");
        let hours_ago = AttributeValue::S(hours_ago.to_string());
        system.tables().set(&org, &row, "deletion.missing_since", hours_ago).await;
        tether(system, &delete).await.expect(0);
        until("the account is marked", BOUND, async || {
            let shown = api.account(&account.id).await;
            if shown["status"] == "DELETED" { Ok(()) } else { Err(shown.to_string()) }
        })
        .await;
        assert_eq!(findings(system, &["--stale-after", "100000"]).await, (0, Default::default()));
        assert_eq!(tether(system, &["orphans", "list", "--json"]).await.expect(0).lines(), Vec::<Value>::new());
    });
}
