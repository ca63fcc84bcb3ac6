use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::task::TaskTracker;

use super::*;
use crate::task;

const STATE: &str = "the-right-state";
const ISSUER: &str = "https://auth.openai.com";

struct Rig {
    port: u16,
    redirect: oneshot::Receiver<Redirect>,
    stop: CancellationToken,
    tracker: TaskTracker,
}

impl Rig {
    fn new() -> Self {
        let listeners = Listeners::bind(&[0]).unwrap();
        let port = listeners.port();
        let (first, redirect) = oneshot::channel();
        let stop = CancellationToken::new();
        let tracker = TaskTracker::new();
        let expected = Expected { port, state: Secret::new(STATE), issuer: ISSUER.to_owned() };
        task::spawn(&tracker, "callback", serve(listeners, expected, first, stop.clone()));
        Self { port, redirect, stop, tracker }
    }

    async fn send(&self, request: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.unwrap();
        stream.write_all(request.replace("PORT", &self.port.to_string()).as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A refused head may end in a reset after the answer.
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer).await {
            answer.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(answer).unwrap()
    }

    /// The status of `METHOD TARGET` with these header lines, none of which are the redirect.
    async fn status(&self, line: &str, headers: &str) -> u16 {
        let answer = self.send(&format!("{line} HTTP/1.1\r\n{headers}\r\n")).await;
        assert!(!answer.contains(STATE) && !answer.contains("the-code"), "{answer}");
        answer.split(' ').nth(1).unwrap().parse().unwrap()
    }
}

#[tokio::test]
async fn what_is_not_the_redirect_is_refused_and_the_login_goes_on_waiting() {
    const GOOD: &str = "GET /auth/callback?code=the-code&state=the-right-state";
    const HOST: &str = "Host: 127.0.0.1:PORT\r\n";
    let mut rig = Rig::new();
    // What is taken for the redirect finds nobody waiting and is answered 410.
    rig.redirect = oneshot::channel().1;
    let long = format!("{HOST}Cookie: {}\r\n", "x".repeat(20 << 10));
    for (line, headers, status) in [
        // Host
        (GOOD, "", 403),
        (GOOD, "Host: 127.0.0.1\r\n", 403),
        (GOOD, "Host: 127.0.0.1:1\r\n", 403),
        (GOOD, "Host: localhost\r\n", 403),
        (GOOD, "Host: evil.example:PORT\r\n", 403),
        (GOOD, "Host: 127.0.0.1.evil.example:PORT\r\n", 403),
        (GOOD, "Host: 127.0.0.2:PORT\r\n", 403),
        (GOOD, "Host: 0.0.0.0:PORT\r\n", 403),
        (GOOD, "Host: 127.0.0.1:PORT\r\nHost: 127.0.0.1:PORT\r\n", 403),
        ("GET http://127.0.0.1:PORT/auth/callback?code=the-code&state=the-right-state", HOST, 400),
        // Path
        ("GET /", HOST, 404),
        ("GET /favicon.ico", HOST, 404),
        ("GET /cancel", HOST, 404),
        ("GET /success", HOST, 404),
        ("GET /auth/callback/?code=the-code&state=the-right-state", HOST, 404),
        ("GET //auth/callback?code=the-code&state=the-right-state", HOST, 404),
        ("GET /auth/%63allback?code=the-code&state=the-right-state", HOST, 404),
        ("GET /AUTH/CALLBACK?code=the-code&state=the-right-state", HOST, 404),
        ("GET /x/../auth/callback?code=the-code&state=the-right-state", HOST, 404),
        // Method
        ("POST /auth/callback?code=the-code&state=the-right-state", HOST, 405),
        ("HEAD /auth/callback?code=the-code&state=the-right-state", HOST, 405),
        ("OPTIONS /auth/callback?code=the-code&state=the-right-state", HOST, 405),
        ("get /auth/callback?code=the-code&state=the-right-state", HOST, 405),
        // Not a navigation
        (GOOD, "Host: 127.0.0.1:PORT\r\nOrigin: https://evil.example\r\n", 403),
        (GOOD, "Host: 127.0.0.1:PORT\r\nOrigin: http://127.0.0.1:PORT\r\n", 403),
        (GOOD, "Host: 127.0.0.1:PORT\r\nOrigin: https://auth.openai.com.evil.example\r\n", 403),
        (GOOD, "Host: 127.0.0.1:PORT\r\nOrigin: null\r\nOrigin: null\r\n", 403),
        (
            GOOD,
            "Host: 127.0.0.1:PORT\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n",
            403,
        ),
        (
            GOOD,
            "Host: 127.0.0.1:PORT\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: cors\r\nOrigin: null\r\n",
            403,
        ),
        (
            GOOD,
            "Host: 127.0.0.1:PORT\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n",
            403,
        ),
        // State
        ("GET /auth/callback", HOST, 400),
        ("GET /auth/callback?code=the-code", HOST, 400),
        ("GET /auth/callback?code=the-code&state=", HOST, 400),
        ("GET /auth/callback?code=the-code&state=the-wrong-state", HOST, 400),
        ("GET /auth/callback?code=the-code&state=the-right-stat", HOST, 400),
        ("GET /auth/callback?code=the-code&state=the-right-state.more", HOST, 400),
        ("GET /auth/callback?code=the-code&state=x&state=the-right-state", HOST, 400),
        ("GET /auth/callback?code=a&code=the-code&state=the-right-state", HOST, 400),
        ("GET /auth/callback?error=access_denied&state=the-wrong-state", HOST, 400),
        ("GET /auth/callback?error=access_denied", HOST, 400),
        // A referrer opens nothing: any program can send one.
        (
            "GET /auth/callback?code=the-code&state=x",
            "Host: 127.0.0.1:PORT\r\nReferer: https://auth.openai.com/\r\n",
            400,
        ),
        ("GET /", "Host: 127.0.0.1:PORT\r\nReferer: https://auth.openai.com/\r\n", 404),
        (GOOD, "Host: 127.0.0.1:1\r\nReferer: https://auth.openai.com/\r\n", 403),
        (
            GOOD,
            "Host: 127.0.0.1:PORT\r\nReferer: https://auth.openai.com/\r\nOrigin: https://evil.example\r\n",
            403,
        ),
        // Size
        (GOOD, long.as_str(), 431),
    ] {
        assert_eq!(rig.status(line, headers).await, status, "{line} {headers:.200}");
    }
}

#[tokio::test]
async fn every_browser_gets_through_with_the_right_redirect() {
    for (query, headers) in [
        ("code=the-code&state=the-right-state", "Host: 127.0.0.1:PORT\r\n"),
        ("state=the-right-state&scope=x&code=the-code", "Host: localhost:PORT\r\n"),
        ("code=the-code&state=the-right-state", "Host: LOCALHOST:PORT\r\n"),
        ("code=the-code&state=the-right-state", "Host: [::1]:PORT\r\n"),
        (
            "code=the%2Dcode&state=the-right-state",
            "Host: 127.0.0.1:PORT\r\nReferer: https://auth.openai.com/\r\n",
        ),
        ("code=the-code&state=the-right-state", "Host: 127.0.0.1:PORT\r\nReferer: https://sso.example/\r\n"),
        // Nor does one close anything: browsers keep them back, cut them and let extensions make them up.
        (
            "code=the-code&state=the-right-state",
            "Host: 127.0.0.1:PORT\r\nReferer: about:client\r\nReferer: \r\n",
        ),
        ("code=the-code&state=the-right-state", "Host: 127.0.0.1:PORT\r\nOrigin: null\r\n"),
        (
            "code=the-code&state=the-right-state",
            "Host: 127.0.0.1:PORT\r\nOrigin: https://auth.openai.com\r\n",
        ),
        // Node's `fetch`.
        ("code=the-code&state=the-right-state", "Host: 127.0.0.1:PORT\r\nSec-Fetch-Mode: cors\r\n"),
        (
            "code=the-code&state=the-right-state.onboarding_entrypoint=life_sciences",
            "Host: 127.0.0.1:PORT\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n\
             Sec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n",
        ),
    ] {
        let mut rig = Rig::new();
        let request = format!("GET /auth/callback?{query} HTTP/1.1\r\n{headers}\r\n");
        let redirect = std::mem::replace(&mut rig.redirect, oneshot::channel().1);
        let handle = async {
            let redirect = redirect.await.unwrap();
            assert_eq!(redirect.code.unwrap().expose(), "the-code");
            redirect.reply.send(Page::SignedIn { email: Some("ada@example.com".to_owned()) }).unwrap();
        };
        let (answer, ()) = tokio::join!(rig.send(&request), handle);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("ada@example.com"), "{answer}");
        assert!(!answer.contains(STATE) && !answer.contains("the-code"));
        for header in [
            "cache-control: no-store",
            "referrer-policy: no-referrer",
            "x-content-type-options: nosniff",
            "content-security-policy: default-src 'none'",
            "connection: close",
        ] {
            assert!(answer.to_lowercase().contains(header), "{header} missing in {answer}");
        }
    }
}

#[tokio::test]
async fn a_denial_and_a_redirect_without_a_code_carry_the_reason() {
    for (query, expected) in [
        ("error=access_denied&error_description=You+said+no", "You said no (access_denied)"),
        ("error=server_error", "server_error"),
        (
            "error=access_denied&error_description=missing_codex_entitlement",
            "Codex is not enabled for this workspace; its administrator can enable it",
        ),
        ("code=", "the redirect has no authorization code (missing_code)"),
        ("code=the-code&error=access_denied", "access_denied"),
    ] {
        let mut rig = Rig::new();
        let request =
            format!("GET /auth/callback?{query}&state={STATE} HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n");
        let redirect = std::mem::replace(&mut rig.redirect, oneshot::channel().1);
        let handle = async {
            let redirect = redirect.await.unwrap();
            assert_eq!(redirect.code.unwrap_err().to_string(), expected);
            redirect.reply.send(Page::Failed { reason: "<b>no</b>".to_owned() }).unwrap();
        };
        let (answer, ()) = tokio::join!(rig.send(&request), handle);
        assert!(answer.contains("&lt;b&gt;no&lt;/b&gt;"), "{answer}");
    }
}

#[tokio::test]
async fn a_replayed_redirect_is_refused() {
    const REQUEST: &str =
        "GET /auth/callback?code=the-code&state=the-right-state HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\n\r\n";
    let mut rig = Rig::new();
    let redirect = std::mem::replace(&mut rig.redirect, oneshot::channel().1);
    let replay = async {
        let redirect = redirect.await.unwrap();
        let answer = rig.send(REQUEST).await;
        assert!(answer.starts_with("HTTP/1.1 410"), "{answer}");
        redirect.reply.send(Page::SignedIn { email: None }).unwrap();
    };
    let (answer, ()) = tokio::join!(rig.send(REQUEST), replay);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn after_the_end_the_port_is_free_within_a_second_whoever_is_still_connected() {
    let rig = Rig::new();
    let idle = TcpStream::connect((Ipv4Addr::LOCALHOST, rig.port)).await.unwrap();
    let mut half = TcpStream::connect((Ipv4Addr::LOCALHOST, rig.port)).await.unwrap();
    half.write_all(b"GET /auth/callback?code=").await.unwrap();
    // An answered request proves that the two before it were accepted.
    assert_eq!(rig.status("GET /", "Host: 127.0.0.1:PORT\r\n").await, 404);
    rig.tracker.close();
    rig.stop.cancel();
    tokio::time::timeout(Duration::from_secs(1), rig.tracker.wait()).await.unwrap();
    Listeners::bind(&[rig.port]).unwrap();
    drop((idle, half));
}

#[tokio::test]
async fn the_next_free_port_is_taken_and_all_busy_are_named() {
    let first = Listeners::bind(&[0]).unwrap();
    let second = Listeners::bind(&[first.port(), 0]).unwrap();
    assert_ne!(first.port(), second.port());
    let error = Listeners::bind(&[first.port(), second.port()]).unwrap_err();
    assert_eq!(error.ports, [first.port(), second.port()]);
    let (a, b) = (first.port(), second.port());
    assert_eq!(error.to_string(), format!("could not listen for the browser on any of the ports {a}, {b}"));
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
}
