//! The id of a message that cannot be parsed as a whole: the middle of an over-long line is gone.

use serde_json::Value;

/// How much of the kept beginning joins the kept end in the search for an id written last: the end alone may begin in
/// the middle of it.
const JOINED_BYTES: usize = 512;

/// The member that is looked for.
const KEY: &[u8] = br#""id""#;

/// The id of the object of which `head` is the beginning and `tail` the end; `None` when neither shows it for certain.
pub(crate) fn id_of(head: &[u8], tail: &[u8]) -> Option<Value> {
    id_before_the_cut(head).or_else(|| id_at_the_end(head, tail))
}

/// Walks the outermost object as far as it goes.
fn id_before_the_cut(head: &[u8]) -> Option<Value> {
    let mut depth = 0_usize;
    let mut key_is_next = false;
    let mut at = 0;
    while let Some(byte) = head.get(at) {
        match byte {
            b'"' => {
                let end = end_of_string(head, at)?;
                if depth == 1 && key_is_next && &head[at..end] == KEY {
                    return value_after_colon(&head[end..]).map(|(id, _rest)| id);
                }
                key_is_next = false;
                at = end;
                continue;
            }
            b'{' | b'[' => {
                key_is_next = depth == 0 && *byte == b'{';
                depth += 1;
            }
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b',' => key_is_next = depth == 1,
            _ => {}
        }
        at += 1;
    }
    None
}

/// TypeScript clients write `"id":7}` last. Inside a string the quote would be escaped, and inside a nested object a
/// second brace would follow.
fn id_at_the_end(head: &[u8], tail: &[u8]) -> Option<Value> {
    let joined = [&head[head.len().saturating_sub(JOINED_BYTES)..], tail].concat();
    let text = joined.trim_ascii_end();
    (0..text.len().saturating_sub(KEY.len()))
        .rev()
        .filter(|at| text[*at..].starts_with(KEY) && (*at == 0 || text[at - 1] != b'\\'))
        .find_map(|at| {
            let (id, rest) = value_after_colon(&text[at + KEY.len()..])?;
            (rest.trim_ascii() == b"}").then_some(id)
        })
}

/// The offset behind the closing quote of the string that begins at `start`.
fn end_of_string(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A string or an integer behind a colon, and what follows. Something must follow: a number could go on behind the cut.
fn value_after_colon(text: &[u8]) -> Option<(Value, &[u8])> {
    let value = text.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    if !matches!(value.first()?, b'"' | b'-' | b'0'..=b'9') {
        return None;
    }
    let mut values = serde_json::Deserializer::from_slice(value).into_iter::<Value>();
    let id = values.next()?.ok()?;
    let rest = &value[values.byte_offset()..];
    (!rest.is_empty() && (id.is_string() || id.is_i64())).then_some((id, rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_found_before_the_cut_or_at_the_very_end_and_nowhere_else() {
        for (head, tail, expected) in [
            (r#"{"jsonrpc":"2.0","id":7,"method":"x","params":{"a":"xxx"#, r#"xxx"}}"#, Some(json!(7))),
            (r#" { "id" : "a\"b" , "params":["#, "]}", Some(json!("a\"b"))),
            (r#"{"params":{"id":1,"x":"{\"id\":2"},"id":3,"y":["#, "]}", Some(json!(3))),
            (r#"{"method":"x","params":{"a":"xxx"#, r#"xxx"},"id":-8}"#, Some(json!(-8))),
            (r#"{"method":"x","params":{"a":"xxx"#, "xxx\"} , \"id\" : \"last\" } \r", Some(json!("last"))),
            (r#"{"method":"x","params":{"a":"xxx"},"i"#, r#"d":9}"#, Some(json!(9))),
            // The number goes on behind the cut.
            (r#"{"params":{},"id":12"#, "34}", Some(json!(1234))),
            // Nested, inside a string, or no id at all.
            (r#"{"params":{"a":"xxx"#, r#"xxx","id":9}}"#, None),
            (r#"{"params":"xxx"#, r#"xxx{\"id\":9}"}"#, None),
            (r#"{"method":"x","params":"xxx"#, r#"xxx"}"#, None),
            (r#"{"id":null,"params":"xxx"#, r#"xxx"}"#, None),
            (r#"["id":1,"xxx"#, "]", None),
            ("xxxxxxxx", "xxx", None),
            (r#"{"id"#, "", None),
        ] {
            assert_eq!(id_of(head.as_bytes(), tail.as_bytes()), expected, "{head} ... {tail}");
        }
    }
}
