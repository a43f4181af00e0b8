use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::domain::endpoint::ModelFilter;
use crate::domain::origin::OriginIdStrategy;

fn parse<S: Section>(variables: &[(&str, &str)]) -> Result<S, ConfigError> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    load_from(&|name| variables.get(name).map(|value| (*value).to_owned()))
}

#[track_caller]
fn faulty<S: Section>(variables: &[(&str, &str)], expected: &[&str]) {
    let Err(ConfigError(faults)) = parse::<S>(variables) else {
        panic!("accepted, though {expected:?} should be refused")
    };
    let names: Vec<_> = faults.iter().map(|fault| fault.variable).collect();
    assert_eq!(names, expected);
}

#[test]
fn every_fault_of_every_section_is_reported_at_once() {
    faulty::<(Tables, Queue, Merge, Linking)>(
        &[("MERGE_BASE_URL", "http://api.merge.dev/api"), ("LINK_EXPIRY_MINS", "10")],
        &["ACCOUNTS_TABLE", "QUEUE_URL", "MERGE_BASE_URL", "MERGE_API_KEY_SECRET", "LINK_EXPIRY_MINS"],
    );
}

#[test]
fn a_fault_names_the_variable_and_never_the_value() {
    let error = parse::<Linking>(&[("ORIGIN_ID_STRATEGY", "prod-key-123")]).err();
    let text = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(text.contains("ORIGIN_ID_STRATEGY must be one of many_per_category"), "{text}");
    assert!(!text.contains("prod-key-123"), "{text}");
}

#[test]
fn an_empty_variable_means_the_default() {
    let linking = parse::<Linking>(&[("LINK_EXPIRY_MINS", ""), ("ORIGIN_ID_STRATEGY", " ")]);
    let linking = linking.expect("defaults");
    assert_eq!(linking.expiry_minutes, 30);
    assert_eq!(linking.strategy, OriginIdStrategy::ManyPerCategory);
    assert_eq!(parse::<Models>(&[("MODELS", "")]).expect("models").filter, ModelFilter::default());
    faulty::<Models>(&[("MODELS", "hris.Employee,hris.Nope")], &["MODELS"]);
}

#[test]
fn merge_takes_https_or_this_machine_and_ends_in_api() {
    let with = |url| parse::<Merge>(&[("MERGE_BASE_URL", url), ("MERGE_API_KEY_SECRET", "key")]);
    for url in [
        "https://api-eu.merge.dev/api",
        "https://api.merge.dev/api/",
        "http://127.0.0.1:9002/api",
        "http://[::1]:9002/api",
    ] {
        let merge = with(url).expect(url);
        assert!(merge.base_url.ends_with("/api"), "{url}");
    }
    for url in [
        "https://api.merge.dev",
        "http://api.merge.dev/api",
        "https://u:p@api.merge.dev/api",
        "https://api.merge.dev/api?x=1",
        "ftp://127.0.0.1/api",
        "api",
    ] {
        assert!(with(url).is_err(), "{url}");
    }
}

#[test]
fn a_csp_source_cannot_end_its_directive() {
    let base = [
        ("OIDC_ISSUER", "https://id.example.com/pool"),
        ("OIDC_CLIENT_ID", "page"),
        ("LINK_SCRIPT_URL", "https://cdn.merge.dev/initialize.js"),
        ("LINK_API_HOST", "https://api.merge.dev"),
    ];
    let page = parse::<Page>(&base).expect("page");
    assert_eq!(page.img_src_hosts, ["https:"]);
    assert!(page.frame_ancestors.is_empty());
    assert_eq!(page.categories.len(), 7);
    assert_eq!(page.link_script_origin(), "https://cdn.merge.dev");
    assert_eq!(page.issuer_origin(), "https://id.example.com");
    for bad in ["https://a.example; script-src *", "'unsafe-inline'"] {
        let mut variables = base.to_vec();
        variables.push(("FRAME_ANCESTORS", bad));
        faulty::<Page>(&variables, &["FRAME_ANCESTORS"]);
    }
    let mut variables = base.to_vec();
    variables.push(("PAGE_CATEGORIES", "hris,payroll"));
    variables.push(("BRAND_ACCENT", "red"));
    faulty::<Page>(&variables, &["BRAND_ACCENT", "PAGE_CATEGORIES"]);
}

#[test]
fn a_fast_clock_agrees_with_the_real_one_at_its_origin() {
    let clock = parse::<Clock>(&[("SCHEDULE_SPEED", "60"), ("SCHEDULE_ORIGIN", "1800000000")]);
    let clock = clock.expect("clock");
    let origin = 1_800_000_000;
    let at = |second| Timestamp::from_second(second).expect("timestamp");
    assert_eq!(clock.minute(at(origin)), origin / 60);
    assert_eq!(clock.minute(at(origin + 1)), origin / 60 + 1);
    assert_eq!(clock.minute(at(origin - 1)), origin / 60 - 1);
    assert_eq!(clock.real_time(origin / 60 + 5), at(origin + 5));
    assert_eq!(clock.real(Duration::from_secs(60)), Duration::from_secs(1));
    assert_eq!(Clock::REAL.minute(at(119)), 1);
    assert_eq!(Clock::REAL.real_time(2), at(120));
}
