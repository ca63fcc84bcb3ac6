//! Proxy and roots: our own variable, then `config.toml`, then what other programs read from the environment. That
//! environment is the daemon's own: one that a session starts is given none of the general names (`proto/src/spawn.rs`).

use std::path::PathBuf;

use codex_oauth_proto::api::config::Source;

use super::ConfigError;
use super::settings::{Key, Settings};
use super::values;
use crate::network::{Chosen, NetworkSettings, ProxyAddress};

/// The proxy of https addresses, as curl and the Codex CLI look for it.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// Hosts that are reached without it.
const NO_PROXY_VARIABLES: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Roots beside the system's, in the Codex CLI's order (WIRE §12.5).
const CA_VARIABLES: [&str; 2] = ["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"];

/// Its keys in `config.toml`.
#[derive(Debug, Default)]
pub(super) struct InFile {
    /// Empty: none, whatever the environment says.
    pub(super) proxy: Option<String>,
    pub(super) no_proxy: Option<String>,
    pub(super) ca_file: Option<PathBuf>,
}

/// Takes all of it, after the addresses of issuer and backend.
pub(super) fn take(take: &mut Settings<'_>, file: InFile) -> Result<NetworkSettings, ConfigError> {
    let key = Key::new("proxy", "CODEX_OAUTH_PROXY");
    let proxy = take.first_of(key, file.proxy, &PROXY_VARIABLES).filter(|found| !found.text.is_empty());
    let shown = proxy.as_ref().map(|found| values::without_user_info(&found.text));
    take.note_found(key, proxy.as_ref(), shown.as_deref());
    let proxy = proxy.map(|found| {
        let value = ProxyAddress::parse(&found.text).map_err(|reason| {
            take.refuse_found(key, &found, values::without_user_info(&found.text), reason)
        })?;
        Ok::<_, ConfigError>(Chosen { value, by: take.chooser(key, &found) })
    });
    let key = Key::new("no_proxy", "CODEX_OAUTH_NO_PROXY");
    let no_proxy = take.first_of(key, file.no_proxy, &NO_PROXY_VARIABLES);
    take.note_found(key, no_proxy.as_ref(), no_proxy.as_ref().map(|found| found.text.as_str()));
    let no_proxy = no_proxy.map(|found| Chosen { by: take.chooser(key, &found), value: found.text });
    let key = Key::new("ca_file", "CODEX_OAUTH_CA_FILE");
    let ca_file = file.ca_file.map(|path| path.display().to_string());
    let ca_file = take.first_of(key, ca_file, &CA_VARIABLES);
    take.note_found(key, ca_file.as_ref(), ca_file.as_ref().map(|found| found.text.as_str()));
    let ca_file = ca_file.map(|found| {
        let value = PathBuf::from(&found.text);
        if value.is_relative() {
            return Err(take.refuse_found(key, &found, found.text.clone(), "expected an absolute path"));
        }
        Ok(Chosen { value, by: take.chooser(key, &found) })
    });
    Ok(NetworkSettings {
        proxy: proxy.transpose()?,
        no_proxy,
        ca_file: ca_file.transpose()?,
        ca_key: take.in_file("ca_file"),
        addresses: ["issuer_url", "backend_url"].iter().filter_map(|name| take.named_address(name)).collect(),
    })
}

/// A text that was found for a setting.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) text: String,
    pub(super) source: Source,
    /// The variable that held it, if one did.
    pub(super) variable: Option<&'static str>,
}
