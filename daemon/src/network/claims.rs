//! What a session's environment says about the network, held against what is in force. A session is told, never obeyed.

use codex_oauth_proto::claim::{Claim, exceptions};
use codex_oauth_proto::hello::Hello;

use super::NetworkSettings;
use crate::session::printable;

/// How a person puts the variables of a shell into force.
const NEXT: &str = "`codex-oauth config import` puts this shell's into config.toml";

/// Of a proxy that no daemon can use.
const UNSUPPORTED: &str =
    "supported are http:// and https:// proxies: name one in CODEX_OAUTH_PROXY or config.toml";

/// Where distributions keep the system's own roots, which is what is trusted anyway: Debian, Fedora, openSUSE, Alpine and macOS.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What the person of this session should know; nothing when the session expects what there is, or says nothing.
pub(crate) fn warnings(settings: &NetworkSettings, hello: &Hello) -> Vec<String> {
    let proxy = hello.proxy.as_deref().and_then(|claim| proxy(settings, claim));
    // Exceptions from another proxy, or from none, are of no interest yet.
    let exceptions = hello.no_proxy.as_deref().filter(|_| proxy.is_none() && settings.proxy.is_some());
    let exceptions = exceptions.and_then(|claim| no_proxy(settings, claim));
    let roots = hello.ca_file.as_deref().and_then(|claim| ca_file(settings, claim));
    proxy.into_iter().chain(exceptions).chain(roots).collect()
}

/// Both go through the same proxy.
fn no_proxy(settings: &NetworkSettings, claim: &Claim) -> Option<String> {
    let ours = settings.no_proxy.as_ref();
    let list = ours.map_or_else(String::new, |ours| exceptions(&ours.value));
    if list == claim.value {
        return None;
    }
    let how = ours.filter(|_| !list.is_empty()).map_or_else(
        || "excepts no host from its proxy".to_owned(),
        |ours| format!("excepts `{list}` from its proxy ({})", ours.by),
    );
    Some(format!(
        "the daemon {how}, not `{}` ({}); {NEXT}",
        printable(&claim.value),
        printable(&claim.variable)
    ))
}

fn proxy(settings: &NetworkSettings, claim: &Claim) -> Option<String> {
    let ours = settings.proxy.as_ref();
    if ours.is_some_and(|ours| ours.value.host_and_port() == claim.value) {
        return None;
    }
    let how =
        ours.map_or_else(|| "connects without a proxy".to_owned(), |ours| format!("goes through {ours}"));
    // Only what no daemon could use is claimed with its scheme.
    let next = if claim.value.contains("://") { UNSUPPORTED } else { NEXT };
    Some(format!(
        "the daemon {how}, not through `{}` ({}); {next}",
        printable(&claim.value),
        printable(&claim.variable)
    ))
}

fn ca_file(settings: &NetworkSettings, claim: &Claim) -> Option<String> {
    let ours = settings.ca_file.as_ref();
    if ours.is_some_and(|ours| ours.value.as_os_str() == claim.value.as_str()) {
        return None;
    }
    if ours.is_none() && SYSTEM_BUNDLES.contains(&claim.value.as_str()) {
        return None;
    }
    let which = ours.map_or_else(
        || "trusts the system's roots alone".to_owned(),
        |ours| format!("trusts the roots in `{}` ({})", ours.value.display(), ours.by),
    );
    Some(format!(
        "the daemon {which}, not those in `{}` ({}); {NEXT}",
        printable(&claim.value),
        printable(&claim.variable)
    ))
}
