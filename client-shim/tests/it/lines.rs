//! What is read as a message, and what becomes of everything else.

use codex_oauth_proto::MAX_LINE_BYTES;
use serde_json::{Value, json};

use crate::rig::Shim;

#[test]
fn what_is_no_message_is_answered_by_its_fault_and_the_session_goes_on() {
    let mut shim = Shim::start();
    for (line, code, id) in [
        ("hello", -32700, Value::Null),
        ("{", -32700, Value::Null),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}}"#, -32700, Value::Null),
        ("@moved", -32700, Value::Null),
        ("[]", -32600, Value::Null),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600, Value::Null),
        ("null", -32600, Value::Null),
        (r#""ping""#, -32600, Value::Null),
        ("{}", -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600, Value::Null),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600, json!(1.5)),
        (r#"{"jsonrpc":"2.0","id":"a","method":3}"#, -32600, json!("a")),
        (r#"{"jsonrpc":"2.0","id":8}"#, -32600, json!(8)),
    ] {
        // Empty lines are none.
        shim.client.say("\n\r\n  ");
        shim.client.say(line);
        assert_eq!(shim.client.next_error(id).0, code, "{line}");
    }
    assert!(!shim.has_opened(), "nobody asked for anything");
    shim.client.request("last", "ping");
    let (_, mut daemon) = shim.accept();
    daemon.next_request("last", "ping");
    daemon.result("last", &json!({}));
    shim.client.next_result("last");
    shim.end_in_silence();
}

#[test]
fn lines_pass_as_they_are_in_both_directions() {
    let mut shim = Shim::start();
    let line = "  {\"x\" : 1e400, \"method\":\"tools\\/call\",\t\"jsonrpc\":\"2.0\",\"id\" : \"\\u00e9\", \"y\":12345678901234567890123}";
    shim.client.say(line);
    let (_, mut daemon) = shim.accept();
    assert_eq!(daemon.line().unwrap(), line.as_bytes());
    let answer = "{\"result\" : {\"z\":1.0e0, \"\\u0061\":\"\\ud83d\"} ,\"id\":\"é\",\"jsonrpc\":\"2.0\"}";
    daemon.say(answer);
    assert_eq!(shim.client.line().unwrap(), answer.as_bytes());
    shim.end_in_silence();
}

#[test]
fn a_line_over_the_cap_is_refused_with_the_id_that_it_shows() {
    let long = "x".repeat(MAX_LINE_BYTES);
    let mut shim = Shim::start();
    for (line, id) in [
        (format!(r#"{{"jsonrpc":"2.0","id":5,"method":"tools/call","params":"{long}"}}"#), json!(5)),
        (format!(r#"{{"jsonrpc":"2.0","method":"tools/call","params":"{long}","id":"six"}}"#), json!("six")),
        (format!(r#"{{"jsonrpc":"2.0","method":"tools/call","params":"{long}\"id\":7"}}"#), Value::Null),
    ] {
        shim.client.say(&line);
        assert_eq!(shim.client.next_error(id), (-32600, json!("line_too_long")));
    }
    assert!(!shim.has_opened());
    shim.end_in_silence();
}

#[test]
fn an_answer_over_the_cap_fails_its_request_alone() {
    let long = "x".repeat(MAX_LINE_BYTES);
    let mut shim = Shim::start();
    shim.client.request(1, "tools/call");
    shim.client.request(2, "resources/list");
    shim.client.request(3, "tools/call");
    let (_, mut daemon) = shim.accept();
    daemon.next_request(1, "tools/call");
    daemon.next_request(2, "resources/list");
    daemon.next_request(3, "tools/call");
    daemon.result(1, &json!(long));
    daemon.result(2, &json!(long));
    daemon.result(3, &json!("short"));
    assert_eq!(shim.client.next_result(1)["isError"], true);
    assert_eq!(shim.client.next_error(2).1, "line_too_long");
    assert_eq!(shim.client.next_result(3), "short");
    shim.end_in_silence();
}

#[test]
fn a_half_line_at_the_end_is_refused_and_not_passed_on() {
    let mut shim = Shim::start();
    shim.client.request(1, "ping");
    let (_, mut daemon) = shim.accept();
    daemon.next_request(1, "ping");
    daemon.result(1, &json!({}));
    shim.client.next_result(1);
    std::io::Write::write_all(&mut shim.client.writer, br#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#)
        .unwrap();
    let (_, rest) = shim.end();
    assert_eq!(rest.len(), 1);
    assert_eq!((&rest[0]["error"]["code"], &rest[0]["id"]), (&json!(-32700), &Value::Null));
    daemon.expect_end();
}

#[test]
fn control_lines_and_noise_of_the_daemon_never_reach_the_client() {
    let mut shim = Shim::start();
    shim.client.request(1, "ping");
    shim.client.request(2, "tools/call");
    let (_, mut daemon) = shim.accept();
    daemon.next_request(1, "ping");
    daemon.next_request(2, "tools/call");
    for line in [
        "@",
        "@unknown {\"a\":1}",
        "@movedon",
        "",
        "noise",
        "[]",
        " {}",
        "{}",
        "{\"half\":",
        "{\"id\":77,\"result\":{}}",
    ] {
        daemon.say(line);
    }
    daemon.result(1, &json!({}));
    assert_eq!(shim.client.next_result(1), json!({}));
    // What was meant as an answer fails its request rather than leaving it without one.
    daemon.say(r#"{"jsonrpc":"2.0","id":2,"result":{"content":[}}"#);
    assert_eq!(shim.client.next_result(2)["isError"], true);
    shim.end_in_silence();
}

#[test]
fn mutilated_lines_get_one_answer_each_where_one_is_due() {
    const LINE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[1,true,null,"text"]}}"#;
    let mut shim = Shim::start();
    shim.client.request("first", "ping");
    let (_, mut daemon) = shim.accept();
    let answering = std::thread::spawn(move || {
        while let Some(line) = daemon.line() {
            let message: Value = serde_json::from_slice(&line).unwrap();
            if message.get("id").is_some() {
                daemon.result(message["id"].clone(), &json!({}));
            }
        }
    });
    let mut due = 1;
    let mut random = 1_u64;
    for _ in 0..3_000 {
        let mut line = LINE.as_bytes().to_vec();
        for _ in 0..2 {
            // Knuth's MMIX generator: the same lines in every run.
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let [at, with, ..] = random.to_be_bytes();
            let at = usize::from(at) % line.len();
            line[at] = if with == b'\n' { b' ' } else { with };
        }
        due += usize::from(is_answered(&line));
        line.push(b'\n');
        std::io::Write::write_all(&mut shim.client.writer, &line).unwrap();
    }
    let (_, answers) = shim.end();
    assert_eq!(answers.len(), due);
    answering.join().unwrap();
}

fn is_answered(line: &[u8]) -> bool {
    match serde_json::from_slice::<Value>(line) {
        Ok(Value::Object(message)) if message.get("method").is_some_and(Value::is_string) => {
            message.contains_key("id")
        }
        Ok(Value::Object(message)) => {
            let is_response = message.contains_key("result") || message.contains_key("error");
            !(is_response && message.contains_key("id"))
        }
        Ok(_) | Err(_) => true,
    }
}
