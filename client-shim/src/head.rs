//! What kind of message a line is, from one pass over it: strings are borrowed, everything else is skipped.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// The member of a request's `_meta` that only the 2026-07-28 revision and later have.
const MODERN_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// A line, sorted by JSON-RPC 2.0 sections 4 and 5.
#[derive(Debug, PartialEq)]
pub(crate) enum Message<'a> {
    Request {
        /// A string or an integer.
        id: Value,
        method: Cow<'a, str>,
        params: Params,
    },
    Notification {
        method: Cow<'a, str>,
        params: Params,
    },
    Response {
        /// Anything: the other side compares it with what it is waiting for.
        id: Value,
        failed: bool,
    },
    /// JSON, but none of the above.
    Invalid {
        /// The id to answer with, null when it has none that can be echoed.
        id: Value,
        why: &'static str,
    },
    NotJson,
}

/// What is looked at in `params`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Params {
    /// Whether the request is of the stateless era (2026-07-28).
    pub(crate) modern: bool,
    /// `protocolVersion` of an `initialize`.
    pub(crate) protocol_version: Option<String>,
    /// `requestId` of a `notifications/cancelled`.
    pub(crate) request_id: Option<Value>,
}

impl<'a> Message<'a> {
    /// Sorts a line.
    pub(crate) fn read(line: &'a [u8]) -> Self {
        // Skipped strings are not decoded by serde_json, so their encoding is checked here.
        let Ok(text) = std::str::from_utf8(line) else { return Self::NotJson };
        let Ok(Lenient(head)) = serde_json::from_str::<Lenient<Head<'a>>>(text) else { return Self::NotJson };
        head.sort()
    }
}

/// Whether an id may name a request. MCP allows strings and integers and forbids null.
fn names_a_request(id: &Value) -> bool {
    id.is_string() || id.is_i64()
}

#[derive(Default)]
struct Head<'a> {
    is_object: bool,
    id: Option<Value>,
    method: Option<Cow<'a, str>>,
    outcome: Option<Outcome>,
    params: Option<Params>,
    /// A member of which we would read one and the daemon another.
    is_ambiguous: bool,
}

/// Which member makes it a response.
#[derive(PartialEq)]
enum Outcome {
    Result,
    Error,
}

impl<'a> Head<'a> {
    fn sort(self) -> Message<'a> {
        let invalid = |id: Option<Value>, why| {
            let id = id.filter(|id| id.is_string() || id.is_number()).unwrap_or_default();
            Message::Invalid { id, why }
        };
        match self {
            Self { is_object: false, .. } => {
                invalid(None, "it is not a JSON object; batches are not accepted")
            }
            Self { is_ambiguous: true, .. } => invalid(None, "one of its members occurs twice"),
            Self { method: Some(method), id: None, params, .. } => {
                Message::Notification { method, params: params.unwrap_or_default() }
            }
            Self { method: Some(method), id: Some(id), params, .. } if names_a_request(&id) => {
                Message::Request { id, method, params: params.unwrap_or_default() }
            }
            Self { method: Some(_), id, .. } => invalid(id, "its `id` is neither a string nor an integer"),
            Self { id: Some(id), outcome: Some(outcome), .. } => {
                Message::Response { id, failed: outcome == Outcome::Error }
            }
            Self { id, .. } => invalid(id, "it has no `method`"),
        }
    }
}

/// A value of which only some shapes matter; any other shape is skipped without an error.
trait Shape<'de>: Default {
    fn string(&mut self, _text: Cow<'de, str>) {}

    fn object(&mut self) {}

    fn member<A: MapAccess<'de>>(&mut self, _key: &str, map: &mut A) -> Result<(), A::Error> {
        map.next_value::<IgnoredAny>().map(drop)
    }
}

#[derive(Default)]
struct Name<'de>(Option<Cow<'de, str>>);

impl<'de> Shape<'de> for Name<'de> {
    fn string(&mut self, text: Cow<'de, str>) {
        self.0 = Some(text);
    }
}

impl<'de> Shape<'de> for Head<'de> {
    fn object(&mut self) {
        self.is_object = true;
    }

    fn member<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "id" => self.is_ambiguous |= self.id.replace(map.next_value()?).is_some(),
            "method" => {
                let before = self.method.take();
                self.method = map.next_value::<Lenient<Name<'de>>>()?.0.0;
                self.is_ambiguous |= before.is_some();
            }
            "params" => {
                self.is_ambiguous |= self.params.replace(map.next_value::<Lenient<Params>>()?.0).is_some();
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
                match key {
                    "result" => self.outcome = Some(Outcome::Result),
                    "error" => self.outcome = Some(Outcome::Error),
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

impl<'de> Shape<'de> for Params {
    fn member<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "_meta" => self.modern = map.next_value::<Lenient<Meta>>()?.0.modern,
            "protocolVersion" => {
                self.protocol_version = map.next_value::<Lenient<Name<'de>>>()?.0.0.map(Cow::into_owned);
            }
            "requestId" => self.request_id = Some(map.next_value()?),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

#[derive(Default)]
struct Meta {
    modern: bool,
}

impl<'de> Shape<'de> for Meta {
    fn member<A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        self.modern |= key == MODERN_VERSION;
        map.next_value::<IgnoredAny>().map(drop)
    }
}

struct Lenient<S>(S);

impl<'de, S: Shape<'de>> Deserialize<'de> for Lenient<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor(PhantomData)).map(Lenient)
    }
}

struct LenientVisitor<S>(PhantomData<S>);

impl<'de, S: Shape<'de>> Visitor<'de> for LenientVisitor<S> {
    type Value = S;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<S, E> {
        let mut shape = S::default();
        shape.string(Cow::Borrowed(text));
        Ok(shape)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<S, E> {
        let mut shape = S::default();
        shape.string(Cow::Owned(text.to_owned()));
        Ok(shape)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<S, A::Error> {
        let mut shape = S::default();
        shape.object();
        while let Some(Lenient(Name(key))) = map.next_key::<Lenient<Name<'de>>>()? {
            shape.member(&key.unwrap_or_default(), &mut map)?;
        }
        Ok(shape)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<S, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(S::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<S, E> {
        Ok(S::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<S, E> {
        Ok(S::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<S, E> {
        Ok(S::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<S, E> {
        Ok(S::default())
    }

    fn visit_unit<E: Error>(self) -> Result<S, E> {
        Ok(S::default())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(id: Value, method: &str) -> Message<'_> {
        Message::Request { id, method: method.into(), params: Params::default() }
    }

    #[test]
    fn a_line_is_sorted_by_its_members_whatever_their_order_and_spelling() {
        for (line, expected) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, request(json!(1), "ping")),
            (r#" { "params" : [1,{"id":2}] , "method":"ping", "id" : "a" } "#, request(json!("a"), "ping")),
            (r#"{"\u0069d":-7,"metho\u0064":"p\u0069ng"}"#, request(json!(-7), "ping")),
            (r#"{"id":1,"method":"x","params":"none","result":{}}"#, request(json!(1), "x")),
            (
                r#"{"method":"notifications/initialized"}"#,
                Message::Notification {
                    method: "notifications/initialized".into(),
                    params: Params::default(),
                },
            ),
            (r#"{"id":3,"result":{"id":4}}"#, Message::Response { id: json!(3), failed: false }),
            (r#"{"error":{},"id":null}"#, Message::Response { id: json!(null), failed: true }),
        ] {
            assert_eq!(Message::read(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_is_json_but_no_message_keeps_the_id_that_can_be_echoed() {
        for (line, expected) in [
            ("[]", json!(null)),
            (r#"[{"id":1,"method":"ping"}]"#, json!(null)),
            ("17", json!(null)),
            (r#""text""#, json!(null)),
            ("null", json!(null)),
            ("{}", json!(null)),
            (r#"{"id":5}"#, json!(5)),
            (r#"{"id":5,"method":7}"#, json!(5)),
            (r#"{"id":1.5,"method":"ping"}"#, json!(1.5)),
            (r#"{"id":null,"method":"ping"}"#, json!(null)),
            (r#"{"id":1,"method":"ping","id":2}"#, json!(null)),
            (r#"{"id":1,"method":"ping","method":"pong"}"#, json!(null)),
            (r#"{"id":1,"method":"ping","params":{},"params":{}}"#, json!(null)),
            (r#"{"id":{"a":1},"method":"ping"}"#, json!(null)),
        ] {
            match Message::read(line.as_bytes()) {
                Message::Invalid { id, .. } => assert_eq!(id, expected, "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_not_json_is_told_apart() {
        for line in [
            &b"hello"[..],
            b"{",
            b"{\"id\":1}}",
            b"{\"id\":01}",
            b"{\"a\":\"\xff\"}",
            b"@moved",
            b"{\"a\":'b'}",
        ] {
            assert_eq!(Message::read(line), Message::NotJson, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn only_the_stateless_era_has_its_version_in_meta() {
        let modern = r#"{"id":1,"method":"x","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
        let legacy = r#"{"id":1,"method":"initialize","params":{"_meta":{},"protocolVersion":"2025-11-25","requestId":9}}"#;
        let Message::Request { params, .. } = Message::read(modern.as_bytes()) else { panic!("a request") };
        assert!(params.modern);
        let Message::Request { params, .. } = Message::read(legacy.as_bytes()) else { panic!("a request") };
        assert_eq!(
            params,
            Params {
                modern: false,
                protocol_version: Some("2025-11-25".to_owned()),
                request_id: Some(json!(9))
            }
        );
    }
}
