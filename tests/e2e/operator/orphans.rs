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
        assert_eq!(
            findings(system, &["--stale-after", "100000"]).await,
            (0, Default::default()),
            "nothing is linked yet"
        );
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

fn quiet() -> Setup {
    Setup::default().without_schedule()
}

#[test]
fn a_link_that_waits_is_adopted_and_an_owner_row_that_leads_nowhere_is_removed() {
    alone(quiet, async |system| {
        let organization = "org_adopted";
        let api = system.api(organization).await;
        let list = async || tether(system, &["orphans", "list", "--json"]).await.expect(0).lines();
        let orphan = async || {
            let (code, found) = findings(system, &["--stale-after", "100000"]).await;
            (code, found.contains(&("orphan".to_owned(), String::new())))
        };

        // Merge cannot say whose the account is, and nobody asks again.
        let route = "GET /api/ats/v1/account-details";
        system.sandbox().post("/faults", json!({"route": route, "status": 503})).await;
        let (link_token, id) = api.link_token("ats").await;
        system.sandbox().link(&link_token, "greenhouse", Outcome::Success).await.expect("linked");
        let account = system.connected(&api, "ats", &id).await;
        until("its link waits", BOUND, async || match list().await.as_slice() {
            [stray] if stray["adoptable"] == true && stray["merge_id"] == account.merge_id.as_str() => Ok(()),
            strays => Err(format!("{strays:?}")),
        })
        .await;
        assert!(orphan().await.1);
        let adopt = ["orphans", "adopt", &account.merge_id];
        let meant = [&adopt[..], &["--yes"]].concat();
        tether(system, &adopt).await.expect(3);
        tether(system, &[&adopt[..], &["--dry-run"]].concat()).await.expect(0);
        tether(system, &["orphans", "delete", &account.merge_id, "--yes"]).await.expect(3);
        system.sandbox().post("/faults", json!({"route": route})).await;
        tether(system, &meant).await.expect(0);
        system.synced(&api, &id, BOUND).await;
        assert_eq!(operators_event(system, &account, "orphaned").await["outcome"], "adopted");
        assert!(!orphan().await.1 && list().await.is_empty());
        tether(system, &meant).await.expect(3);

        // The account's row is lost, and its owner row is not.
        system.sandbox().webhook_mode("drop").await;
        system.idle().await;
        system.tables().remove(&format!("ORG#{organization}"), &format!("ACCOUNT#{id}")).await;
        assert_eq!(orphan().await, (2, true));
        let strays = list().await;
        assert_eq!((strays.len(), &strays[0]["kind"]), (1, &json!("owner-row")), "{strays:?}");
        let delete = ["orphans", "delete", &account.merge_id];
        tether(system, &delete).await.expect(3);
        tether(system, &[&delete[..], &["--dry-run"]].concat()).await.expect(0);
        let owner = format!("MERGE#{}", account.merge_id);
        assert_eq!(system.tables().partition(&owner).await.len(), 1, "neither changes anything");
        tether(system, &meant).await.expect(3);
        tether(system, &[&delete[..], &["--yes"]].concat()).await.expect(0);
        assert!(system.tables().partition(&owner).await.is_empty());
        let strays = list().await;
        assert_eq!((strays.len(), &strays[0]["kind"]), (1, &json!("at-merge")), "only Merge has it now: {strays:?}");
    });
}
