//! How much the shim remembers, reached and gone beyond by one: that one is told, the others are answered, and there is room
//! again.

use serde_json::{Value, json};

use crate::rig::{Peer, Shim};

/// `MAX_PENDING` and `MAX_ASKED` in `client-shim/src/relay`; a test in `daemon/tests/it/limits.rs` holds them to docs/LIMITS.md.
const MAX_PENDING: usize = 1024;
const MAX_ASKED: usize = 256;

/// Requests of one side: who asks, who answers, the method, how many may be open, and what is said to one more.
struct Row {
    from_client: bool,
    method: &'static str,
    most: usize,
    told: &'static str,
}

/// What one more is told: an error, and for a call a result, which the model gets to see.
fn refusal(peer: &mut Peer, id: &str, method: &str) -> String {
    let message = peer.next();
    assert_eq!(message["id"], id, "{message}");
    if method == "tools/call" {
        assert_eq!(message["result"]["isError"], true);
        return message["result"]["content"][0]["text"].as_str().unwrap().to_owned();
    }
    let data = &message["error"]["data"];
    assert_eq!((&data["code"], &data["retry"]["kind"]), (&json!("overloaded"), &json!("safe")), "{message}");
    message["error"]["message"].as_str().unwrap().to_owned()
}

#[test]
fn one_request_over_a_bound_is_told_so_the_others_are_answered_and_then_there_is_room() {
    let pending = "1024 others wait for their answers";
    for Row { from_client, method, most, told } in [
        Row { from_client: true, method: "tools/call", most: MAX_PENDING, told: pending },
        Row { from_client: true, method: "tools/list", most: MAX_PENDING, told: pending },
        Row { from_client: true, method: "ping", most: MAX_PENDING, told: pending },
        Row { from_client: false, method: "roots/list", most: MAX_ASKED, told: "256 questions are open" },
    ] {
        let mut shim = Shim::start();
        shim.client.request("first", "ping");
        let (_, mut daemon) = shim.accept();
        daemon.next_request("first", "ping");
        daemon.result("first", &json!({}));
        shim.client.next_result("first");
        let (asks, answers) =
            if from_client { (&mut shim.client, &mut daemon) } else { (&mut daemon, &mut shim.client) };
        for round in 0..2 {
            for id in 0..most {
                asks.request(id, method);
                answers.next_request(id, method);
            }
            for over in ["one over", "another"] {
                asks.request(over, method);
                let said = refusal(asks, over, method);
                assert!(said.contains(told) && said.contains("again"), "{method}, {round}: {said}");
            }
            // One place, for one more and not for two.
            answers.result(0, &json!("done"));
            assert_eq!(asks.next_result(0), "done");
            asks.request("instead", method);
            answers.next_request("instead", method);
            asks.request("one over", method);
            refusal(asks, "one over", method);
            // A request that was called off makes room as well.
            let off = json!({ "requestId": "instead", "reason": "user" });
            asks.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": off }));
            assert_eq!(answers.next()["params"]["requestId"], "instead");
            asks.request("in its place", method);
            answers.next_request("in its place", method);
            for id in (1..most).map(Value::from).chain(["in its place".into()]) {
                answers.result(id.clone(), &json!("done"));
                assert_eq!(asks.next_result(id), "done");
            }
        }
        drop(daemon);
        drop(shim);
    }
}
