//! The one test at full size: ten thousand employees.

use std::time::Duration;

use crate::harness::{Setup, all_equal, alone, hris_models};

const BOUND: Duration = Duration::from_secs(900);

#[test]
fn ten_thousand_employees_arrive_completely_and_byte_for_byte() {
    alone(
        || Setup::default().employees(10_000),
        async |system| {
            let api = system.api("org_acme").await;
            let account = system.connect(&api, "hris", "workday").await;
            system.synced(&api, &account.id, BOUND).await;
            all_equal(system, &api, &account, &hris_models()).await.expect("everything equals Merge's");
            let merge = system.sandbox().account(&account.merge_id).await.expect("Merge's account");
            let theirs =
                hris_models().iter().filter_map(|model| merge["models"][model]["records"].as_u64()).sum::<u64>();
            assert!(theirs > 50_000, "a large system");
            assert_eq!(api.account(&account.id).await["records"], theirs);
        },
    );
}
