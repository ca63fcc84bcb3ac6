//! Device-code login (WIRE §3).

use hyper::Method;
use serde_json::{Value, json};

use super::code::{CodeGrant, Redirect};
use super::{CLIENT_ID, Decision, Logins, field, page as html};
use crate::effects::error_body;
use crate::received::Received;
use crate::reply::Reply;
use crate::shared::Shared;
use crate::text::{escape_html, random_base64url, random_hex, rfc3339, s256, unix_now};

/// What the device login grants.
const SCOPE: &str = "openid profile email offline_access";

/// One device code.
#[derive(Debug)]
pub(super) struct Device {
    user_code: String,
    expires_at: i64,
    state: DeviceState,
}

#[derive(Debug)]
enum DeviceState {
    Pending,
    Decided(Decision),
    Spent,
}

/// Step 1: a device id and a user code; 404 while device login is off.
pub(super) fn user_code(shared: &Shared, received: &Received) -> Reply {
    let behaviour = shared.behaviour();
    if !behaviour.device_enabled {
        return Reply::not_found();
    }
    if received.json().unwrap_or_default()["client_id"] != CLIENT_ID {
        return Reply::json(401, error_body("invalid_client", "Unknown client_id."));
    }
    let id = format!("deviceauth_FAKE_{}", random_hex(12));
    let user_code = format!("FAKE-{}", random_hex(3).to_uppercase());
    let life = i64::try_from(behaviour.device_life_secs).unwrap_or(i64::MAX);
    let expires_at = unix_now().saturating_add(life);
    let device = Device { user_code: user_code.clone(), expires_at, state: DeviceState::Pending };
    shared.logins.lock().devices.insert(id.clone(), device);
    Reply::json(
        200,
        json!({"device_auth_id": id, "user_code": user_code, "interval": behaviour.device_interval_secs.to_string(),
            "expires_at": rfc3339(expires_at)}),
    )
}

/// Step 3: 403 while nobody has decided, the code and its server-made verifier once approved, 400 after that.
pub(super) fn poll(shared: &Shared, received: &Received) -> Reply {
    answer_poll(&mut shared.logins.lock(), &received.json().unwrap_or_default())
}

/// Step 2, what people see: `/codex/device` asks for the user code; `/deviceauth/callback` is only a name.
pub(super) fn page(shared: &Shared, received: &Received) -> Reply {
    if received.path == "/deviceauth/callback" {
        return html(200, "Device login", "<p>You may close this page.</p>");
    }
    if received.method != Method::POST {
        let code = escape_html(received.query("user_code").unwrap_or_default());
        let form = format!(
            "<form method=\"post\" action=\"/codex/device\">\
             <input name=\"user_code\" value=\"{code}\" placeholder=\"FAKE-000000\">\
             <button name=\"decision\" value=\"approve\">Approve</button> \
             <button name=\"decision\" value=\"deny\">Deny</button></form>"
        );
        return html(200, "Device login", &form);
    }
    let form = received.form().unwrap_or_default();
    let decision = match field(&form, "decision") {
        Some("approve") => Decision::Approve(shared.behaviour.lock().identity.clone()),
        Some("deny") => Decision::Deny,
        _ => return html(400, "Device login", "<p>unknown decision</p>"),
    };
    if decide(shared, field(&form, "user_code").unwrap_or_default(), decision) {
        html(200, "Device login", "<p>Done. You may close this page.</p>")
    } else {
        html(400, "Device login", "<p>This code is not waiting for a decision.</p>")
    }
}

pub(super) fn decide(shared: &Shared, user_code: &str, decision: Decision) -> bool {
    let mut logins = shared.logins.lock();
    let waiting = logins.devices.values_mut().find(|device| {
        device.user_code == user_code
            && matches!(device.state, DeviceState::Pending)
            && unix_now() < device.expires_at
    });
    let found = waiting.map(|device| device.state = DeviceState::Decided(decision)).is_some();
    drop(logins);
    found
}

fn answer_poll(logins: &mut Logins, body: &Value) -> Reply {
    let pending = || {
        Reply::json(
            403,
            error_body(
                "deviceauth_authorization_unknown",
                "Device authorization is pending. Please try again.",
            ),
        )
    };
    let fatal = |code: &str, message: &str| Reply::json(400, error_body(code, message));
    let device = body["device_auth_id"].as_str().and_then(|id| logins.devices.get_mut(id));
    let Some(device) = device.filter(|device| body["user_code"] == device.user_code.as_str()) else {
        return pending();
    };
    if unix_now() >= device.expires_at {
        return fatal("deviceauth_expired", "The device code is expired.");
    }
    match &device.state {
        DeviceState::Pending => pending(),
        DeviceState::Spent => fatal("deviceauth_spent", "The device code was already used."),
        DeviceState::Decided(Decision::Deny) => fatal("access_denied", "The user denied the request."),
        DeviceState::Decided(Decision::Approve(who)) => {
            let verifier = format!("FAKE-{}", random_base64url(48));
            let challenge = s256(&verifier);
            let grant = CodeGrant::new(Redirect::Device, challenge.clone(), SCOPE.to_owned(), who.clone());
            device.state = DeviceState::Spent;
            let code = logins.issue_code(grant);
            Reply::json(
                200,
                json!({"authorization_code": code, "code_challenge": challenge, "code_verifier": verifier}),
            )
        }
    }
}
