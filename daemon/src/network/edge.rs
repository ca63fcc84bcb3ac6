//! Pages of Cloudflare, which stands in front of issuer and backend and may keep a whole network out. They are about where a
//! connection comes from and never about the login.
//!
//! Numbers of errors: Cloudflare's documentation, "Cloudflare 1xxx errors"; `cf-mitigated`: "Detect a Challenge Page response".

use std::fmt;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::Value;

/// Why it lets nobody through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeBlock {
    /// It wants a browser to prove itself, which no program can do.
    Challenge,
    /// A rule of its firewall refuses the connection: 1010, 1012, 1020.
    Rule(u16),
    /// The network address is banned: 1005 to 1008, 1106.
    Address(u16),
    /// The country is: 1009, or OpenAI's own `unsupported_country_region_territory`.
    Country,
    /// Too much came from this address: 1015.
    TooMuch,
    /// A block page that names no reason.
    Unnamed,
}

impl EdgeBlock {
    /// Recognises a refusal of the edge. An answer of the server behind it is none, whatever it speaks about.
    pub fn recognise(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        if headers.get("cf-mitigated").is_some_and(|value| value == "challenge") {
            return Some(Self::Challenge);
        }
        if let Ok(json) = serde_json::from_slice::<Value>(body) {
            return Self::of_json(&json);
        }
        let is_html =
            headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"text/html"));
        Self::of_page(is_html, body)
    }

    /// As a page shows it.
    fn of_page(is_html: bool, body: &[u8]) -> Option<Self> {
        const CHALLENGES: [&str; 4] = ["<title>just a moment", "cf-chl", "challenge-platform", "cf_chl_opt"];
        if !is_html && !body.trim_ascii_start().starts_with(b"<") {
            return None;
        }
        let page = String::from_utf8_lossy(body).to_ascii_lowercase();
        let is_theirs = page.contains("cloudflare") || page.contains("cf-error") || page.contains("cf-chl");
        if !is_theirs {
            return None;
        }
        if let Some(block) = number(&page).and_then(Self::of_number) {
            return Some(block);
        }
        // A block page may load the same scripts; it says so in its title.
        let is_block = page.contains("you have been blocked") || page.contains("attention required");
        let is_challenge = !is_block && CHALLENGES.iter().any(|mark| page.contains(mark));
        Some(if is_challenge { Self::Challenge } else { Self::Unnamed })
    }

    fn of_json(json: &Value) -> Option<Self> {
        // RFC 9457, as Cloudflare answers whoever asks for JSON.
        if json["cloudflare_error"] == true {
            let number = json["error_code"].as_u64().and_then(|code| u16::try_from(code).ok());
            return Some(number.and_then(Self::of_number).unwrap_or(Self::Unnamed));
        }
        (json["error"]["code"] == "unsupported_country_region_territory").then_some(Self::Country)
    }

    const fn of_number(number: u16) -> Option<Self> {
        match number {
            1010 | 1012 | 1020 => Some(Self::Rule(number)),
            1005..=1008 | 1106 => Some(Self::Address(number)),
            1009 => Some(Self::Country),
            1015 => Some(Self::TooMuch),
            _ => None,
        }
    }
}

impl fmt::Display for EdgeBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Challenge => {
                f.write_str("access blocked by Cloudflare, which wants a browser to prove itself (challenge)")
            }
            Self::Rule(number) => {
                write!(f, "access blocked by Cloudflare: a rule refuses this connection (error {number})")
            }
            Self::Address(number) => {
                write!(f, "access blocked by Cloudflare: this network address is banned (error {number})")
            }
            Self::Country => f.write_str(
                "access blocked: OpenAI does not serve the country that this connection comes from",
            ),
            Self::TooMuch => f.write_str(
                "access blocked by Cloudflare: too much came from this network address (error 1015)",
            ),
            Self::Unnamed => f.write_str(
                "access blocked by Cloudflare; this usually happens on a VPN or in a restricted region",
            ),
        }
    }
}

impl std::error::Error for EdgeBlock {}

/// The number of a page's error: `<span class="cf-error-code">1020</span>`, `Error 1020`, `error code: 1020`.
fn number(page: &str) -> Option<u16> {
    const BEFORE: [&str; 4] = ["cf-error-code\">", "error code: ", "error code ", "error "];
    BEFORE.iter().find_map(|before| {
        page.match_indices(before).find_map(|(at, _)| {
            let digits: String =
                page[at + before.len()..].chars().take_while(char::is_ascii_digit).take(5).collect();
            digits.parse().ok().filter(|number| (1000..2000).contains(number))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(body: &str) -> Option<EdgeBlock> {
        EdgeBlock::recognise(&HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn each_page_is_told_from_the_others() {
        let of = |number: &str| {
            format!(
                "<!DOCTYPE html><title>Access denied | chatgpt.com used Cloudflare to restrict access</title>\
                 <span class=\"cf-error-type\">Error</span><span class=\"cf-error-code\">{number}</span>"
            )
        };
        for (body, block) in [
            (of("1020"), EdgeBlock::Rule(1020)),
            (of("1006"), EdgeBlock::Address(1006)),
            (of("1009"), EdgeBlock::Country),
            (of("1015"), EdgeBlock::TooMuch),
            (of("1999"), EdgeBlock::Unnamed),
            ("<html>error code: 1020, cloudflare</html>".to_owned(), EdgeBlock::Rule(1020)),
            (
                "<title>Just a moment...</title><script src=/cdn-cgi/challenge-platform/x></script> cloudflare".to_owned(),
                EdgeBlock::Challenge,
            ),
            (
                "<title>Attention Required! | Cloudflare</title><script src=/cdn-cgi/challenge-platform/x></script>".to_owned(),
                EdgeBlock::Unnamed,
            ),
            (r#"{"cloudflare_error":true,"error_code":1020,"status":403}"#.to_owned(), EdgeBlock::Rule(1020)),
            (
                r#"{"error":{"code":"unsupported_country_region_territory","message":"Country, region, or territory not supported"}}"#.to_owned(),
                EdgeBlock::Country,
            ),
        ] {
            assert_eq!(page(&body), Some(block), "{body}");
        }
    }

    #[test]
    fn an_answer_that_only_speaks_of_cloudflare_is_no_block() {
        for body in
            [r#"{"detail":"cloudflare is fine"}"#, "cloudflare error 1020", "", "<html>Sign in</html>"]
        {
            assert_eq!(page(body), None, "{body}");
        }
    }

    #[test]
    fn a_challenge_is_told_by_its_header_alone() {
        let headers: HeaderMap = [("cf-mitigated", "challenge")]
            .into_iter()
            .map(|(name, value)| (reqwest::header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        assert_eq!(EdgeBlock::recognise(&headers, b""), Some(EdgeBlock::Challenge));
    }
}
