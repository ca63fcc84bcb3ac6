//! `/__admin/…`: the library's methods for other processes. Never journaled, never scripted.

use hyper::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config::{Behaviour, Identity};
use crate::issuer::{Decision, decide_device};
use crate::received::Received;
use crate::reply::Reply;
use crate::script::{MAX_SCRIPTS, Script};
use crate::shared::Shared;
use crate::tokens::MintRequest;

/// Answers a request to `/__admin/<path>`.
pub(crate) fn handle(shared: &Shared, received: &Received, path: &str) -> Reply {
    let outcome = match (&received.method, path) {
        (&Method::GET, "journal") => Ok(journal(shared, received)),
        (&Method::DELETE, "journal") => {
            shared.journal.clear();
            Ok(done())
        }
        (&Method::POST, "script") => script(shared, received),
        (&Method::DELETE, "script") => {
            shared.clear_scripts();
            Ok(done())
        }
        (&Method::POST, "tokens") => tokens(shared, received),
        (&Method::POST, "expire") => expire(shared, received),
        (&Method::POST, "device/approve") => device(shared, received),
        (&Method::GET, "config") => Ok(Reply::json(200, json!(shared.behaviour()))),
        (&Method::POST, "config") => configure(shared, received),
        (&Method::GET, "ca") => Ok(Reply::text(200, shared.authority.pem.clone())),
        (&Method::POST, _) if path.starts_with("release/") => release(shared, &path["release/".len()..]),
        _ => return Reply::not_found(),
    };
    outcome.unwrap_or_else(|reason| Reply::json(400, json!({"detail": reason})))
}

fn journal(shared: &Shared, received: &Received) -> Reply {
    let prefix = received.query("path_prefix").unwrap_or_default();
    let entries = shared.journal.entries();
    let entries: Vec<_> = entries.iter().filter(|entry| entry.path.starts_with(prefix)).collect();
    Reply::json(200, json!({"entries": entries}))
}

/// One script or a list of them.
fn script(shared: &Shared, received: &Received) -> Result<Reply, String> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        Many(Vec<Value>),
        One(Value),
    }
    let scripts = match body(received)? {
        OneOrMany::Many(scripts) => scripts,
        OneOrMany::One(script) => vec![script],
    };
    let scripts: Vec<Script> = scripts
        .into_iter()
        .map(serde_json::from_value)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if scripts.into_iter().all(|script| shared.push_script(script)) {
        Ok(done())
    } else {
        Err(format!("more than {MAX_SCRIPTS} scripts are waiting"))
    }
}

fn tokens(shared: &Shared, received: &Received) -> Result<Reply, String> {
    let request: MintRequest = body_or_default(received)?;
    let behaviour = shared.behaviour();
    let login = shared.tokens.lock().mint(&behaviour, &shared.issuer_url(), &request);
    Ok(Reply::json(200, json!(login)))
}

/// Ends tokens: `{"what":"access"}` (also the default: answered `token_expired`), `{"what":"access","as":"invalidated"}`,
/// or `{"what":"refresh"}`.
fn expire(shared: &Shared, received: &Received) -> Result<Reply, String> {
    #[derive(Deserialize, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Expire {
        what: Option<String>,
        r#as: Option<String>,
    }
    let Expire { what, r#as } = body_or_default(received)?;
    let mut tokens = shared.tokens.lock();
    match (what.as_deref().unwrap_or("access"), r#as.as_deref().unwrap_or("expired")) {
        ("access", "expired") => tokens.end_all_access("token_expired"),
        ("access", "invalidated") => tokens.end_all_access("token_invalidated"),
        ("access", "revoked") => tokens.end_all_access("token_revoked"),
        ("refresh", _) => tokens.end_all_refresh(),
        (what, how) => return Err(format!("could not end {what} tokens as {how}")),
    }
    drop(tokens);
    Ok(done())
}

fn device(shared: &Shared, received: &Received) -> Result<Reply, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Approve {
        user_code: String,
        #[serde(default)]
        deny: bool,
        identity: Option<Identity>,
    }
    let Approve { user_code, deny, identity } = body(received)?;
    let who = identity.unwrap_or_else(|| shared.behaviour.lock().identity.clone());
    let decision = if deny { Decision::Deny } else { Decision::Approve(who) };
    if decide_device(shared, &user_code, decision) {
        Ok(done())
    } else {
        Err(format!("no device is waiting with the code {user_code}"))
    }
}

/// Changes the fields that are given and keeps the others.
fn configure(shared: &Shared, received: &Received) -> Result<Reply, String> {
    let changes: Value = body(received)?;
    let mut behaviour = shared.behaviour.lock();
    let mut merged = json!(&*behaviour);
    overlay(&mut merged, changes);
    let changed: Behaviour = serde_json::from_value(merged).map_err(|error| error.to_string())?;
    behaviour.clone_from(&changed);
    drop(behaviour);
    Ok(Reply::json(200, json!(changed)))
}

fn release(shared: &Shared, gate: &str) -> Result<Reply, String> {
    if shared.release(gate) { Ok(done()) } else { Err("too many gates are open".to_owned()) }
}

fn overlay(onto: &mut Value, changes: Value) {
    match (onto, changes) {
        (Value::Object(onto), Value::Object(changes)) => {
            for (name, change) in changes {
                overlay(onto.entry(name).or_insert(Value::Null), change);
            }
        }
        (onto, change) => *onto = change,
    }
}

fn body<T: DeserializeOwned>(received: &Received) -> Result<T, String> {
    serde_json::from_slice(received.body.as_ref()?).map_err(|error| error.to_string())
}

fn body_or_default<T: DeserializeOwned + Default>(received: &Received) -> Result<T, String> {
    if received.wire_len == 0 { Ok(T::default()) } else { body(received) }
}

fn done() -> Reply {
    Reply::json(200, json!({}))
}
