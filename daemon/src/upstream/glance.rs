//! What can be read off an event's JSON without reading the rest: the text of a delta, of which an answer has 20,000; that a message
//! says what its deltas said; what an answer cost. Whatever is not plainly so is left to the parser.
//!
//! In JSON the bytes of a key with its quotes stand nowhere else: inside a string the quotes would be escaped.

use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;

use super::events::{Completion, WireUsage};

type Key = LazyLock<Finder<'static>>;

/// The `delta` of an event's object, if it can be read off: a string without escapes, with nothing nested before it. `None`
/// says nothing of the event.
pub(super) fn delta(data: &[u8]) -> Option<&str> {
    static KEY: Key = LazyLock::new(|| Finder::new(br#""delta":""#));
    let members = data.strip_prefix(b"{")?.strip_suffix(b"}")?;
    let at = KEY.find(members)?;
    if memchr2(b'{', b'[', &members[..at]).is_some() {
        return None;
    }
    plain(&members[at + KEY.needle().len()..])
}

/// Whether a finished item is a message of one text, and that text is `said`. No says nothing.
pub(super) fn is_message_of(data: &[u8], said: &str) -> bool {
    static MESSAGE: Key = LazyLock::new(|| Finder::new(br#""type":"message""#));
    static PART: Key = LazyLock::new(|| Finder::new(br#""type":"output_text""#));
    static TEXT: Key = LazyLock::new(|| Finder::new(br#""text":""#));
    static REFUSAL: Key = LazyLock::new(|| Finder::new(br#""refusal":"#));
    let text = only(&TEXT, data).and_then(plain);
    let is_one_text = only(&MESSAGE, data).is_some() && only(&PART, data).is_some();
    text == Some(said) && is_one_text && REFUSAL.find(data).is_none()
}

/// Model and cost of a completed response that has come whole.
pub(super) fn completion(data: &[u8]) -> Option<Completion> {
    static MODEL: Key = LazyLock::new(|| Finder::new(br#""model":""#));
    static USAGE: Key = LazyLock::new(|| Finder::new(br#""usage":{"#));
    let model = only(&MODEL, data).and_then(plain)?;
    let usage = only(&USAGE, data)?;
    // With its brace.
    let usage = &data[data.len() - usage.len() - 1..];
    let usage: WireUsage = serde_json::Deserializer::from_slice(usage).into_iter().next()?.ok()?;
    Some(Completion { model: Some(model.to_owned()), usage: Some(usage.into()) })
}

/// What follows the one place where `key` stands.
fn only<'a>(key: &Finder<'_>, data: &'a [u8]) -> Option<&'a [u8]> {
    let rest = &data[key.find(data)? + key.needle().len()..];
    key.find(rest).is_none().then_some(rest)
}

/// The rest of a string without escapes, whose first quote is behind us.
fn plain(text: &[u8]) -> Option<&str> {
    let end = text.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1F))?;
    if text[end] != b'"' {
        return None;
    }
    std::str::from_utf8(&text[..end]).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_plain_delta_is_read_off() {
        for data in [
            r#"{"type":"response.output_text.delta","item_id":"x","delta":"a é 😀","logprobs":[]}"#,
            r#"{"delta":"a é 😀"}"#,
        ] {
            assert_eq!(delta(data.as_bytes()), Some("a é 😀"), "{data}");
        }
        assert_eq!(delta(br#"{"x":"\"delta\":\"no","delta":"yes"}"#), Some("yes"));
    }

    #[test]
    fn what_is_not_plain_is_left_to_the_parser() {
        for data in [
            &br#"{"delta":"a\n"}"#[..],
            br#"{"delta": "a"}"#,
            br#"{"x":{"delta":"a"}}"#,
            br#"{"x":[],"delta":"a"}"#,
            br#"{"delta":7}"#,
            br#"{"delta":"a"#,
            br#"{"delta":"a}"#,
            b"{\"delta\":\"a\nb\"}",
            b"{\"delta\":\"\xff\"}",
            br#"["delta":"a"]"#,
            b"{}",
            b"",
        ] {
            assert_eq!(delta(data), None, "{}", String::from_utf8_lossy(data));
        }
    }

    fn done(text: &str) -> String {
        let part = json!({"type": "output_text", "annotations": [], "text": text});
        json!({"type": "response.output_item.done", "item": {"type": "message", "content": [part]}})
            .to_string()
    }

    #[test]
    fn a_message_that_repeats_its_deltas_is_known() {
        for text in ["", "a é 😀", "two words"] {
            assert!(is_message_of(done(text).as_bytes(), text), "{text}");
        }
    }

    #[test]
    fn a_message_that_says_something_else_is_left_to_the_parser() {
        for (data, said) in [
            (done("a"), "b"),
            (done("a"), ""),
            (done("a\"b"), "a"),
            (done("a\\"), "a\\"),
            (done("a\n"), "a\n"),
            (done("a").replace("message", "reasoning"), "a"),
            (done("a").replace("output_text", "refusal"), "a"),
            (done("a").replace("}]", r#"},{"type":"output_text","text":"b"}]"#), "a"),
            (done("a").replace("}]", r#"},{"type":"refusal","refusal":"no"}]"#), "a"),
        ] {
            assert!(!is_message_of(data.as_bytes(), said), "{data} {said}");
        }
    }

    #[test]
    fn a_plain_completion_is_read_off_and_another_is_left_to_the_parser() {
        let usage = r#""usage":{"input_tokens":10,"output_tokens":5,"total_tokens":15}"#;
        let data = format!(r#"{{"response":{{"model":"m","output":[],{usage},"metadata":{{}}}}}}"#);
        let read = completion(data.as_bytes()).unwrap();
        assert_eq!((read.model.as_deref(), read.usage.map(|usage| usage.total)), (Some("m"), Some(15)));
        for other in [
            data.replace("\"m\"", "null"),
            data.replace(usage, "\"usage\":null"),
            data.replace("15}", "15]"),
            data.replace("[]", &format!("[{{{usage}}}]")),
            data.replace("[]", r#"[{"model":"n"}]"#),
        ] {
            assert!(completion(other.as_bytes()).is_none(), "{other}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_off_is_what_the_parser_reads(
            before in prop::collection::vec((".{0,6}|delta", ".{0,8}|delta|\"delta\":\"x"), 0..4),
            delta in prop_oneof![any::<String>().prop_map(Value::from), any::<i32>().prop_map(Value::from)],
            nested in any::<bool>(),
        ) {
            let mut object = serde_json::Map::new();
            for (key, value) in before {
                object.insert(key, if nested { json!({"delta": value}) } else { value.into() });
            }
            object.insert("delta".to_owned(), delta);
            let data = serde_json::to_vec(&object).expect("JSON");
            if let Some(text) = super::delta(&data) {
                prop_assert_eq!(object.get("delta").and_then(Value::as_str), Some(text));
            }
        }
    }
}
