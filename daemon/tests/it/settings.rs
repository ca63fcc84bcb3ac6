//! What a person looks up: the settings in force, and what of the plan is used.

use std::io::Write as _;

use codex_oauth_proto::ErrorCode;
use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::account::{RateLimitsParams, RateLimitsRead};
use codex_oauth_proto::api::config::{Read, Source};
use codex_oauth_rig::Rig;
use fake_openai::Endpoint;

const NOW: RateLimitsParams = RateLimitsParams { refresh: true, account: None };

#[test]
fn the_usage_is_asked_for_only_when_it_is_wanted_and_then_known_to_all() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.configure(|behaviour| behaviour.rate_limits.primary_used_percent = 42.0);
    let mut client = rig.api();
    let seen = client.call::<RateLimitsRead>(&RateLimitsParams::default()).unwrap();
    assert_eq!((seen.rate_limits.len(), rig.fake.requests(Endpoint::Usage).len()), (0, 0));
    let asked = client.call::<RateLimitsRead>(&NOW).unwrap();
    let primary = asked.rate_limits[0].primary.unwrap();
    assert_eq!((primary.used_percent, primary.window_minutes), (42.0, Some(300)));
    assert_eq!(rig.fake.requests(Endpoint::Usage).len(), 1);
    let seen = rig.api().call::<RateLimitsRead>(&RateLimitsParams::default()).unwrap();
    assert_eq!((seen, rig.fake.requests(Endpoint::Usage).len()), (asked, 1));
}

#[test]
fn a_token_that_is_refused_is_renewed_before_the_usage_is_asked_for_again() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    rig.fake.invalidate_access_tokens();
    let asked = rig.api().call::<RateLimitsRead>(&NOW).unwrap();
    assert_eq!(asked.rate_limits.len(), 1);
    assert_eq!(rig.fake.requests(Endpoint::Refresh).len(), 1);
}

#[test]
fn without_a_login_there_is_no_usage() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let refused = rig.api().call::<RateLimitsRead>(&NOW).unwrap_err();
    assert_eq!(refused.code, ErrorCode::NotLoggedIn);
    assert_eq!(rig.fake.requests(Endpoint::Usage).len(), 0);
    let read = rig.api().call::<RateLimitsRead>(&RateLimitsParams::default()).unwrap();
    assert!(read.rate_limits.is_empty());
}

#[test]
fn the_settings_in_force_are_those_the_daemon_started_with() {
    let rig = Rig::new().limits(&[("drain_ms", 1_234)]);
    let _daemon = rig.daemon();
    let mut client = rig.api();
    let read = client.call::<Read>(&Empty {}).unwrap();
    let setting = |name: &str| read.settings.iter().find(|setting| setting.name == name).unwrap();
    assert_eq!(setting("limits.drain_ms").value, 1_234);
    assert_eq!(setting("limits.drain_ms").source, Source::File);
    assert_eq!(setting("issuer_url").value, rig.fake.issuer_url());
    assert_eq!(setting("issuer_url").source, Source::Environment);
    assert_eq!((read.config_file_read, read.config_file_note), (true, None));

    let path = rig.home.path().join("config/config.toml");
    assert_eq!(read.config_file, path.display().to_string());
    std::fs::File::create(path).unwrap().write_all(b"[limits]\ndrain_ms = 5\n").unwrap();
    let changed = client.call::<Read>(&Empty {}).unwrap();
    assert!(changed.config_file_note.unwrap().contains("changed"));
    assert_eq!(changed.settings, read.settings);
}
