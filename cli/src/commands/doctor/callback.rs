//! The ports that a browser comes back to after a login: whether one is free, and who has the others.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};

use codex_oauth_proto::api::account::ReadResult as Account;
use codex_oauth_proto::api::config::ReadResult as Settings;

use super::report::Finding;

/// Tries each for a moment, unless a login waits there just now.
pub(super) fn look(settings: Option<&Settings>, account: Option<&Account>) -> Finding {
    let setting = settings.and_then(|read| read.settings.iter().find(|one| one.name == "callback_ports"));
    let ports = setting.and_then(|setting| setting.value.as_array()).map_or_else(Vec::new, |ports| {
        ports.iter().filter_map(|port| u16::try_from(port.as_u64()?).ok()).collect()
    });
    if ports.is_empty() {
        return Finding::skip("the daemon did not say which ports it uses");
    }
    let pending = account.and_then(|account| account.pending_login.as_ref());
    if let Some(port) = pending.and_then(|login| login.redirect_port) {
        return Finding::ok(format!("a login waits for its browser at {port}"));
    }
    let states: Vec<(u16, Option<String>)> = ports.iter().map(|port| (*port, taken(*port))).collect();
    let told: Vec<String> = states
        .iter()
        .map(|(port, taken)| match taken {
            None => format!("{port} free"),
            Some(by) => format!("{port} taken{by}"),
        })
        .collect();
    if states.iter().any(|(_, taken)| taken.is_none()) {
        return Finding::ok(told.join(", "));
    }
    let detail = format!("no port for the browser's way back: {}", told.join(", "));
    Finding::warn(
        detail,
        "end that program, or sign in without a port: `codex-oauth login --device`, or `--paste`",
    )
}

/// Nothing when it can be had; else by whom it is taken, as far as that can be told.
fn taken(port: u16) -> Option<String> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_free) => None,
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Some(holder(port).map_or_else(String::new, |who| format!(" by {who}")))
        }
        Err(error) => Some(format!(" ({error})")),
    }
}

/// The process of ours that listens at a port: the socket's inode from `/proc/net/tcp`, then whose descriptor it is.
#[cfg(target_os = "linux")]
fn holder(port: u16) -> Option<String> {
    const LISTENING: &str = "0A";
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    let end = format!(":{port:04X}");
    let inode = table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&end) && *fields.get(3)? == LISTENING;
        listens.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })?;
    let socket = format!("socket:[{inode}]");
    super::shims::processes().find_map(|(pid, folder)| {
        let has = std::fs::read_dir(folder.join("fd")).ok()?.flatten().any(|descriptor| {
            std::fs::read_link(descriptor.path()).is_ok_and(|target| target.as_os_str() == socket.as_str())
        });
        has.then(|| format!("{} ({pid})", super::shims::name_of(&folder)))
    })
}

/// No such table without further libraries.
#[cfg(not(target_os = "linux"))]
fn holder(_: u16) -> Option<String> {
    None
}
