//! How much the daemon takes on at once, reached and gone beyond by one: that one is told, the others notice nothing, and what
//! has ended makes room.

use std::os::unix::net::UnixStream;

use codex_oauth_proto::Client;
use codex_oauth_proto::api::daemon::{Status, StatusResult};
use codex_oauth_proto::api::trace::{List, ListParams};
use codex_oauth_proto::api::{Empty, turn};
use codex_oauth_proto::hello::Role;
use codex_oauth_rig::{Lines, Rig, eventually, text_of};
use codex_oauthd::limits::Limits;
use fake_openai::{Effect, Endpoint, Script};
use serde_json::{Value, json};

use crate::support::{call, mcp};

/// How often a place is taken and given back.
const ROUNDS: usize = 20;

/// Connections without a hello that the daemon has in hand: `OPENINGS` in `daemon/src/server.rs`, which is no setting.
const OPENINGS: u64 = 256;

/// A session that asks, in one of the two dialects.
struct Asker {
    role: Role,
    lines: Lines,
    asked: usize,
}

impl Asker {
    fn new(rig: &Rig, role: Role) -> Self {
        let lines = if role == Role::Mcp { mcp(&rig.home) } else { Lines::open(&rig.home, role) };
        Self { role, lines, asked: 0 }
    }

    /// Sends a question, and gives its id.
    fn ask(&mut self) -> Value {
        self.asked += 1;
        let id = json!(self.asked);
        if self.role == Role::Mcp {
            call(&mut self.lines, &id, "codex_query", &json!({"prompt": "bounded"}));
        } else {
            let start = json!({"input": [{"type": "text", "text": "bounded"}]});
            self.lines.send(&json!({"jsonrpc": "2.0", "id": id, "method": "turn/start", "params": start}));
        }
        id
    }

    /// Asks what is one too many. What is said to that.
    fn refused(&mut self) -> String {
        let id = self.ask();
        let answer = self.lines.answer(&id);
        if self.role == Role::Mcp {
            assert_eq!(answer["result"]["isError"], true, "{answer}");
            let told = text_of(&answer["result"]);
            assert!(told.contains("\nnext: try again"), "{told}");
            return told;
        }
        let error = &answer["error"];
        let (data, safe) = (&error["data"], json!({"kind": "safe"}));
        assert_eq!((&data["code"], &data["retry"]), (&json!("overloaded"), &safe), "{answer}");
        assert_eq!(data["next_step"]["do"], "retry", "{answer}");
        error["message"].as_str().unwrap().to_owned()
    }

    /// So many answers come, and none is a failure.
    fn answers(&mut self, count: usize) {
        let mut answered = 0;
        while answered < count {
            let said = self.lines.receive().expect("an answer");
            answered += match self.role {
                Role::Mcp => {
                    assert!(text_of(&said["result"]).contains("bounded"), "{said}");
                    1
                }
                _ if said["method"] == turn::COMPLETED => {
                    assert_eq!(said["params"]["status"], "completed", "{said}");
                    1
                }
                _ => {
                    assert_eq!(said.get("error"), None, "{said}");
                    0
                }
            };
        }
    }
}

#[test]
fn one_question_over_a_bound_is_told_so_the_others_are_answered_and_then_there_is_room() {
    let limits = Limits::default();
    // The bound, as it is and as a small one; who asks; what is said of it; whether it is shared by all sessions.
    for (name, most, role, said, is_shared) in [
        ("calls_per_session", limits.calls_per_session, Role::Api, "requests of this session", false),
        ("calls_per_session", limits.calls_per_session, Role::Mcp, "calls of this session", false),
        ("calls_per_session", 1, Role::Api, "requests of this session", false),
        ("calls_per_session", 1, Role::Mcp, "calls of this session", false),
        ("turns", 3, Role::Api, "turns", true),
        ("turns", 3, Role::Mcp, "turns", true),
        ("turns", limits.calls_per_session, Role::Mcp, "turns", true),
    ] {
        let rig = Rig::new().limits(&[(name, most as u64)]);
        let _daemon = rig.signed_in();
        let times = u32::try_from(most).unwrap();
        let (mut first, mut other) = (Asker::new(&rig, role), Asker::new(&rig, role));
        for round in 0..ROUNDS.div_ceil(most) {
            let case = format!("{name} = {most}, {role:?}, round {round}");
            let gate = format!("gate {round}");
            rig.fake.clear_journal();
            rig.fake.script(Script { on: Endpoint::Responses, times, effect: Effect::hold(&gate) });
            for _ in 0..most {
                first.ask();
            }
            rig.fake
                .wait_for_request(Endpoint::Responses, most)
                .unwrap_or_else(|error| panic!("{case}: {error}"));
            let told = if is_shared { other.refused() } else { first.refused() };
            assert!(told.contains(&format!("{most} {said} are running")), "{case}: {told}");
            if is_shared {
                // It has room for everything but questions.
                assert!(rig.api().call::<Status>(&Empty {}).is_ok(), "{case}");
            } else {
                other.ask();
                other.answers(1);
            }
            let asked = most + usize::from(!is_shared);
            assert_eq!(
                rig.fake.requests(Endpoint::Responses).len(),
                asked,
                "{case}: it was sent all the same"
            );
            rig.fake.release(&gate);
            first.answers(most);
            // At once: whoever has read an answer may rely on its place.
            first.ask();
            first.answers(1);
        }
    }
}

#[test]
fn who_says_no_hello_keeps_further_ones_waiting_and_nobody_who_is_in_and_makes_room_by_going() {
    /// So that none of the silent ones is turned away in the test.
    const HELLO_MS: u64 = 600_000;
    /// What a daemon that takes one more would need to be seen at it: each is a way there and back through its one thread.
    const LOOKS: usize = 100;
    let rig = Rig::new().limits(&[("hello_ms", HELLO_MS)]);
    let _daemon = rig.daemon();
    let mut early = rig.api();
    let status = |api: &mut Client| -> StatusResult { api.call::<Status>(&Empty {}).unwrap() };
    let files = |api: &mut Client| status(api).open_files.unwrap();
    // Who asks waits until the database is open: its files are no connections.
    early.call::<List>(&ListParams::default()).unwrap();
    let before = files(&mut early);
    let connect = || UnixStream::connect(rig.home.endpoint().socket()).unwrap();
    let mut silent: Vec<_> = (0..OPENINGS).map(|_| connect()).collect();
    eventually("the bound is reached", || files(&mut early) >= before + OPENINGS);
    let mut late = Lines::connect(&rig.home);
    late.send(&Lines::hello(&rig.home, Role::Api));
    for _ in 0..LOOKS {
        let now = status(&mut early);
        assert_eq!((now.sessions, now.open_files.unwrap()), (1, before + OPENINGS), "one too many was taken");
    }
    drop(silent.pop());
    assert!(
        late.receive().is_some_and(|said| said.get("welcome").is_some()),
        "it is welcomed once there is room"
    );
    late.send(&json!({"jsonrpc": "2.0", "id": 1, "method": "daemon/status"}));
    assert_eq!(late.answer(&json!(1))["result"]["sessions"], 2);
    drop(silent);
    eventually("nothing of them is left", || files(&mut early) == before + 1);
}
