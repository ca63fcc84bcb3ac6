//! The text of a delta event, read off its JSON without reading the rest: an answer is 20,000 of these events.

use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;

/// The `delta` of an event's object, if it can be read off: a string without escapes, with nothing nested before it. `None`
/// says nothing of the event; its JSON has to be read.
///
/// In JSON the key's bytes stand nowhere else: inside a string their quotes would be escaped.
pub(super) fn plain(data: &[u8]) -> Option<&str> {
    const KEY: &[u8] = br#""delta":""#;
    static FINDER: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(KEY));
    let members = data.strip_prefix(b"{")?.strip_suffix(b"}")?;
    let at = FINDER.find(members)?;
    if memchr2(b'{', b'[', &members[..at]).is_some() {
        return None;
    }
    let text = &members[at + KEY.len()..];
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
            assert_eq!(plain(data.as_bytes()), Some("a é 😀"), "{data}");
        }
        assert_eq!(plain(br#"{"x":"\"delta\":\"no","delta":"yes"}"#), Some("yes"));
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
            assert_eq!(plain(data), None, "{}", String::from_utf8_lossy(data));
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
            if let Some(text) = plain(&data) {
                prop_assert_eq!(object.get("delta").and_then(Value::as_str), Some(text));
            }
        }
    }
}
