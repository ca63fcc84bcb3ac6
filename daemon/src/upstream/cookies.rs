//! Cloudflare's cookies, and no others, kept in memory for the life of the process (WIRE §12.5). Without them each request
//! looks like a new visitor and may be challenged. Session cookies of ChatGPT itself are dropped: this is no browser.

use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};

use super::delay;
use super::routing;

/// Names that are kept (WIRE §12.5).
const NAMES: [&str; 9] = [
    "__cf_bm",
    "__cflb",
    "__cfruid",
    "__cfseq",
    "__cfwaitingroom",
    "_cfuvid",
    "cf_clearance",
    "cf_ob_info",
    "cf_use_ob",
];

/// Names with this start are kept, too.
const NAME_PREFIX: &str = "cf_chl_";

/// Cookies kept: the names above for a few hosts.
const MAX_COOKIES: usize = 32;

/// Name and value together (RFC 6265 §6.1 asks a client for 4096).
const MAX_COOKIE_BYTES: usize = 4096;

/// The jar of the process.
#[derive(Debug, Default)]
pub(super) struct Jar {
    cookies: Mutex<Vec<Cookie>>,
}

struct Cookie {
    name: String,
    value: String,
    /// The host that it is sent to.
    domain: String,
    /// Also to its subdomains (a `Domain` attribute was given).
    subdomains: bool,
    expires: Option<SystemTime>,
}

impl std::fmt::Debug for Cookie {
    /// `cf_clearance` is worth stealing.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} for {}", self.name, self.domain)
    }
}

impl Jar {
    /// Keeps what a response from `url` sets. `backend` is the configured one; other hosts than its own and chatgpt.com's
    /// are not asked and not believed.
    pub(super) fn store(&self, headers: &HeaderMap, url: &Url, backend: &Url, now: SystemTime) {
        if !headers.contains_key(SET_COOKIE) || !is_ours(url, backend) {
            return;
        }
        let Some(host) = url.host_str() else { return };
        for header in headers.get_all(SET_COOKIE) {
            let Some((cookie, gone)) = header.to_str().ok().and_then(|line| parse(line, host, now)) else {
                continue;
            };
            let mut cookies = self.cookies.lock();
            cookies.retain(|old| {
                let replaced = old.name == cookie.name && old.domain == cookie.domain;
                !replaced && !old.is_expired(now)
            });
            if !gone && cookies.len() < MAX_COOKIES {
                cookies.push(cookie);
            }
        }
    }

    /// The `cookie` header for a request to `url`.
    pub(super) fn header(&self, url: &Url, backend: &Url, now: SystemTime) -> Option<HeaderValue> {
        if self.cookies.lock().is_empty() || !is_ours(url, backend) {
            return None;
        }
        let host = url.host_str()?;
        let pairs: Vec<String> = self
            .cookies
            .lock()
            .iter()
            .filter(|cookie| cookie.is_for(host) && !cookie.is_expired(now))
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        let mut value = HeaderValue::try_from(pairs.join("; ")).ok().filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl Cookie {
    fn is_for(&self, host: &str) -> bool {
        host == self.domain || (self.subdomains && is_subdomain(host, &self.domain))
    }

    fn is_expired(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

fn is_ours(url: &Url, backend: &Url) -> bool {
    routing::is_chatgpt(url) || url.origin() == backend.origin()
}

fn is_subdomain(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// A `set-cookie` line (RFC 6265 §5.2) that is to be kept, and whether it deletes instead.
fn parse(line: &str, host: &str, now: SystemTime) -> Option<(Cookie, bool)> {
    let mut parts = line.split(';').map(str::trim);
    let (name, value) = parts.next()?.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_wanted = NAMES.contains(&name) || name.starts_with(NAME_PREFIX);
    if !is_wanted || name.len() + value.len() > MAX_COOKIE_BYTES {
        return None;
    }
    let mut cookie = Cookie {
        name: name.to_owned(),
        value: value.to_owned(),
        domain: host.to_owned(),
        subdomains: false,
        expires: None,
    };
    let mut max_age = None;
    for attribute in parts {
        let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
        match key.trim().to_ascii_lowercase().as_str() {
            "domain" => {
                let domain = value.trim().trim_start_matches('.').to_ascii_lowercase();
                // A public suffix is no site: it must at least have a dot.
                if domain != host && !(is_subdomain(host, &domain) && domain.contains('.')) {
                    return None;
                }
                cookie.subdomains = true;
                cookie.domain = domain;
            }
            "expires" if max_age.is_none() => cookie.expires = delay::http_date(value.trim()),
            "max-age" => {
                max_age = value.trim().parse::<i64>().ok();
                if let Some(seconds) = max_age {
                    cookie.expires =
                        now.checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
                }
            }
            _ => {}
        }
    }
    let gone = cookie.is_expired(now);
    Some((cookie, gone))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().expect("a URL")
    }

    fn jar_after(lines: &[&str], from: &str) -> Jar {
        let jar = Jar::default();
        let headers = lines.iter().map(|line| (SET_COOKIE, line.parse().expect("value"))).collect();
        jar.store(&headers, &url(from), &backend(), now());
        jar
    }

    fn backend() -> Url {
        url("https://chatgpt.com/backend-api")
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_348_800)
    }

    fn sent(jar: &Jar, to: &str, later: u64) -> Option<String> {
        let value = jar.header(&url(to), &backend(), now() + Duration::from_secs(later))?;
        assert!(value.is_sensitive());
        Some(value.to_str().expect("text").to_owned())
    }

    #[test]
    fn only_cloudflares_cookies_are_kept() {
        let lines = [
            "__cf_bm=a; path=/; HttpOnly",
            "oai-did=b",
            "cf_chl_2=c",
            "__Secure-next-auth.session-token=d",
            "nonsense",
        ];
        let jar = jar_after(&lines, "https://chatgpt.com/backend-api/x");
        assert_eq!(sent(&jar, "https://chatgpt.com/y", 0).as_deref(), Some("__cf_bm=a; cf_chl_2=c"));
    }

    #[test]
    fn a_cookie_goes_to_its_host_and_with_a_domain_to_its_subdomains() {
        let jar = jar_after(&["__cf_bm=a", "_cfuvid=b; Domain=.chatgpt.com"], "https://chatgpt.com/");
        assert_eq!(sent(&jar, "https://gov.chatgpt.com/", 0).as_deref(), Some("_cfuvid=b"));
        assert_eq!(sent(&jar, "https://other.example/", 0), None);
        assert_eq!(sent(&jar, "http://chatgpt.com/", 0), None);
        for domain in ["com", "evil.com", "gov.chatgpt.com"] {
            let line = format!("__cf_bm=a; domain={domain}");
            assert_eq!(
                sent(&jar_after(&[&line], "https://chatgpt.com/"), "https://chatgpt.com/", 0),
                None,
                "{domain}"
            );
        }
        assert_eq!(
            sent(&jar_after(&["__cf_bm=a"], "https://evil.example/"), "https://chatgpt.com/", 0),
            None
        );
    }

    #[test]
    fn a_cookie_expires_and_can_be_replaced_and_deleted() {
        let at = "https://chatgpt.com/";
        assert_eq!(sent(&jar_after(&["__cf_bm=a; Max-Age=60"], at), at, 61), None);
        assert!(
            sent(&jar_after(&["__cf_bm=a; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT"], at), at, 59)
                .is_some()
        );
        assert_eq!(sent(&jar_after(&["__cf_bm=a; expires=Sun, 22-Nov-26 12:00:05 GMT"], at), at, 6), None);
        assert_eq!(sent(&jar_after(&["__cf_bm=a", "__cf_bm=b"], at), at, 0).as_deref(), Some("__cf_bm=b"));
        assert_eq!(sent(&jar_after(&["__cf_bm=a", "__cf_bm=; Max-Age=0"], at), at, 0), None);
    }

    #[test]
    fn the_jar_is_bounded_and_prints_no_values() {
        let lines: Vec<String> = (0..100).map(|n| format!("cf_chl_{n}=secret")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let jar = jar_after(&lines, "https://chatgpt.com/");
        assert_eq!(jar.cookies.lock().len(), MAX_COOKIES);
        assert!(!format!("{jar:?}").contains("secret"));
        let long = format!("cf_clearance={}", "x".repeat(MAX_COOKIE_BYTES));
        assert_eq!(sent(&jar_after(&[&long], "https://chatgpt.com/"), "https://chatgpt.com/", 0), None);
    }
}
