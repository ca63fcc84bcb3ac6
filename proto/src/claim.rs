//! What an environment says about the network, as a client claims it in its hello: for comparison only. The daemon tells a
//! session that expects another proxy or other roots than its own; it obeys none (DESIGN §3).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::env::Env;

/// Variables that name a proxy for https addresses, the first that is set counts.
const PROXY: [&str; 5] = ["CODEX_OAUTH_PROXY", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Variables that name a file of roots.
const CA_FILE: [&str; 3] = ["CODEX_OAUTH_CA_FILE", "CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"];

/// Variables that name hosts which are reached without it.
const NO_PROXY: [&str; 3] = ["CODEX_OAUTH_NO_PROXY", "NO_PROXY", "no_proxy"];

/// A key of `config.toml` that means what a variable of an environment means.
#[derive(Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `proxy`, `no_proxy` or `ca_file`.
    pub key: &'static str,
    /// The variable that holds it.
    pub variable: String,
    /// As it is; a proxy's may hold a password.
    pub value: String,
}

impl Wanted {
    /// The value without user name and password.
    pub fn shown(&self) -> String {
        if self.key != "proxy" {
            return self.value.clone();
        }
        let (scheme, rest) = self.value.split_once("://").map_or(("", self.value.as_str()), |parts| parts);
        let host = rest.rsplit('@').next().unwrap_or_default();
        if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
    }

    /// Whether it holds a user name.
    pub fn has_password(&self) -> bool {
        self.key == "proxy" && self.value.contains('@')
    }
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} = {} ({})", self.key, self.shown(), self.variable)
    }
}

/// What `env` says about the network, as keys of `config.toml`. Exceptions from a proxy count only beside one.
pub fn wanted(env: &Env) -> Vec<Wanted> {
    let key = |key: &'static str, names: &[&str]| {
        let (variable, value) = first(env, names)?;
        Some(Wanted { key, variable, value: value.trim().to_owned() })
    };
    let proxy = key("proxy", &PROXY);
    let no_proxy = key("no_proxy", &NO_PROXY).filter(|_| proxy.is_some());
    [proxy, no_proxy, key("ca_file", &CA_FILE)].into_iter().flatten().collect()
}

/// One setting of a client's environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The variable that holds it.
    pub variable: String,
    /// `host:port` of a proxy, without user name and password, behind its scheme where that is none that a daemon can use
    /// (`socks5://…`); a list of hosts with commas between; or the path of a file.
    pub value: String,
}

/// The proxy of `env`, where it names one.
pub fn proxy(env: &Env) -> Option<Claim> {
    first(env, &PROXY).and_then(|(variable, text)| Some(Claim { variable, value: host_and_port(text)? }))
}

/// The exceptions from a proxy that `env` names; they mean nothing without one. What is on this machine is never reached through a
/// proxy and is left out, and the order says nothing.
pub fn no_proxy(env: &Env) -> Option<Claim> {
    first(env, &PROXY)?;
    let (variable, text) = first(env, &NO_PROXY)?;
    Some(Claim { variable, value: exceptions(text) })
}

/// A list of exceptions in one form: ` b, a,localhost` → `a,b`.
pub fn exceptions(text: &str) -> String {
    const THIS_MACHINE: [&str; 5] = ["localhost", "127.0.0.1", "127.0.0.0/8", "::1", "[::1]"];
    let names = text.split(',').map(|name| name.trim().to_ascii_lowercase());
    let names = names.filter(|name| !name.is_empty() && !THIS_MACHINE.contains(&name.as_str()));
    names.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",")
}

/// The file of roots that `env` names.
pub fn ca_file(env: &Env) -> Option<Claim> {
    first(env, &CA_FILE).map(|(variable, text)| Claim { variable, value: text.to_owned() })
}

fn first<'a>(env: &'a Env, names: &[&str]) -> Option<(String, &'a str)> {
    names.iter().find_map(|name| Some(((*name).to_owned(), env.get(name)?)))
}

/// `http://ada:secret@Proxy:3128/` → `proxy:3128`, `socks5://a:1` → `socks5://a:1`. Nothing of what stands before an `@` gets any
/// further.
fn host_and_port(text: &str) -> Option<String> {
    let (scheme, rest) = text.trim().split_once("://").unwrap_or(("http", text.trim()));
    let scheme = scheme.to_ascii_lowercase();
    let host = rest.rsplit('@').next()?.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https") {
        return (!host.is_empty()).then(|| format!("{scheme}://{host}"));
    }
    // The colons of an IPv6 address stand in brackets.
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && !port.contains(']'));
    match (host.is_empty(), has_port) {
        (true, _) => None,
        (false, true) => Some(host),
        (false, false) => {
            let port = if scheme == "https" { 443 } else { 80 };
            Some(format!("{}:{port}", host.trim_end_matches(':')))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_prints_without_its_password() {
        let wanted = wanted(&env(&[("https_proxy", "http://ada:FAKE@proxy:3128"), ("NO_PROXY", "x")]));
        assert_eq!(
            format!("{wanted:?}"),
            "[proxy = http://proxy:3128 (https_proxy), no_proxy = x (NO_PROXY)]"
        );
        assert!(wanted[0].has_password() && !wanted[1].has_password());
    }

    fn env(vars: &[(&str, &str)]) -> Env {
        vars.iter().fold(Env::default(), |env, (name, value)| env.with(name, *value))
    }

    #[test]
    fn a_claim_names_host_and_port_and_no_password() {
        for (text, value) in [
            ("http://proxy:3128", "proxy:3128"),
            ("http://ada:FA/KE@proxy:3128/", "proxy:3128"),
            ("http://ada:FA@KE@Proxy.example.com:3128", "proxy.example.com:3128"),
            ("proxy", "proxy:80"),
            ("https://proxy/", "proxy:443"),
            ("http://[::1]", "[::1]:80"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("SOCKS5h://ada:FAKE@a:1080/", "socks5h://a:1080"),
        ] {
            let claimed = proxy(&env(&[("HTTPS_PROXY", text)])).map(|claim| claim.value);
            assert_eq!(claimed.as_deref(), Some(value), "{text}");
        }
        assert_eq!(proxy(&env(&[("HTTPS_PROXY", "http://")])), None);
    }

    #[test]
    fn our_own_variable_comes_first_and_nothing_is_claimed_without_any() {
        let both = env(&[("HTTPS_PROXY", "http://a:1"), ("CODEX_OAUTH_PROXY", "http://b:2")]);
        assert_eq!(proxy(&both).map(|claim| claim.variable).as_deref(), Some("CODEX_OAUTH_PROXY"));
        let roots = ca_file(&env(&[("SSL_CERT_FILE", "/a.pem"), ("CODEX_CA_CERTIFICATE", "/b.pem")]));
        assert_eq!(
            roots,
            Some(Claim { variable: "CODEX_CA_CERTIFICATE".to_owned(), value: "/b.pem".to_owned() })
        );
        let list = env(&[("NO_PROXY", " B.example,localhost ,a.example,,127.0.0.1"), ("https_proxy", "p:1")]);
        assert_eq!(no_proxy(&list).map(|claim| claim.value).as_deref(), Some("a.example,b.example"));
        assert_eq!(no_proxy(&env(&[("NO_PROXY", "x")])), None, "no exception without a proxy");
        assert_eq!((proxy(&env(&[])), ca_file(&env(&[("NO_PROXY", "x")]))), (None, None));
    }
}
