//! `application/x-www-form-urlencoded`, as the authorize URL and the code exchange use it: a space is `+`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What the URL standard leaves bare in a form, and the space, which becomes `+`.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_').remove(b' ');

/// `a=1&b=x+y`, in the given order.
pub(super) fn encode(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        // A literal `+` is escaped by now, so that every `+` that follows is a space.
        text.push_str(&utf8_percent_encode(value, ESCAPED).to_string().replace(' ', "+"));
    }
    text
}

/// The fields of a query, in order. Bytes that are no UTF-8 become U+FFFD.
pub(super) fn decode(query: &str) -> impl Iterator<Item = (String, String)> {
    let text = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    query.split('&').filter(|field| !field.is_empty()).map(move |field| {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        (text(name), text(value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let value = "openid profile+&=%/:ä~";
        let text = encode(&[("a", value), ("b", "")]);
        assert_eq!(text, "a=openid+profile%2B%26%3D%25%2F%3A%C3%A4%7E&b=");
        assert_eq!(
            decode(&text).collect::<Vec<_>>(),
            [("a".to_owned(), value.to_owned()), ("b".to_owned(), String::new())]
        );
    }

    #[test]
    fn odd_queries_do_not_fail() {
        for (query, fields) in
            [("", 0), ("&&", 0), ("a", 1), ("=", 1), ("%zz=%", 1), ("a=%ff", 1), ("a=1&a=2", 2)]
        {
            assert_eq!(decode(query).count(), fields, "{query}");
        }
    }
}
