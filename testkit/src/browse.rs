//! A browser small enough for tests: loopback, plain HTTP, redirects followed, no cookies, no scripts.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::text::encode_form;

/// Most redirects in a row, as in browsers.
const MAX_REDIRECTS: usize = 20;

/// Longest wait for a connection, a read or a write.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest answer, bytes.
const MAX_ANSWER_BYTES: u64 = 16 * 1024 * 1024;

/// Where a visit ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// URL of the last request.
    pub url: String,
    /// All URLs visited, the first and the last included.
    pub visited: Vec<String>,
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body as text.
    pub body: String,
}

/// Opens a URL and follows redirects to the end.
///
/// # Errors
/// If the URL or a redirect leaves plain HTTP on loopback, if nobody listens, or if the answer is not HTTP.
pub fn browse(url: &str) -> io::Result<Page> {
    visit("GET", url, String::new())
}

/// Submits a form, as a click on its button does, and follows redirects to the end.
///
/// # Errors
/// As [`browse`].
pub fn submit(url: &str, fields: &[(&str, &str)]) -> io::Result<Page> {
    visit("POST", url, encode_form(fields))
}

fn visit(method: &str, url: &str, form: String) -> io::Result<Page> {
    let (mut method, mut url, mut form) = (method, url.to_owned(), form);
    let mut visited = Vec::new();
    for _ in 0..=MAX_REDIRECTS {
        visited.push(url.clone());
        let (status, headers, body) = request(method, &url, &form)?;
        let location = headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.clone());
        match location {
            Some(location) if matches!(status, 301 | 302 | 303 | 307 | 308) => {
                if status < 307 {
                    (method, form) = ("GET", String::new());
                }
                url = resolve(&url, &location)?;
            }
            _ => return Ok(Page { url, visited, status, headers, body }),
        }
    }
    Err(invalid(format!("could not open {}: too many redirects", visited[0])))
}

type Answer = (u16, Vec<(String, String)>, String);

fn request(method: &str, url: &str, form: &str) -> io::Result<Answer> {
    let (authority, path) = split(url)?;
    let mut stream = TcpStream::connect_timeout(&loopback_address(authority)?, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {authority}\r\naccept: text/html\r\nconnection: close\r\n"
    );
    if method == "POST" {
        let length = form.len();
        head =
            format!("{head}content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n");
    }
    stream.write_all(format!("{head}\r\n{form}").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| invalid(format!("could not read the answer of {url}: not HTTP")))
}

fn split(url: &str) -> io::Result<(&str, &str)> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| invalid(format!("could not open {url}: not plain http")))?;
    let rest = rest.split('#').next().unwrap_or(rest);
    Ok(match rest.find(['/', '?']) {
        Some(at) if rest[at..].starts_with('/') => rest.split_at(at),
        _ => (rest, "/"),
    })
}

fn loopback_address(authority: &str) -> io::Result<SocketAddr> {
    let with_port = if authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let literal = with_port.starts_with("localhost:") || with_port.parse::<SocketAddr>().is_ok();
    // IPv4 first: that is where login callbacks listen. No name but localhost is ever looked up.
    let mut addresses: Vec<SocketAddr> =
        if literal { with_port.to_socket_addrs()?.collect() } else { Vec::new() };
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let loopback = |ip: IpAddr| ip.is_loopback();
    addresses
        .into_iter()
        .find(|address| loopback(address.ip()))
        .ok_or_else(|| invalid(format!("could not open {authority}: not on loopback")))
}

fn resolve(base: &str, location: &str) -> io::Result<String> {
    if location.starts_with('/') {
        let (authority, _) = split(base)?;
        return Ok(format!("http://{authority}{location}"));
    }
    Ok(location.to_owned())
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let body = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked =
        headers.iter().any(|(name, value)| name == "transfer-encoding" && value.contains("chunked"));
    let body = if chunked { dechunk(body)? } else { body.to_vec() };
    Some((status, headers, String::from_utf8_lossy(&body).into_owned()))
}

/// RFC 9112 §7.1, without trailers.
fn dechunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let line = body.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&body[..line]).ok()?.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        body = &body[line + 2..];
        if size == 0 {
            return Some(out);
        }
        out.extend_from_slice(body.get(..size)?);
        body = body.get(size + 2..)?;
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
