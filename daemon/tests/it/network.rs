//! The way to the issuer and to the backend: proxies, certificates, and what a person is told about them.

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::probe::{DaemonProbe, Service, StepName, Way};
use codex_oauth_rig::Rig;

fn ways(rig: &Rig) -> [Way; 2] {
    let probed = rig.api().call::<DaemonProbe>(&Empty {}).expect("a probe is answered");
    <[Way; 2]>::try_from(probed.ways).expect("issuer and backend")
}

fn steps(way: &Way) -> Vec<StepName> {
    way.steps.iter().map(|step| step.name).collect()
}

#[test]
fn the_way_to_issuer_and_backend_is_told_step_by_step_and_carries_no_token() {
    let rig = Rig::over_tls();
    let _daemon = rig.signed_in();
    rig.fake.clear_journal();
    let [issuer, backend] = ways(&rig);
    assert_eq!((issuer.service, backend.service), (Service::Issuer, Service::Backend));
    for way in [&issuer, &backend] {
        assert_eq!(steps(way), [StepName::Dns, StepName::Connect, StepName::Tls, StepName::Http], "{way:?}");
        assert_eq!((way.error.as_ref(), way.proxy.as_ref()), (None, None), "{way:?}");
        assert_eq!(way.direct.as_deref(), Some("no proxy is configured"));
        assert_eq!(way.certificate_issuer.as_deref(), Some("fake-openai FAKE CA"));
        let file = way.ca_file.as_ref().expect("the rig configures one");
        assert_eq!(file.by, "CODEX_OAUTH_CA_FILE");
        assert!(way.http_status.is_some() && way.took_ms < 10_000, "{way:?}");
    }
    assert_eq!(backend.http_status, Some(401), "the backend itself refuses whoever shows no token");
    let journal = rig.fake.journal();
    assert_eq!(journal.len(), 2, "one request each");
    for entry in journal {
        assert!(!entry.headers.iter().any(|(name, _)| name == "authorization"), "{entry:?}");
    }
}

#[test]
fn a_certificate_that_leads_to_no_trusted_root_is_told_by_its_issuer() {
    let rig = Rig::over_tls();
    let rig = Rig { home: rig.home.unset("CODEX_OAUTH_CA_FILE"), ..rig };
    let _daemon = rig.daemon();
    let [_, backend] = ways(&rig);
    let error = backend.error.as_ref().expect("nobody here trusts that authority");
    let said = "could not connect to the Codex backend: the certificate of `localhost`, issued by `fake-openai FAKE CA`, leads to no root that is trusted here";
    assert_eq!(error.message, said);
    assert_eq!(steps(&backend).last(), Some(&StepName::Tls));
    assert_eq!(backend.certificate_issuer.as_deref(), Some("fake-openai FAKE CA"));
    let step = serde_json::to_value(&error.next_step).unwrap();
    let file = rig.home.path().join("config/config.toml");
    assert_eq!(step["do"], "reconfigure");
    assert_eq!(step["name"], format!("ca_file in `{}`", file.display()));
}
