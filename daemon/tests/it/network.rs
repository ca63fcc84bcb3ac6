//! The way to the issuer and to the backend: proxies, certificates, and what a person is told about them.

use codex_oauth_proto::api::account::OfAccount;
use codex_oauth_proto::api::config::{self, Source};
use codex_oauth_proto::api::model::List;
use codex_oauth_proto::api::probe::{DaemonProbe, Service, StepName, Way};
use codex_oauth_proto::api::{Empty, daemon};
use codex_oauth_proto::report::StartupReport;
use codex_oauth_proto::{ErrorCode, NextStep, Surface};
use codex_oauth_rig::{Daemon, Rig, Shim};
use fake_openai::{FakeProxy, ProxyBehaviour, Validity};

use crate::support::{answer, mcp};

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

/// A fake, and a daemon that reaches it through this proxy alone: its issuer and backend are the public ones.
fn house(behaviour: ProxyBehaviour) -> (Rig, FakeProxy) {
    let rig = Rig::behind(&[]);
    let proxy = FakeProxy::start(&rig.fake, behaviour).expect("a proxy starts on a free port");
    let rig = rig.set(&[("HTTPS_PROXY", &proxy.url())]);
    (rig, proxy)
}

/// The same, signed in; the daemon has ended.
fn signed_in_house() -> (Rig, FakeProxy) {
    let (rig, proxy) = house(ProxyBehaviour::default());
    rig.signed_in().kill();
    (rig, proxy)
}

#[test]
fn a_login_and_an_answer_come_through_a_proxy_that_wants_a_password_which_nothing_shows() {
    let login = Some(("ada".to_owned(), "FAKE_secret".to_owned()));
    let (rig, proxy) = house(ProxyBehaviour { login, ..ProxyBehaviour::default() });
    let rig = rig.set(&[("HTTPS_PROXY", &proxy.url_as("ada", "FAKE_secret"))]);
    let daemon = rig.signed_in();
    assert!(answer(&mut mcp(&rig.home), "hello").starts_with("FAKE"));
    let asked = proxy.asked();
    for host in ["auth.openai.com:443", "chatgpt.com:443"] {
        assert!(asked.iter().any(|asked| asked == host), "{asked:?}");
    }
    // What listens on this machine, the login's own callback, was reached without it.
    assert!(
        !asked.iter().any(|asked| asked.contains("127.0.0.1") || asked.contains("localhost")),
        "{asked:?}"
    );
    assert!(rig.fake.journal().iter().filter(|entry| entry.tls).count() >= 3);
    let [issuer, backend] = ways(&rig);
    for way in [issuer, backend] {
        assert_eq!(
            steps(&way),
            [StepName::Connect, StepName::Tunnel, StepName::Tls, StepName::Http],
            "{way:?}"
        );
        let shown = way.proxy.expect("it is on the way");
        assert_eq!((shown.value, shown.by.as_str()), (proxy.url(), "HTTPS_PROXY"));
    }
    let settings = rig.api().call_raw("config/read", serde_json::json!({})).unwrap().to_string();
    assert!(settings.contains(&proxy.url()) && !settings.contains("FAKE_secret"), "{settings}");
    assert!(!rig.log(&daemon).contains("FAKE_secret"));
}

#[test]
fn each_failure_on_the_way_says_what_it_is_and_whose_choice_in_an_error_and_in_the_probe() {
    let (rig, working) = signed_in_house();
    drop(working);
    let start = |behaviour| FakeProxy::start(&rig.fake, behaviour).unwrap();
    let open = ProxyBehaviour::default;
    let wants = || Some(("ada".to_owned(), "FAKE".to_owned()));
    let locked = start(ProxyBehaviour { login: wants(), ..open() });
    let refusing = start(ProxyBehaviour { refuse: Some(403), ..open() });
    let silent = start(ProxyBehaviour { silent: true, ..open() });
    let reading = start(ProxyBehaviour { intercept: Some(Validity::Now), ..open() });
    let expired = start(ProxyBehaviour { intercept: Some(Validity::Past), ..open() });
    let early = start(ProxyBehaviour { intercept: Some(Validity::Future), ..open() });
    let gone = start(open()).url();
    // A proxy that reads along has another authority than the fake.
    let trusted = |proxy: &FakeProxy, name: &str| {
        let path = rig.home.path().join(name);
        codex_oauth_rig::write(&path, proxy.ca_pem().expect("it has one"));
        path.display().to_string()
    };
    let (expired_ca, early_ca) = (trusted(&expired, "expired.pem"), trusted(&early, "early.pem"));
    let ours = rig.home.path().join("ca.pem").display().to_string();
    let rows: [(&str, String, &String, &str, &str, StepName); 8] = [
        (
            "no password",
            locked.url(),
            &ours,
            "wants a user name and a password",
            "set HTTPS_PROXY",
            StepName::Tunnel,
        ),
        (
            "wrong password",
            locked.url_as("ada", "WRONG"),
            &ours,
            "refuses the user name and password that it is given",
            "set HTTPS_PROXY",
            StepName::Tunnel,
        ),
        (
            "refused",
            refusing.url(),
            &ours,
            "does not let through to `chatgpt.com`",
            "set HTTPS_PROXY",
            StepName::Tunnel,
        ),
        ("unreachable", gone, &ours, "could not reach the proxy", "set HTTPS_PROXY", StepName::Connect),
        ("silent", silent.url(), &ours, "in time", "set HTTPS_PROXY", StepName::Tunnel),
        (
            "reads along",
            reading.url(),
            &ours,
            "issued by `Corp FAKE Root CA`, leads to no root that is trusted here; it came through the proxy",
            "set ca_file in",
            StepName::Tls,
        ),
        (
            "expired",
            expired.url(),
            &expired_ca,
            "has expired, as the clock here says 20",
            "set the clock",
            StepName::Tls,
        ),
        (
            "early",
            early.url(),
            &early_ca,
            "is not valid yet, as the clock here says 20",
            "set the clock",
            StepName::Tls,
        ),
    ];
    let mut rig = rig.limits(&[("connect_ms", 1_500), ("backend_request_ms", 30_000), ("turn_retries", 1)]);
    for (name, url, ca, told, step, failed_at) in rows {
        rig = rig.set(&[("HTTPS_PROXY", &url), ("CODEX_OAUTH_CA_FILE", ca)]);
        let daemon = rig.daemon();
        let error = rig.api().call::<List>(&OfAccount::default()).expect_err(name);
        assert_eq!(error.code, ErrorCode::UpstreamUnreachable, "{name}: {}", error.message);
        let text = error.render(Surface::Shell);
        let message = format!(
            "could not connect to the Codex backend: {}",
            if told.starts_with("issued") { "the certificate of" } else { "" }
        );
        assert!(text.starts_with(&message) && text.contains(told), "{name}: {text}");
        assert!(text.contains(&format!("\nnext: {step}")), "{name}: {text}");
        assert!(!text.contains("WRONG") && text.contains("HTTPS_PROXY"), "{name}: {text}");
        let [_, backend] = ways(&rig);
        let probed = backend.error.as_ref().unwrap_or_else(|| panic!("{name}: {backend:?}"));
        assert!(probed.message.contains(told), "{name}: {}", probed.message);
        assert_eq!(steps(&backend).last(), Some(&failed_at), "{name}: {backend:?}");
        assert!(!rig.log(&daemon).contains("WRONG"), "{name}");
        daemon.kill();
    }
}

#[test]
fn a_proxy_that_reads_along_is_gone_through_once_its_authority_is_trusted_by_any_of_the_names() {
    let (rig, proxy) = house(ProxyBehaviour { intercept: Some(Validity::Now), ..ProxyBehaviour::default() });
    let path = rig.home.path().join("corp.pem");
    codex_oauth_rig::write(&path, proxy.ca_pem().expect("it has one"));
    let path = path.display().to_string();
    let mut rig = Rig { home: rig.home.unset("CODEX_OAUTH_CA_FILE"), ..rig };
    for name in ["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"] {
        rig = rig.set(&[(name, &path)]);
        let daemon = rig.daemon();
        let [issuer, backend] = ways(&rig);
        assert_eq!((issuer.error, backend.error), (None, None));
        assert_eq!(backend.certificate_issuer.as_deref(), Some("Corp FAKE Root CA"));
        assert_eq!(backend.ca_file.map(|file| file.by).as_deref(), Some(name));
        daemon.kill();
        rig = Rig { home: rig.home.unset(name), ..rig };
    }
    codex_oauth_rig::write(&rig.home.path().join("config/config.toml"), &format!("ca_file = \"{path}\"\n"));
    let _daemon = rig.signed_in();
    assert!(answer(&mut mcp(&rig.home), "hello").starts_with("FAKE"));
}

#[test]
fn a_host_that_no_proxy_names_is_not_asked_of_the_proxy() {
    let (rig, proxy) = house(ProxyBehaviour::default());
    // No such host anywhere (RFC 6761 §6.4).
    let rig = rig.set(&[
        ("CODEX_OAUTH_BACKEND_URL", "https://backend.invalid/x"),
        ("NO_PROXY", "a.example, .invalid"),
    ]);
    let _daemon = rig.daemon();
    let [issuer, backend] = ways(&rig);
    assert_eq!((issuer.error, issuer.direct), (None, None));
    assert_eq!(backend.direct.as_deref(), Some("NO_PROXY names it"));
    let told = backend.error.expect("there is no such host").message;
    assert!(
        told.starts_with(
            "could not connect to the Codex backend: could not find the address of `backend.invalid`"
        ),
        "{told}"
    );
    assert_eq!(proxy.asked(), ["auth.openai.com:443"]);
}

#[test]
fn config_toml_decides_before_the_general_variables_and_nothing_in_it_can_mean_no_proxy() {
    let (rig, proxy) = house(ProxyBehaviour::default());
    let rig = rig.set(&[("HTTPS_PROXY", "http://127.0.0.1:9")]);
    let file = rig.home.path().join("config/config.toml");
    codex_oauth_rig::write(&file, &format!("proxy = \"{}\"\nno_proxy = \"chatgpt.com\"\n", proxy.url()));
    let daemon = rig.daemon();
    let config = rig.api().call::<config::Read>(&Empty {}).unwrap();
    let shown = config.settings.iter().find(|setting| setting.name == "proxy").unwrap();
    assert_eq!((shown.value.as_str(), shown.source), (Some(proxy.url().as_str()), Source::File));
    daemon.kill();
    codex_oauth_rig::write(
        &file,
        "proxy = \"\"\nbackend_url = \"https://localhost:1\"\nissuer_url = \"https://localhost:1\"\n",
    );
    let _daemon = rig.daemon();
    let [issuer, _] = ways(&rig);
    assert_eq!((issuer.proxy, issuer.direct.as_deref()), (None, Some("no proxy is configured")));
}

#[test]
fn a_value_that_cannot_be_used_ends_the_start_by_path_and_variable() {
    for (name, value, told) in [
        (
            "SSL_CERT_FILE",
            "/nonexistent/corp.pem",
            "could not read the CA file `/nonexistent/corp.pem` (SSL_CERT_FILE): ",
        ),
        (
            "CODEX_CA_CERTIFICATE",
            "corp.pem",
            "could not use CODEX_CA_CERTIFICATE=`corp.pem`: expected an absolute path",
        ),
        (
            "HTTPS_PROXY",
            "ftp://ada:FAKE@proxy",
            "could not use HTTPS_PROXY=`ftp://proxy`: expected a proxy such as",
        ),
        (
            "ALL_PROXY",
            "socks5://127.0.0.1:1",
            "could not use ALL_PROXY=`socks5://127.0.0.1:1`: SOCKS is not supported",
        ),
    ] {
        let home = Rig::new().set(&[(name, value)]).home.unset("CODEX_OAUTH_CA_FILE");
        let (_daemon, report) = Daemon::launch(&home);
        let Some(StartupReport::Failed(error)) = report else { panic!("{name}: {report:?}") };
        assert!(error.message.starts_with(told), "{}", error.message);
        assert_eq!(error.next_step, Some(NextStep::FixConfiguration { name: name.to_owned() }));
    }
}

#[test]
fn a_session_that_expects_another_proxy_or_other_roots_is_told_and_not_obeyed() {
    let (rig, proxy) = house(ProxyBehaviour::default());
    let _daemon = rig.daemon();
    let same = rig.api().welcome().warnings.clone();
    assert_eq!(same, [""; 0], "what the daemon was started with is no difference");
    let rig = rig.set(&[("HTTPS_PROXY", "http://ada:FAKE@other:8080"), ("SSL_CERT_FILE", "/other.pem")]);
    let rig = Rig { home: rig.home.unset("CODEX_OAUTH_CA_FILE"), ..rig };
    let told = rig.api().welcome().warnings.clone();
    let ca = rig.home.path().join("ca.pem");
    let next = "`codex-oauth config import` puts this shell's into config.toml";
    assert_eq!(
        told,
        [
            format!(
                "the daemon goes through `{}` (HTTPS_PROXY), not through `other:8080` (HTTPS_PROXY); {next}",
                proxy.url()
            ),
            format!(
                "the daemon trusts the roots in `{}` (CODEX_OAUTH_CA_FILE), not those in `/other.pem` (SSL_CERT_FILE); {next}",
                ca.display()
            ),
        ]
    );
    let status = Shim::initialized(&rig.home).request_tool("codex_status", &serde_json::json!({}));
    let page = codex_oauth_rig::text_of(&status);
    assert!(page.contains("\nwarning    the daemon goes through") && !page.contains("FAKE"), "{page}");
    let [_, backend] = ways(&rig);
    assert_eq!(backend.proxy.map(|proxy| proxy.value), Some(proxy.url()), "it goes its own way");
}

#[test]
fn the_environment_of_the_session_that_starts_the_daemon_leads_nobody_through_its_proxy() {
    let rig = Rig::over_tls();
    let rig = rig.set(&[("HTTPS_PROXY", "http://127.0.0.1:9"), ("SSL_CERT_FILE", "/nonexistent.pem")]);
    let rig = Rig { home: rig.home.spawning(), ..rig };
    let mut client = rig.api();
    let pid = client.call::<daemon::Status>(&Empty {}).unwrap().pid;
    let environ = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap_or_default();
    assert!(!environ.contains("HTTPS_PROXY") && !environ.contains("SSL_CERT_FILE"), "{environ}");
    let told = &client.welcome().warnings;
    assert!(
        told[0].starts_with("the daemon connects without a proxy, not through `127.0.0.1:9` (HTTPS_PROXY)"),
        "{told:?}"
    );
    let [_, backend] = ways(&rig);
    assert_eq!((backend.proxy, backend.error), (None, None));
}

#[test]
fn a_session_that_names_the_systems_own_roots_is_told_nothing() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let rig = rig.set(&[("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")]);
    assert_eq!(rig.api().welcome().warnings, Vec::<String>::new());
    let rig = rig.set(&[("SSL_CERT_FILE", "/other.pem")]);
    assert_eq!(rig.api().welcome().warnings.len(), 1);
}
