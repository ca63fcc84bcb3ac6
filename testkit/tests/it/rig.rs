//! A client of the fake, written against the wire and not against the fake's own types.

use fake_openai::{Config, FakeOpenAi, MintRequest, MintedLogin};
use reqwest::{Client, RequestBuilder, Response, redirect};
use serde_json::{Value, json};

pub(crate) const CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";

/// RFC 7636 appendix B.
pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(crate) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub(crate) const CALLBACK: &str = "http://127.0.0.1:1455/auth/callback";

/// A running fake and a client that follows no redirects and knows no proxy.
pub(crate) struct Rig {
    pub(crate) fake: FakeOpenAi,
    pub(crate) http: Client,
}

impl Rig {
    pub(crate) fn start() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self { fake: FakeOpenAi::start(config).unwrap(), http: client().build().unwrap() }
    }

    pub(crate) fn login(&self) -> MintedLogin {
        self.fake.mint(&MintRequest::default())
    }

    pub(crate) fn issuer(&self, path: &str) -> String {
        format!("{}{path}", self.fake.issuer_url())
    }

    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> (u16, Value) {
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let request =
            self.http.post(self.issuer(path)).header("content-type", "application/x-www-form-urlencoded");
        json_of(request.body(body.join("&")).send().await.unwrap()).await
    }

    pub(crate) async fn json(&self, path: &str, body: &Value) -> (u16, Value) {
        json_of(with_json(self.http.post(self.issuer(path)), body).send().await.unwrap()).await
    }

    pub(crate) async fn refresh(&self, token: &str) -> (u16, Value) {
        self.json("/oauth/token", &refresh_body(token)).await
    }

    /// A GET below the backend URL with bearer and account.
    pub(crate) fn get(&self, path: &str, login: &MintedLogin) -> RequestBuilder {
        signed(self.http.get(format!("{}{path}", self.fake.backend_url())), login)
    }

    /// A turn, not sent yet.
    pub(crate) fn turn(&self, login: &MintedLogin, body: &Value) -> RequestBuilder {
        let request = self.http.post(format!("{}/codex/responses", self.fake.backend_url()));
        with_json(signed(request, login), body)
    }
}

pub(crate) fn client() -> reqwest::ClientBuilder {
    // The second test of the process finds it installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().redirect(redirect::Policy::none())
}

pub(crate) fn refresh_body(token: &str) -> Value {
    json!({"client_id": CLIENT_ID, "grant_type": "refresh_token", "refresh_reason": "proactive_expiry",
        "refresh_token": token})
}

/// The shape of WIRE §7.2.
pub(crate) fn turn_body(prompt: &str) -> Value {
    json!({"model": "gpt-5.5", "stream": true, "store": false, "instructions": "Be brief.",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]}],
        "tools": [], "tool_choice": "auto", "parallel_tool_calls": false,
        "include": ["reasoning.encrypted_content"], "text": {"verbosity": "low"}})
}

pub(crate) fn signed(request: RequestBuilder, login: &MintedLogin) -> RequestBuilder {
    request
        .header("authorization", format!("Bearer {}", login.access_token))
        .header("chatgpt-account-id", &login.account_id)
}

pub(crate) fn with_json(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}

pub(crate) async fn json_of(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// The events of a stream that has ended; the `event` lines must agree with the data.
pub(crate) fn events(body: &str) -> Vec<Value> {
    body.split_terminator("\n\n")
        .map(|block| {
            let (name, data) = block.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        })
        .collect()
}

pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

pub(crate) fn text_of(events: &[Value]) -> String {
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    deltas.map(|event| event["delta"].as_str().unwrap()).collect()
}

pub(crate) fn escape(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
