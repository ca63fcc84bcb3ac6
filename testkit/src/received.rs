//! A request, read whole, bounded and decoded; and its name in the journal.

use std::io::Read;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Version};
use ruzstd::decoding::StreamingDecoder;
use serde_json::{Map, Value};

use crate::journal::{Entry, Outcome};
use crate::script::Endpoint;
use crate::server::Peer;
use crate::text::{parse_form, unix_now_ms};
use crate::tokens::Tokens;

/// Largest request body on the wire and after decoding, bytes: a context of 872k tokens is about 4 MiB of text, and
/// images come on top.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;

/// One request.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) peer: Peer,
    pub(crate) version: Version,
    pub(crate) at_unix_ms: u64,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) host: String,
    pub(crate) wire_len: usize,
    /// The decoded body, or why it could not be decoded.
    pub(crate) body: Result<Bytes, String>,
}

impl Received {
    /// Reads the body to its end.
    ///
    /// # Errors
    /// If the client goes away before that or sends more than [`MAX_BODY_BYTES`].
    pub(crate) async fn read(peer: Peer, request: Request<Incoming>) -> Result<Self, ReadError> {
        let at_unix_ms = unix_now_ms();
        let (Parts { method, uri, version, headers, .. }, body) = request.into_parts();
        let wire = Limited::new(body, MAX_BODY_BYTES).collect().await.map_err(ReadError)?.to_bytes();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let host = uri.authority().map(ToString::to_string).or_else(|| text("host").map(str::to_owned));
        let wire_len = wire.len();
        let body = decode(wire, text("content-encoding"));
        Ok(Self {
            peer,
            version,
            at_unix_ms,
            method,
            path: uri.path().to_owned(),
            query: parse_form(uri.query().unwrap_or_default()),
            host: host.unwrap_or_default(),
            wire_len,
            body,
            headers,
        })
    }

    /// A header as text, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The first query parameter of that name.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The token of `authorization: Bearer …`.
    pub(crate) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.header("authorization")?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    }

    /// The body as JSON, if it is JSON.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_slice(self.body.as_ref().ok()?).ok()
    }

    /// The body as a form, if it says that it is one.
    pub(crate) fn form(&self) -> Option<Vec<(String, String)>> {
        let is_form = self.content_type() == Some("application/x-www-form-urlencoded");
        let text = std::str::from_utf8(self.body.as_ref().ok()?).ok()?;
        is_form.then(|| parse_form(text))
    }

    /// Whether the body says that it is JSON.
    pub(crate) fn says_json(&self) -> bool {
        self.content_type() == Some("application/json")
    }

    /// `scheme://host` as the client sees this server.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", if self.peer.tls { "https" } else { "http" }, self.host)
    }

    /// The journal's account of it, before there is an answer.
    pub(crate) fn entry(&self, endpoint: Endpoint, tokens: &Tokens) -> Entry {
        let headers = self.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            let secret = name == "authorization" || name == "cookie";
            let value = match value.split_once(' ') {
                Some((scheme, token)) if secret => format!("{scheme} {}", tokens.label(token)),
                None if secret => tokens.label(&value),
                _ => tokens.redact_text(&value),
            };
            (name.as_str().to_owned(), value)
        });
        Entry {
            sequence: 0,
            at_unix_ms: self.at_unix_ms,
            connection: self.peer.connection,
            http_version: format!("{:?}", self.version),
            tls: self.peer.tls,
            endpoint,
            method: self.method.to_string(),
            path: tokens.redact_text(&self.path),
            query: tokens.redact_pairs(&self.query),
            headers: headers.collect(),
            bearer: self.bearer().map(|token| tokens.label(token)),
            body: self.journal_body(tokens),
            wire_len: self.wire_len,
            encoding: self.header("content-encoding").map(str::to_owned),
            status: None,
            note: None,
            events: 0,
            outcome: Outcome::InProgress,
        }
    }

    fn journal_body(&self, tokens: &Tokens) -> Value {
        let bytes = match &self.body {
            Ok(bytes) if bytes.is_empty() => return Value::Null,
            Ok(bytes) => bytes,
            Err(reason) => return Value::String(reason.clone()),
        };
        if let Some(form) = self.form() {
            let fields =
                tokens.redact_pairs(&form).into_iter().map(|(name, value)| (name, Value::String(value)));
            return Value::Object(fields.collect::<Map<_, _>>());
        }
        let text = || Value::String(String::from_utf8_lossy(bytes).into_owned());
        tokens.redact_json(self.json().unwrap_or_else(text))
    }

    fn content_type(&self) -> Option<&str> {
        Some(self.header("content-type")?.split(';').next()?.trim())
    }
}

/// The body did not arrive whole, or is too large.
#[derive(Debug)]
pub(crate) struct ReadError(Box<dyn std::error::Error + Send + Sync>);

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("could not read the request body")
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.0.as_ref())
    }
}

fn decode(wire: Bytes, encoding: Option<&str>) -> Result<Bytes, String> {
    match encoding {
        None | Some("identity") => Ok(wire),
        Some("zstd") => {
            let decoder = StreamingDecoder::new(wire.as_ref()).map_err(|error| error.to_string())?;
            let mut out = Vec::new();
            let most = u64::try_from(MAX_BODY_BYTES + 1).unwrap_or(u64::MAX);
            decoder.take(most).read_to_end(&mut out).map_err(|error| error.to_string())?;
            if out.len() > MAX_BODY_BYTES {
                Err("body too large after decoding".to_owned())
            } else {
                Ok(out.into())
            }
        }
        Some(other) => Err(format!("content-encoding {other} is not supported")),
    }
}
