//! The plugin's launcher, copied as Claude Code copies a plugin, with no PATH to find anything on.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use codex_oauth_proto::tools::TOOLS_JSON;
use serde_json::{Value, json};

use crate::machine::{PROGRAMS, copy, repository, write_program};
use crate::rig::{Ran, Running};

/// Shells that are /bin/sh somewhere. The first one has to be there; of the others those that are.
const SHELLS: &[&[&str]] = &[
    &["/bin/sh"],
    &["/bin/dash"],
    &["/bin/bash", "--posix"],
    &["/bin/busybox", "sh"],
    &["/usr/bin/busybox", "sh"],
    &["/bin/zsh", "--emulate", "sh"],
];

/// Somebody who owns nothing.
const NOBODY: u32 = 65534;

const MODERN: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":7}"#;

#[test]
fn without_a_program_each_request_gets_its_own_id_back() {
    let shapes = [
        // Claude Code 2.1.330: a string for the probe, numbers after it. TypeScript clients write the id last.
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, json!(1)),
        (r#"{"method":"ping","jsonrpc":"2.0","id":0}"#, json!(0)),
        (r#"{"method":"ping","params":{"id":9,"x":[{"id":8}]},"jsonrpc":"2.0","id":-17}"#, json!(-17)),
        (r#"{"id":"server-discover-probe-1","method":"ping"}"#, json!("server-discover-probe-1")),
        ("\t{ \"id\" :\t12 , \"method\" : \"ping\" } \r", json!(12)),
        (r#"{"params":{"t":"\"id\":9,\\\"id\\\":8,\\"},"id":3,"method":"ping"}"#, json!(3)),
        (r#"{"params":{"t":"\\\" }"},"id":4,"method":"ping"}"#, json!(4)),
        (r#"{"params":{"t":"\\","u":"}{][:,"},"id":"a\"b\\","method":"ping"}"#, json!("a\"b\\")),
        (
            r#"{"params":{"a\"id":1,"id":[1,"2"]},"method":"ping","id":"é\u00e9 `$(x)` * ~"}"#,
            json!("éé `$(x)` * ~"),
        ),
        (r#"{"id":7,"method":"ping","params":[1.5e-3,true,null,[],{},"id"]}"#, json!(7)),
        (r#"{"id":"","method":"ping"}"#, json!("")),
    ];
    let lines: Vec<&str> = shapes.iter().map(|(line, _)| *line).collect();
    for shell in shells() {
        let answers = Plugin::new().ask(shell, &lines.join("\n"));
        let expected: Vec<Value> =
            shapes.iter().map(|(_, id)| json!({ "jsonrpc": "2.0", "id": id, "result": {} })).collect();
        assert_eq!(answers, expected, "{shell:?}");
    }
}

#[test]
fn what_is_no_request_is_refused_or_passed_over() {
    let shapes = [
        ("hello", json!([null, -32700])),
        (r#"{"id":1,"method":"pi"#, json!([null, -32700])),
        (r#"{"id":1,"method":"ping"}}"#, json!([null, -32700])),
        (r#"{"id":1} x"#, json!([null, -32700])),
        (r#""text""#, json!([null, -32700])),
        (r#"[{"id":1,"method":"ping"}]"#, json!([null, -32600])),
        (r#"{"id":null,"method":"ping"}"#, json!([null, -32600])),
        (r#"{"id":{"a":1},"method":"ping"}"#, json!([null, -32600])),
        (r#"{"id":1.5,"method":"ping"}"#, json!([null, -32600])),
        (r#"{"id":5}"#, json!([5, -32600])),
        (r#"{"id":6,"method":"no/such/method"}"#, json!([6, -32601])),
        (r#"{"id":7,"method":"server/discover"}"#, json!([7, -32601])),
        (r#"{"method":"notifications/initialized"}"#, Value::Null),
        (r#"{"method":"notifications/cancelled","params":{"requestId":3,"reason":"x"}}"#, Value::Null),
        (r#"{"id":8,"result":{"method":"ping"}}"#, Value::Null),
        (r#"{"error":{"code":1},"id":9}"#, Value::Null),
        (" \t\r", Value::Null),
        ("", Value::Null),
    ];
    let lines: Vec<&str> = shapes.iter().map(|(line, _)| *line).collect();
    let expected: Vec<&Value> =
        shapes.iter().map(|(_, answer)| answer).filter(|answer| !answer.is_null()).collect();
    for shell in shells() {
        let answers = Plugin::new().ask(shell, &lines.join("\n"));
        let got: Vec<Value> =
            answers.iter().map(|answer| json!([answer["id"], answer["error"]["code"]])).collect();
        assert_eq!(got.iter().collect::<Vec<_>>(), expected, "{shell:?}");
    }
}

#[test]
fn without_a_program_a_session_shows_its_tools_and_each_call_says_what_to_install() {
    let tools: Value = serde_json::from_str(TOOLS_JSON).unwrap();
    let line = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{{{params}}},"id":1}}"#)
    };
    let call = r#""name":"codex_query","arguments":{"prompt":"a \"b\""}"#;
    let lines = [
        line("tools/list", ""),
        line("tools/list", MODERN),
        line("tools/call", call),
        line("tools/call", &format!("{call},{MODERN}")),
    ];
    for shell in shells() {
        let answers = Plugin::new().ask(shell, &lines.join("\n"));
        let [list, modern_list, call, modern_call] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!(list["result"], json!({ "tools": tools }));
        let expected =
            json!({ "resultType": "complete", "tools": tools, "ttlMs": 0, "cacheScope": "private" });
        assert_eq!(modern_list["result"], expected);
        for (call, result_type) in [(call, Value::Null), (modern_call, json!("complete"))] {
            assert_eq!(
                (&call["result"]["isError"], &call["result"]["resultType"]),
                (&json!(true), &result_type)
            );
            let text = call["result"]["content"][0]["text"].as_str().unwrap();
            assert!(
                text.starts_with("could not start codex-oauth: ") && text.contains("\nnext: run `"),
                "{text}"
            );
        }
    }
}

#[test]
fn without_a_program_a_known_revision_is_echoed() {
    for (asked, answered) in [
        ("2024-11-05", "2024-11-05"),
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2031-01-01", "2025-11-25"),
    ] {
        let line = format!(
            r#"{{"method":"initialize","params":{{"capabilities":{{"protocolVersion":"x"}},"protocolVersion":"{asked}","clientInfo":{{"name":"t","version":"1"}}}},"jsonrpc":"2.0","id":0}}"#
        );
        let answers = Plugin::new().ask(&["/bin/sh"], &line);
        assert_eq!(answers[0]["result"]["protocolVersion"], answered);
        assert_eq!(answers[0]["result"]["capabilities"]["tools"], json!({}));
    }
}

#[test]
fn the_text_names_the_installer_that_lies_beside_the_plugin() {
    let plugin = Plugin::new();
    let call = r#"{"id":1,"method":"tools/call"}"#;
    let text =
        |plugin: &Plugin| plugin.ask(&["/bin/sh"], call)[0]["result"]["content"][0]["text"].to_string();
    assert!(text(&plugin).contains("run `sh install.sh` in the folder of codex-oauth"));
    let installer = plugin.path("install.sh");
    std::fs::File::create(&installer).unwrap();
    assert!(text(&plugin).contains(&format!("run `{}`", installer.display())));
}

#[test]
fn the_program_is_looked_for_in_four_places_in_order() {
    let plugin = Plugin::new();
    let platform = platform();
    let places = [
        plugin.path("data/bin/codex-oauth-mcp"),
        plugin.path("home/.local/libexec/codex-oauth/codex-oauth-mcp"),
        plugin.path("plugin/bin/native/codex-oauth-mcp"),
        plugin.path(&format!("plugin/bin/native/{platform}/codex-oauth-mcp")),
    ];
    for place in &places {
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        // The program is the shell itself: told to, it says under which name and as which process it was started.
        symlink("/bin/sh", place).unwrap();
    }
    let who = || {
        let mut command = plugin.command(&["/bin/sh"]);
        let running = command.args(["-c", "echo $$ $0"]).spawn().unwrap();
        let pid = running.id();
        let out = running.wait_with_output().unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        let (spoken, place) = said.trim().split_once(' ').unwrap_or_else(|| panic!("{said:?}"));
        assert_eq!(spoken, pid.to_string(), "the launcher did not become the program");
        PathBuf::from(place)
    };
    for place in &places {
        assert_eq!(&who(), place);
        #[expect(clippy::disallowed_methods, reason = "a link of this test")]
        std::fs::remove_file(place).unwrap();
    }
    assert_eq!(plugin.ask(&["/bin/sh"], r#"{"id":1,"method":"ping"}"#).len(), 1);
}

#[test]
fn the_command_is_found_like_the_server() {
    let plugin = Plugin::new();
    let launcher = plugin.path("plugin/bin/codex-oauth");
    let run = || {
        let mut command = Command::new("/bin/sh");
        command.arg(&launcher).env_clear().env("PATH", "/nonexistent").env("HOME", plugin.path("home"));
        command.args(["-c", "echo $0"]).stdin(Stdio::null());
        let ran: Ran = command.output().unwrap().into();
        ran
    };
    let missing = run();
    assert_eq!((missing.code(), missing.stdout.as_str()), (127, ""));
    assert!(missing.stderr.contains("\nnext: run `sh install.sh`"), "{}", missing.stderr);
    let places = [plugin.path("plugin/bin/native/codex-oauth"), plugin.path("home/.local/bin/codex-oauth")];
    for place in &places {
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        symlink("/bin/sh", place).unwrap();
        assert_eq!(run().stdout.trim_end(), place.display().to_string());
    }
}

#[test]
fn what_cannot_be_executed_is_no_program() {
    let plugin = Plugin::new();
    std::fs::create_dir_all(plugin.path("data/bin/codex-oauth-mcp")).unwrap();
    let installed = plugin.path("home/.local/libexec/codex-oauth");
    std::fs::create_dir_all(&installed).unwrap();
    std::fs::File::create(installed.join("codex-oauth-mcp")).unwrap();
    assert_eq!(plugin.ask(&["/bin/sh"], r#"{"id":1,"method":"ping"}"#).len(), 1);
}

#[test]
fn a_plugin_that_was_unpacked_without_file_modes_gets_them_back_and_runs() {
    for folder in ["plugin/bin/native".to_owned(), format!("plugin/bin/native/{}", platform())] {
        for launcher in ["codex-oauth-mcp", "codex-oauth"] {
            let plugin = Plugin::new();
            for shell in shells() {
                plugin.bring_without_modes(&folder);
                let ran: Ran = plugin.launch(launcher, shell).output().unwrap().into();
                assert_eq!(ran.stdout, format!("{launcher}\n"), "{shell:?}: {}", ran.stderr);
            }
            let programs = PROGRAMS.map(|name| plugin.path(&folder).join(name));
            for path in [plugin.path("plugin/bin/codex-oauth-mcp"), plugin.path("plugin/bin/codex-oauth")]
                .iter()
                .chain(&programs)
            {
                let mode = path.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o755, "{}", path.display());
            }
        }
    }
}

#[test]
fn a_launcher_without_its_mode_gets_it_back_also_where_the_program_is_installed() {
    let plugin = Plugin::new();
    let installed = plugin.path("home/.local/libexec/codex-oauth");
    std::fs::create_dir_all(&installed).unwrap();
    symlink("/bin/true", installed.join("codex-oauth-mcp")).unwrap();
    plugin.bring_without_modes("plugin/bin/native");
    assert!(plugin.command(&["/bin/sh"]).status().unwrap().success());
    let mode = plugin.path("plugin/bin/codex-oauth-mcp").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}

#[test]
fn a_plugin_of_another_user_without_file_modes_says_what_gives_them_back() {
    let plugin = Plugin::new();
    plugin.bring_without_modes("plugin/bin/native");
    std::fs::set_permissions(plugin.dir.path(), Permissions::from_mode(0o755)).unwrap();
    let as_nobody = |launcher: &str, line: &str| {
        let mut child =
            plugin.launch(launcher, &["/bin/sh"]).uid(NOBODY).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        let ran: Ran = Running::from(child).finish();
        ran
    };
    let bin = plugin.path("plugin/bin");
    let answer = as_nobody("codex-oauth-mcp", r#"{"id":1,"method":"tools/call"}"#).stdout;
    let next = format!(
        r"lack the permission to be executed\nnext: run `chmod -R a+rx {}` in a terminal",
        bin.display()
    );
    assert!(answer.contains(&next), "{answer}");
    let said = as_nobody("codex-oauth", "");
    assert_eq!(said.code(), 126);
    let next = format!(
        "\nnext: run `chmod -R a+rx bin` in the plugin's folder, {}\n",
        plugin.path("plugin").display()
    );
    assert!(said.stderr.ends_with(&next), "{}", said.stderr);
}

/// A copy of the plugin, alone in a folder that has a space in its name.
struct Plugin {
    dir: tempfile::TempDir,
}

impl Plugin {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        copy(&repository().join("plugin"), dir.path());
        // A checkout may have been used as it is.
        for made in ["plugin/bin/prefix", "plugin/bin/native"] {
            assert!(!dir.path().join(made).exists(), "{made} does not belong into the repository");
        }
        Self { dir }
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    fn command(&self, shell: &[&str]) -> Command {
        self.launch("codex-oauth-mcp", shell)
    }

    fn launch(&self, launcher: &str, shell: &[&str]) -> Command {
        let mut command = Command::new(shell[0]);
        command
            .args(&shell[1..])
            .arg(self.path("plugin/bin").join(launcher))
            .env_clear()
            .env("PATH", "/nonexistent")
            .env("HOME", self.path("home"))
            .env("CLAUDE_PLUGIN_DATA", self.path("data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Puts programs into this folder that say their names, and takes the right to be executed from all that the plugin has.
    fn bring_without_modes(&self, folder: &str) {
        let folder = self.path(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let programs = PROGRAMS.map(|name| folder.join(name));
        for program in &programs {
            write_program(program, "#!/bin/sh\necho \"${0##*/}\"\n");
        }
        let launchers = ["codex-oauth", "codex-oauth-mcp"].map(|name| self.path("plugin/bin").join(name));
        for file in programs.iter().chain(&launchers) {
            std::fs::set_permissions(file, Permissions::from_mode(0o644)).unwrap();
        }
    }

    /// Feeds it these lines, without a newline after the last one, and gives its answers.
    fn ask(&self, shell: &[&str], lines: &str) -> Vec<Value> {
        let mut child = self.command(shell).spawn().unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let ran: Ran = Running::from(child).finish();
        assert_eq!((ran.code(), ran.stderr.as_str()), (0, ""), "{shell:?}");
        ran.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect()
    }
}

/// What the launchers call this machine.
fn platform() -> String {
    let said = Command::new("uname").arg("-sm").output().unwrap().stdout;
    String::from_utf8(said).unwrap().trim().replace(' ', "-")
}

fn shells() -> Vec<&'static [&'static str]> {
    assert!(Path::new(SHELLS[0][0]).exists());
    SHELLS.iter().copied().filter(|shell| Path::new(shell[0]).exists()).collect()
}
