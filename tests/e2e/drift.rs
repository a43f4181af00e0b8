//! Contract drift: Merge sends members, values and models that it does not publish. They are stored as they come,
//! counted, and never a failed page.

use serde_json::json;

use crate::harness::{BOUND, Setup, Snapshot, all_equal, alone, hris_models, until};

const MODEL: &str = "hris.Employee";

#[test]
fn what_merge_does_not_publish_is_stored_as_it_comes_and_counted() {
    alone(Setup::default, async |system| {
        let api = system.api("org_drift").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        assert_eq!(system.counted("MergeContractDrift"), 0, "what the sandbox sends is what is published");

        system.sandbox().act(&account.merge_id, "drift", json!({})).await;
        system.sandbox().mark(&account.merge_id, "mutate", MODEL, 5).await;
        system.sandbox().start_sync(&account.merge_id).await;
        until("the changes are here", BOUND, async || {
            let stored = Snapshot::take(&api, &account.id, &[MODEL]).await?.contents();
            let said = |word: &str| stored.values().filter(|record| record.contains(word)).count();
            let (members, values) = (said(r#""star_sign":{"of":["\u264e",null,1e3]}"#), said("BEYOND_THE_LIST"));
            if (members, values) == (5, 5) { Ok(()) } else { Err(format!("{members} members, {values} values")) }
        })
        .await;
        all_equal(system, &api, &account, &hris_models()).await.expect("everything equals Merge's");
        for kind in ["member", "value", "model"] {
            assert!(system.counted_by("MergeContractDrift", kind) > 0, "{kind}");
        }
        let shown = api.account(&account.id).await;
        assert_eq!(shown["health"]["state"], "healthy", "{shown}");
        let timeline = api.timeline(&account.id).await;
        assert!(timeline.iter().all(|event| event["type"] != "sync_failed"), "{timeline:?}");
    });
}
