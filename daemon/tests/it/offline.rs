//! A network that is down when the login has to be renewed, and then there again.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use codex_oauth_rig::{Rig, eventually, text_of};
use fake_openai::Endpoint;
use serde_json::json;

use crate::support::{ask, call, end_token, failure, mcp};

/// An address that leads to the issuer, for as long as it is held.
struct Way {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Way {
    fn open(at: SocketAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind(at).unwrap();
        let (address, over) = (listener.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let is_over = Arc::clone(&over);
        let accepting = std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let server = TcpStream::connect(to).unwrap();
                for (mut from, mut to) in [(&client, &server), (&server, &client)]
                    .map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap()))
                {
                    std::thread::spawn(move || {
                        // Whoever ends first ends the other way too.
                        let _ended = io::copy(&mut from, &mut to);
                        let _ended = to.shutdown(std::net::Shutdown::Write);
                    });
                }
            }
        });
        Self { address, over, accepting: Some(accepting) }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // It waits for somebody to come.
        let _woken = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ended = accepting.join();
        }
    }
}

#[test]
fn a_network_that_is_down_costs_no_login_and_its_return_brings_the_answer() {
    const QUESTIONS: usize = 5;
    let rig = Rig::new();
    let issuer: SocketAddr = rig.fake.issuer_url().trim_start_matches("http://").parse().unwrap();
    let way = Way::open("127.0.0.1:0".parse().unwrap(), issuer);
    let address = way.address;
    let rig = rig.set(&[("CODEX_OAUTH_ISSUER_URL", &format!("http://{address}"))]);
    let _daemon = rig.signed_in();
    let mut lines = mcp(&rig.home);
    drop(way);
    end_token(&rig, -60);
    for n in 0..QUESTIONS {
        let told = failure(&mut lines, &format!("while it is down {n}"));
        assert!(told.contains(&format!("could not reach `{address}`")), "{told}");
        assert!(!told.contains("sign in"), "it is the network's fault: {told}");
    }
    call(&mut lines, &json!("status"), "codex_status", &json!({}));
    let status = text_of(&lines.answer(&json!("status"))["result"]);
    assert!(status.starts_with("signed in"), "{status}");
    assert!(
        rig.fake.requests(Endpoint::Refresh).is_empty() && rig.fake.requests(Endpoint::Responses).is_empty()
    );
    let _back = Way::open(address, issuer);
    eventually("the login is renewed", || {
        let result = ask(&mut lines, "and now");
        result["isError"] == false && text_of(&result).contains("and now")
    });
    let refreshes = rig.fake.requests(Endpoint::Refresh);
    assert!(matches!(&refreshes[..], [one] if one.status == Some(200)), "{refreshes:?}");
    assert_eq!(rig.fake.requests(Endpoint::Responses).len(), 1);
}
