//! Large records: what packs well is small where it is stored and large where it is read. However much of it there is,
//! the function that reads it holds little at a time.

use shared::domain::change::{Presence, Tag};
use shared::domain::endpoint::Endpoint;
use shared::domain::ids::AccountId;
use shared::domain::record;
use shared::store::keys::shard_of;

use crate::harness::{Setup, alone};

/// Of a record; one is nearly all that an answer holds.
const SIZE: usize = 4_900_000;
/// So many of them are more than the function's 256 MB.
const COUNT: usize = 60;
const MOST_MEMORY: u64 = 128 << 20;

#[test]
fn pages_of_large_records_that_pack_well_fit_into_memory() {
    alone(Setup::default, async |system| {
        let api = system.api("org_large").await;
        let account = system.connect_and_sync(&api, "hris", "bamboohr").await;
        system.webhooks_settled().await;
        system.idle().await;
        let path = format!("/v1/linked-accounts/{}", account.id);
        let feed = format!("{path}/changes?model=hris.Employee&limit={COUNT}");
        let changes = api.get(&feed, 200).await["results"].as_array().cloned().unwrap_or_default();
        assert!(changes.len() * SIZE > 256 << 20, "{} changes", changes.len());

        // Those that the feed tells of, and as many that are read together because they lie together.
        let endpoint = Endpoint::by_key("hris.Employee").expect("a model");
        let fed = changes.iter().map(|change| change["record_id"].as_str().expect("an id").to_owned());
        let crowded = (0..).map(|n| format!("0-large-{n}")).filter(|key| shard_of(endpoint, key) == 0);
        let id = AccountId::parse(&account.id).expect("an id");
        let store = system.tables().store();
        let filling = "x".repeat(SIZE);
        for key in fed.chain(crowded.take(COUNT)) {
            let json = format!(r#"{{"id":"{key}","modified_at":"2099-01-01T00:00:00Z","filling":"{filling}"}}"#);
            let incoming = record::read(&json, endpoint, None).expect("a record");
            let tag = Tag { epoch: 1_000, n: 1 };
            assert!(store.put_record(id, endpoint, &incoming, tag, Presence::Live).await.expect("a table"));
        }
        for route in [format!("{path}/records/hris.Employee?limit=1000"), feed] {
            let page = api.get(&route, 200).await;
            let large = page["results"].as_array().into_iter().flatten().find(|row| row["data"]["filling"] == filling);
            assert!(large.is_some(), "{route} shows large records");
            let held = system.peak_memory("records");
            assert!(held < MOST_MEMORY, "{route}: {} MB", held >> 20);
        }
    });
}
