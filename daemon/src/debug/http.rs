//! What a request to backend or issuer says on its way, in the words of the original.

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode, Url};
use tokio::time::Instant;

use super::{Tag, listener, ms};

/// A request that is under way.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// When it began, if anybody listens.
    began: Option<Instant>,
}

impl Exchange {
    /// It is about to be sent.
    pub(crate) fn begins(method: &Method, url: &Url, body_bytes: usize) -> Self {
        let Some(listener) = listener() else { return Self { began: None } };
        listener.tell(Tag::Http, format_args!("Making {method} request"));
        // A query may hold what is nobody's business; a password is in no address of ours.
        let place = format!("{}{}", url.origin().ascii_serialization(), url.path());
        listener.tell(Tag::Http, format_args!("  {place}, {body_bytes} bytes"));
        Self { began: Some(Instant::now()) }
    }

    /// Its response head came, or none did. `request_id`: finds the server's name for it.
    pub(crate) fn ends(
        self,
        head: Option<(StatusCode, &HeaderMap)>,
        request_id: impl FnOnce(&HeaderMap) -> Option<String>,
    ) {
        let (Some(began), Some(listener)) = (self.began, listener()) else { return };
        let took = ms(began.elapsed());
        let Some((status, headers)) = head else {
            return listener.tell(Tag::Http, format_args!("No response after {took}"));
        };
        if status.is_client_error() || status.is_server_error() {
            listener.tell(Tag::Http, format_args!("HTTP error: {} ({})", status.as_u16(), meaning(status)));
        } else {
            listener.tell(Tag::Http, format_args!("Response status: {}", status.as_u16()));
        }
        let kind =
            headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or("no content type");
        let id = request_id(headers);
        let id = id.as_deref().unwrap_or("none");
        listener.tell(Tag::Http, format_args!("  after {took}, request id {id}, {kind}"));
    }
}

/// What a status most likely means; the first three are the original's words.
fn meaning(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "missing/invalid token",
        403 => "account not authorized",
        429 => "rate limited",
        500.. => "the server failed",
        _ => status.canonical_reason().unwrap_or("refused"),
    }
}
