"""The service of a real user manager, against fake-openai outside of it; see `run`. Each step says what it found; every wait has a
deadline.

usage: check.py PID_OF_THE_MANAGER UID HOME FAKE_OPENAI
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.request

PATIENCE = 45  # seconds for one step; a stop may take a drain of 30 s
CLIENTS = 16

manager, uid, home, fake_openai = int(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]
source = pathlib.Path(__file__).resolve().parents[2]
installed = home / ".local/bin/codex-oauth"
env = {"HOME": str(home), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": f"/run/user/{uid}", "CODEX_OAUTH_NO_BROWSER": "1"}


def command(*arguments):
    """As the user, where the manager is."""
    return ["nsenter", f"--mount=/proc/{manager}/ns/mnt", "--wdns=/", "setpriv", f"--reuid={uid}", f"--regid={uid}",
            "--clear-groups", *map(str, arguments)]


def start(*arguments):
    return subprocess.Popen(command(*arguments), env=env, text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process):
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def run(*arguments):
    return end(start(*arguments))


def ok(*arguments):
    code, out, err = run(*arguments)
    assert code == 0, (arguments, code, out, err)
    return out


def systemctl(*arguments):
    return ok("systemctl", "--user", *arguments)


def property_of(unit, name):
    return systemctl("show", unit, "--property", name, "--value").strip()


def main_process():
    return int(property_of("codex-oauthd.service", "MainPID"))


def ask(text):
    return start(installed, "ask", text)


def answered(process, text):
    code, out, err = end(process)
    assert code == 0 and f"to: {text}" in out, (code, out, err)


def eventually(what, holds):
    """Looks again and again; each look is a process, which takes its time."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what


def the_manager_runs():
    eventually("the manager", lambda: run("systemctl", "--user", "is-active", "basic.target")[1].strip() == "active")


def install_puts_the_socket_in_place_and_starts_nothing_yet():
    said = ok("sh", source / "install.sh", "--from", home / "from", "--no-plugin", "--service")
    assert "service" in said, said
    assert property_of("codex-oauthd.socket", "ActiveState") == "active"
    assert main_process() == 0, "the daemon starts with the first connect"


def the_first_connect_starts_the_daemon_and_a_person_signs_in():
    login = start(installed, "login", "--no-browser")
    link = None
    for line in login.stdout:
        if found := re.search(r"http://\S+/oauth/authorize\S+", line):
            link = found.group()
            break
    assert link, login.communicate()
    assert urllib.request.urlopen(link, timeout=PATIENCE).status == 200
    code, out, err = end(login)
    assert code == 0, (code, out, err)
    assert main_process() != 0
    answered(ask("one"), "one")


def the_journal_has_its_lines_for_logs_and_for_a_bug_report():
    code, out, err = run(installed, "logs", "-n", "100")
    assert code == 0 and re.search(r"codex-oauthd\[\d+\]: .* codex_oauthd::startup: ready", out), (code, out, err)
    process = start("env", "CODEX_DEBUG=1", installed, "ask", "told")
    code, out, err = end(process)
    told = [line for line in err.splitlines() if line.startswith("[CODEX] ")]
    assert code == 0 and told, (code, out, err)
    # The journal takes lines in its own time.
    eventually("its debug lines", lambda: all(line in run(installed, "logs", "--debug")[1] for line in told))
    archive = home / "report.tar"
    said = ok(installed, "bug-report", "--output", archive)
    journal = ok("tar", "-xOf", archive, "journal.txt")
    assert "journal.txt" in said and "codex_oauthd::startup: ready" in journal and told[0] in journal, (said, journal)
    assert str(home) not in journal, journal


def the_hardened_unit_serves_and_is_confined():
    said = ok(installed, "service", "install", "--harden")
    assert "wrote" in said, said
    answered(ask("hardened"), "hardened")
    process = pathlib.Path(f"/proc/{main_process()}")
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), status
    assert int(status["CapEff"], 16) == 0, status
    mounts = {line.split()[4]: line.split()[5].split(",") for line in (process / "mountinfo").read_text().splitlines()}
    assert "ro" in mounts["/"], mounts
    said = ok(installed, "service", "install", "--harden")
    assert "wrote" not in said, said


def a_killed_daemon_is_started_again_and_nobody_is_turned_away():
    before = main_process()
    os.kill(before, signal.SIGKILL)
    clients = [ask(f"after the kill {n}") for n in range(CLIENTS)]
    for n, client in enumerate(clients):
        answered(client, f"after the kill {n}")
    assert main_process() not in (0, before)


def a_restart_finishes_the_stream_and_answers_who_comes_meanwhile():
    hold = {"kind": "stream", "fault": {"kind": "hold", "after_events": 4, "gate": "long"}}
    fake("script", {"on": "responses", "effect": {"action": hold}})
    before = main_process()
    stream = ask("a long one")
    eventually("the stream runs", lambda: json.loads(run(installed, "daemon", "status", "--json")[1])["turnsRunning"] == 1)
    restart = start("systemctl", "--user", "restart", "codex-oauthd.service")
    eventually("it ends", lambda: property_of("codex-oauthd.service", "ActiveState") == "deactivating")
    clients = [ask(f"meanwhile {n}") for n in range(CLIENTS)]
    fake("release/long")
    answered(stream, "a long one")
    for n, client in enumerate(clients):
        answered(client, f"meanwhile {n}")
    assert end(restart)[0] == 0
    assert main_process() not in (0, before)


def a_stop_by_hand_ends_it_and_the_next_question_starts_it():
    said = ok(installed, "daemon", "stop")
    assert "stopped" in said, said
    eventually("it is gone", lambda: main_process() == 0)
    # To look for it is no use of it.
    for look in [("logs", "-n", "3"), ("daemon", "status"), ("daemon", "stop"), ("--version",)]:
        run(installed, *look)
        assert main_process() == 0, f"{look} had it started"
    answered(ask("again"), "again")
    assert property_of("codex-oauthd.service", "Result") == "success"


def an_upgrade_changes_the_programs_under_a_running_service():
    # A build of its own by what it is: other bytes.
    with open(home / "from/codex-oauthd", "ab") as program:
        program.write(b"\0other")
    before = main_process()
    said = ok("sh", source / "install.sh", "--from", home / "from", "--no-plugin", "--service")
    print("     " + said.strip().replace("\n", "\n     "), flush=True)
    answered(ask("after the upgrade"), "after the upgrade")
    assert before != 0


def uninstall_leaves_no_unit_no_socket_no_process():
    process = main_process()
    said = ok(installed, "uninstall", "--purge", "--yes")
    assert not pathlib.Path(f"/proc/{process}").exists() or process == 0, said
    assert property_of("codex-oauthd.socket", "LoadState") == "not-found", said
    for path in [".config/systemd/user/codex-oauthd.socket", ".config/systemd/user/codex-oauthd.service", ".local/bin/codex-oauth"]:
        assert not (home / path).exists(), path
    assert not pathlib.Path(f"/run/user/{uid}/codex-oauth/daemon.sock").exists()


def fake(path, body=None):
    urllib.request.urlopen(f"{fake.admin}/{path}", data=json.dumps(body).encode() if body else b"", timeout=PATIENCE)


def main():
    server = subprocess.Popen([fake_openai, "--until-stdin-closes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        urls = json.loads(server.stdout.readline())
        fake.admin = urls["admin_url"]
        env["CODEX_OAUTH_ISSUER_URL"], env["CODEX_OAUTH_BACKEND_URL"] = urls["issuer_url"], urls["backend_url"]
        env["CODEX_OAUTH_CALLBACK_PORTS"] = "45571,45572"
        for step in STEPS:
            step()
            print(f"ok   {step.__name__}", flush=True)
    except BaseException:
        print(*run("systemctl", "--user", "status", "--no-pager", "codex-oauthd.socket", "codex-oauthd.service"), sep="\n", file=sys.stderr)
        print(*run("journalctl", "--user", "-q", "--no-pager", "-n", "60"), sep="\n", file=sys.stderr)
        raise
    finally:
        server.stdin.close()
        server.wait(PATIENCE)


STEPS = [
    the_manager_runs,
    install_puts_the_socket_in_place_and_starts_nothing_yet,
    the_first_connect_starts_the_daemon_and_a_person_signs_in,
    the_journal_has_its_lines_for_logs_and_for_a_bug_report,
    the_hardened_unit_serves_and_is_confined,
    a_killed_daemon_is_started_again_and_nobody_is_turned_away,
    a_restart_finishes_the_stream_and_answers_who_comes_meanwhile,
    a_stop_by_hand_ends_it_and_the_next_question_starts_it,
    an_upgrade_changes_the_programs_under_a_running_service,
    uninstall_leaves_no_unit_no_socket_no_process,
]
main()
