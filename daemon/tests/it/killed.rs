//! A daemon killed at every point of a call: the client gets one answer each time, and the backend one request at most.

use codex_oauth_proto::api::{Empty, daemon};
use codex_oauth_proto::report::StartupReport;
use codex_oauth_rig::scale::rounds;
use codex_oauth_rig::{Daemon, Rig, Shim, eventually, text_of};
use fake_openai::{Effect, Endpoint, Entry};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// Rounds at each point when everything is asked for: with twelve points 600 calls.
const ROUNDS: u32 = 50;

/// What the client gets.
#[derive(Clone, Copy, PartialEq)]
enum Gets {
    /// The answer, as if nothing had happened.
    Answer,
    /// The word that the outcome is unknown.
    Unknown,
}

/// Where the daemon is when it is killed.
#[derive(Clone, Copy)]
enum At {
    /// The client has connected; nobody has accepted.
    Accept,
    /// The session is open, and the line lies in the socket.
    Unread,
    /// Something is asked at the backend that comes before the turn itself.
    Read,
    /// At a point of its own, where no outsider can hold it.
    Own(&'static str),
    /// The backend does this with the request; it has this many events out and perhaps its head.
    Upstream(Upstream),
    /// The client has its answer.
    Answered,
}

#[derive(Clone, Copy)]
enum Upstream {
    Sent,
    Head,
    Events(u64),
}

#[test]
fn before_it_accepts() {
    killed(At::Accept, Gets::Answer, 1);
}

#[test]
fn after_the_hello_with_the_line_unread() {
    killed(At::Unread, Gets::Answer, 1);
}

#[test]
fn after_the_line_was_read() {
    killed(At::Read, Gets::Answer, 1);
}

#[test]
fn before_the_shim_is_told_that_the_turn_is_sent() {
    killed(At::Own("announcing"), Gets::Answer, 1);
}

#[test]
fn after_the_shim_was_told_and_before_the_turn_is_sent() {
    killed(At::Own("announced"), Gets::Unknown, 0);
}

#[test]
fn after_the_request_was_sent() {
    killed(At::Upstream(Upstream::Sent), Gets::Unknown, 1);
}

#[test]
fn after_the_head_of_the_answer() {
    killed(At::Upstream(Upstream::Head), Gets::Unknown, 1);
}

#[test]
fn after_the_first_event() {
    killed(At::Upstream(Upstream::Events(1)), Gets::Unknown, 1);
}

#[test]
fn in_the_middle_of_the_text() {
    killed(At::Upstream(Upstream::Events(6)), Gets::Unknown, 1);
}

#[test]
fn after_the_last_event_and_before_the_answer_is_kept() {
    killed(At::Own("ended"), Gets::Unknown, 1);
}

#[test]
fn after_the_answer_was_kept_and_before_it_is_passed_on() {
    killed(At::Own("kept"), Gets::Answer, 1);
}

#[test]
fn after_the_answer_was_passed_on() {
    killed(At::Answered, Gets::Answer, 1);
}

/// Kills the daemon at a point, again and again. `sent`: how many requests the backend sees each time.
fn killed(at: At, gets: Gets, sent: usize) {
    let Rig { fake, home } = Rig::new();
    // The successor is started by the shim.
    let home = home.set("CODEX_OAUTH_NO_SPAWN", "0");
    let rig = Rig { fake, home };
    drop(rig.signed_in());
    let own = match at {
        At::Own(point) => point,
        _ => "",
    };
    let mut rig = rig;
    for round in 0..rounds(ROUNDS) {
        let prompt = format!("round {round}.");
        rig.fake.clear_journal();
        rig.fake.clear_scripts();
        // Its successors live on.
        let Rig { fake, home } = rig;
        let doomed = Rig { fake, home: home.set("CODEX_OAUTH_TEST_KILL_AT", own) };
        let daemon = started(&doomed);
        let Rig { fake, home } = doomed;
        rig = Rig { fake, home: home.unset("CODEX_OAUTH_TEST_KILL_AT") };
        let mut shim = if matches!(at, At::Accept) {
            daemon.signal(Signal::STOP);
            let mut shim = Shim::spawn(&rig.home);
            shim.send(&initialize());
            shim.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
            shim
        } else {
            Shim::initialized(&rig.home)
        };
        let answer = ask_and_kill(&rig, daemon, &mut shim, at, &prompt);
        let text = text_of(&answer["result"]);
        match gets {
            Gets::Answer => assert!(text.contains(&prompt), "round {round}: {answer}"),
            Gets::Unknown => {
                assert!(answer["result"]["isError"] == true, "round {round}: {answer}");
                assert!(text.ends_with("may have been charged"), "round {round}: {answer}");
            }
        }
        // Each round has a gate of its own, named after its prompt.
        rig.fake.release(&prompt);
        nothing_more_is_said(&mut shim);
        let requests = rig.fake.requests(Endpoint::Responses).len();
        assert_eq!(requests, sent, "round {round}: {:?}", rig.fake.journal());
        end_successor(&rig);
    }
}

fn initialize() -> serde_json::Value {
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "it", "version": "1"}
    });
    json!({"jsonrpc": "2.0", "id": "init", "method": "initialize", "params": params})
}

/// Asks once and has the daemon die at the point; the answer.
fn ask_and_kill(rig: &Rig, daemon: Daemon, shim: &mut Shim, at: At, prompt: &str) -> serde_json::Value {
    let effect = match at {
        At::Upstream(Upstream::Sent) => Some((Endpoint::Responses, Effect::hold(prompt))),
        At::Upstream(Upstream::Head) => Some((Endpoint::Responses, Effect::hold_after(0, prompt))),
        At::Upstream(Upstream::Events(events)) => {
            Some((Endpoint::Responses, Effect::hold_after(events, prompt)))
        }
        At::Read => Some((Endpoint::Models, Effect::hold(prompt))),
        _ => None,
    };
    if let Some((on, effect)) = effect {
        rig.fake.next(on, effect);
    }
    if matches!(at, At::Unread) {
        daemon.signal(Signal::STOP);
    }
    shim.call(&json!("q"), "codex_query", &json!({"prompt": prompt}));
    match at {
        At::Accept => daemon.kill(),
        At::Unread => {
            // The shim itself answers a line that is no JSON, after it has passed on what came before.
            shim.send_bytes(b"no JSON\n");
            assert_eq!(shim.receive().expect("the shim lives")["error"]["code"], -32700);
            daemon.kill();
        }
        At::Read => {
            rig.fake.wait_for_request(Endpoint::Models, 1).expect("the line was read");
            daemon.kill();
        }
        At::Own(_) => {
            let mut daemon = daemon;
            daemon.wait();
        }
        At::Upstream(point) => {
            rig.fake
                .wait_for(|entries| entries.iter().any(|entry| reached(entry, point)))
                .expect("the point");
            daemon.kill();
        }
        At::Answered => {
            let answer = shim.answer(&json!("q"));
            daemon.kill();
            return answer;
        }
    }
    if matches!(at, At::Accept) {
        shim.answer(&json!("init"));
    }
    shim.answer(&json!("q"))
}

fn reached(entry: &Entry, point: Upstream) -> bool {
    entry.endpoint == Endpoint::Responses
        && match point {
            Upstream::Sent => true,
            Upstream::Head => entry.status.is_some(),
            Upstream::Events(events) => entry.events >= events,
        }
}

/// A further request is answered, by a daemon that is there, and then the shim has nothing more to say.
fn nothing_more_is_said(shim: &mut Shim) {
    shim.call(&json!("after"), "codex_status", &json!({}));
    let mut answers = Vec::new();
    while answers.last() != Some(&json!("after")) {
        let message = shim.receive().expect("the shim lives");
        answers.extend(message.get("id").filter(|_| message.get("method").is_none()).cloned());
    }
    shim.close_input();
    while let Some(message) = shim.receive() {
        answers.extend(message.get("id").cloned());
    }
    assert_eq!(answers, [json!("after")], "the call was answered more than once");
}

/// A daemon, once the one before has let go of its locks.
fn started(rig: &Rig) -> Daemon {
    let mut ready = None;
    eventually("a daemon starts", || {
        let (daemon, report) = Daemon::launch(&rig.home);
        if matches!(report, Some(StartupReport::Ready { .. })) {
            ready = Some(daemon);
        }
        ready.is_some()
    });
    ready.expect("it is ready")
}

/// Kills the daemon that the shim started.
fn end_successor(rig: &Rig) {
    let status = rig.api().call::<daemon::Status>(&Empty {}).expect("a daemon is there");
    let pid = Pid::from_raw(i32::try_from(status.pid).expect("a process id")).expect("not zero");
    kill_process(pid, Signal::KILL).expect("it runs");
}
