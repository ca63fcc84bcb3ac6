//! Takes out of a text what is nobody else's business: addresses, tokens, whose account it is, whose home.
//!
//! Nothing that this is used on is meant to hold a token; it is the second fence, not the first.

/// A run of letters and digits that is longer than any name or fingerprint that we print may be a secret.
const LONGEST_NAME: usize = 39;

/// What tokens and codes of OpenAI begin with.
const TOKENS: [&str; 5] = ["eyJ", "rt_", "ac_", "sk-", "sess-"];

/// What is known of the person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redactor {
    /// Texts with what stands in their place.
    known: Vec<(String, &'static str)>,
}

impl Redactor {
    /// `text` is shown as `instead` from now on. An empty one is nobody's.
    pub(crate) fn know(&mut self, text: &str, instead: &'static str) {
        if !text.is_empty() {
            self.known.push((text.to_owned(), instead));
        }
    }

    /// The text without any of it.
    pub(crate) fn redact(&self, text: &str) -> String {
        let known =
            self.known.iter().fold(text.to_owned(), |text, (secret, instead)| text.replace(secret, instead));
        let mut kept = String::with_capacity(known.len());
        let mut rest = known.as_str();
        while let Some(begin) = rest.find(is_of_word) {
            kept.push_str(&rest[..begin]);
            rest = &rest[begin..];
            let end = rest.find(|symbol| !is_of_word(symbol)).unwrap_or(rest.len());
            kept.push_str(&word(&rest[..end]));
            rest = &rest[end..];
        }
        kept.push_str(rest);
        kept
    }
}

const fn is_of_word(symbol: char) -> bool {
    symbol.is_ascii_alphanumeric() || matches!(symbol, '.' | '_' | '-' | '+' | '@' | '%' | ':' | '/' | '~')
}

/// One run without spaces, quotes and brackets: an address, a URL, a path, a token.
fn word(word: &str) -> String {
    if let Some((before, after)) = word.rsplit_once('@') {
        // A URL keeps where it leads, and loses who logs in there.
        return match before.split_once("://") {
            Some((scheme, _)) => format!("{scheme}://<login>@{}", self::word(after)),
            None if before.is_empty() => word.to_owned(),
            None => "<e-mail>".to_owned(),
        };
    }
    let parts = word.split_inclusive(['/', ':', '.', '%', '~']);
    let redacted = parts.map(|part| {
        let bare = part.trim_end_matches(['/', ':', '.', '%', '~']);
        let is_token = TOKENS.iter().any(|token| bare.starts_with(token)) && bare.len() > "sess-".len();
        if is_token || bare.len() > LONGEST_NAME { part.replace(bare, "<secret>") } else { part.to_owned() }
    });
    redacted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_tokens_and_logins_are_taken_out_and_the_rest_stays() {
        let mut redactor = Redactor::default();
        redactor.know("/home/ada", "~");
        redactor.know("", "never");
        let long = "v".repeat(43);
        for (text, kept) in [
            ("signed in as ada.l+x@example.com (Plus)", "signed in as <e-mail> (Plus)"),
            ("\"token\":\"eyJhbGciOi.eyJzdWIi.c2ln\"", "\"token\":\"<secret>.<secret>.c2ln\""),
            ("code=ac_FAKE_7&state=x", "code=<secret>&state=x"),
            ("http://ada:pw@proxy.example:3128/", "http://<login>@proxy.example:3128/"),
            ("/home/ada/.claude/auth.json", "~/.claude/auth.json"),
            ("@unrecorded 2", "@unrecorded 2"),
            (
                "request id req_1f4e, 9a8b7c6d5e4f, 11111111-2222-4333-8444-555555555555",
                "request id req_1f4e, 9a8b7c6d5e4f, 11111111-2222-4333-8444-555555555555",
            ),
        ] {
            assert_eq!(redactor.redact(text), kept);
        }
        assert_eq!(redactor.redact(&format!("verifier {long}, ä")), "verifier <secret>, ä");
    }
}
