//! The examples of the page, run by their interpreters against a real daemon.

use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;

use codex_oauth_rig::{Home, Rig, patience};
use fake_openai::{Effect, Endpoint};
use rustix::process::{Signal, kill_process};

use super::{read, root};
use crate::process::Process;

/// File, language of its block in the page, and the programs it needs.
const EXAMPLES: &[(&str, &str, &[&str])] = &[
    ("ask.sh", "sh", &["sh", "socat", "jq"]),
    ("ask.py", "python", &["python3"]),
    ("ask.mjs", "js", &["node"]),
];

/// Events of the fake's stream before its text begins, and two pieces of six.
const TWO_PIECES: u64 = 6;

/// Characters that a careless client trips over: quotes, escapes, several bytes, and a line separator inside a string.
const ANSWER: &str =
    "FAKE \"quoted\" \\n 蓝🙂 before\u{2028}after, and a good deal more text so that it comes in pieces";

fn command(home: &Home, example: &str, question: &str) -> Command {
    let (file, _, needed) = EXAMPLES.iter().find(|(file, ..)| *file == example).unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    for program in *needed {
        let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
        assert!(found, "{program} is missing: run `apt-get install -y socat jq python3 nodejs`");
    }
    let mut command = home.command(&root().join("docs/examples").join(file));
    command.arg(question).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn every_example_stands_in_the_page_as_it_is_in_its_file() {
    let page = read("docs/SOCKET_API.md");
    let mut fenced = 0;
    for (file, language, _) in EXAMPLES {
        let code = read(&format!("docs/examples/{file}"));
        assert!(page.contains(&format!("\n```{language}\n{code}```\n")), "{file} differs from the page");
        fenced += page.matches(&format!("\n```{language}\n")).count();
    }
    assert_eq!(fenced, EXAMPLES.len(), "another block of code in the page is in no file");
    assert_eq!(std::fs::read_dir(root().join("docs/examples")).unwrap().count(), EXAMPLES.len());
}

#[test]
fn every_example_prints_the_answer_while_it_comes() {
    let rig = Rig::new();
    let _daemon = rig.signed_in();
    for (file, ..) in EXAMPLES {
        rig.fake.next(Endpoint::Responses, Effect::hold_after(TWO_PIECES, file));
        let mut process = Process::start(&mut command(&rig.home, file, &format!("[[say {ANSWER}]]")));
        let mut stdout = process.stdout();
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 1024];
            while let Ok(read @ 1..) = stdout.read(&mut bytes) {
                let _ended = send.send(bytes[..read].to_vec());
            }
        });
        let Ok(first) = receive.recv_timeout(patience()) else {
            kill_process(process.pid(), Signal::KILL).unwrap();
            panic!("{file} printed nothing before the answer was whole: {}", text(&process.finish().stderr));
        };
        let begun = text(&first);
        assert!(ANSWER.starts_with(&begun) && begun.len() < ANSWER.len(), "{file}: {begun}");
        rig.fake.release(file);
        let output = process.finish();
        let rest: Vec<u8> = receive.iter().flatten().collect();
        assert!(output.status.success(), "{file}: {}", text(&output.stderr));
        assert_eq!(begun + &text(&rest), format!("{ANSWER}\n"), "{file}");
        assert_eq!(text(&output.stderr), "", "{file}");
    }
}

#[test]
fn every_example_fails_with_the_reason_when_there_is_no_answer() {
    let rig = Rig::new();
    let fails = |file: &str, reason: &str| {
        let output = Process::start(&mut command(&rig.home, file, "Are you there?")).finish();
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains(reason), "{file}: {} {said}", output.status);
        assert!(said.contains(file) && !said.contains("Traceback"), "{said}");
        assert_eq!(text(&output.stdout), "", "{file}");
    };
    let everywhere = |reason: &str| EXAMPLES.iter().for_each(|(file, ..)| fails(file, reason));
    everywhere("no daemon is running");
    let daemon = rig.daemon();
    everywhere("Not authenticated");
    let folder = rig.home.endpoint().dir;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    everywhere("not a directory of yours alone");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    daemon.kill();
    // The socket of a daemon that was killed lies there still.
    for file in ["ask.py", "ask.mjs"] {
        fails(file, "no daemon is running");
    }
}

#[test]
fn every_example_passes_a_refusal_on() {
    let rig = Rig::new();
    let _daemon = rig.daemon();
    let other = rig.home.path().join("home/other.json").display().to_string();
    for (file, ..) in EXAMPLES {
        let mut command = command(&rig.home, file, "Whose login?");
        let output = Process::start(command.env("CODEX_OAUTH_AUTH_FILE", &other)).finish();
        let said = text(&output.stderr);
        assert!(!output.status.success() && said.contains("keeps the login in"), "{file}: {said}");
    }
}
