"""The Windows programs under Wine, against fake-openai outside of it: a whole question, sixteen shims on a cold start, a
hand-over during a stream, a drain, and who may be second at a pipe. Every wait has a deadline; what was started is ended by `run`, which ends the Wine prefix.

usage: check.py FOLDER_OF_EXES FAKE_OPENAI [QEMU]      with QEMU: Linux programs of another machine, run by this emulator
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

PATIENCE = 90  # seconds for one step; Wine on a busy machine needs a few

exes, fake_openai = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
qemu = sys.argv[3] if len(sys.argv) > 3 else None


def windows(path):
    """A path as the programs know it."""
    return str(path) if qemu else "Z:" + str(path).replace("/", "\\")


def program(folder, name):
    return [qemu, str(folder / name)] if qemu else ["wine", str(folder / f"{name}.exe")]


class Home:
    def __init__(self, base, urls):
        self.admin = urls["admin_url"]
        self.path, self.programs = pathlib.Path(tempfile.mkdtemp(prefix="cxo", dir=base)), exes
        places = {"RUNTIME_DIR": "run", "STATE_DIR": "state", "CONFIG_DIR": "config", "AUTH_FILE": "home/auth.json"}
        # Paths of this system are none of Windows'.
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT_")}
        self.env |= {f"CODEX_OAUTH_{name}": windows(self.path / place) for name, place in places.items()}
        self.env |= {
            "CODEX_OAUTH_DAEMON": windows(exes / "codex-oauthd.exe"),
            "CODEX_OAUTH_ISSUER_URL": urls["issuer_url"],
            "CODEX_OAUTH_BACKEND_URL": urls["backend_url"],
            "CODEX_OAUTH_NO_BROWSER": "1",
            "CODEX_OAUTH_CALLBACK_PORTS": "45551,45552",
            "USERPROFILE": windows(self.path / "home"),
        }
        (self.path / "home").mkdir()
        (self.path / "config").mkdir()
        if qemu:
            # The kernel starts no program of another machine.
            daemon = self.path / "daemon"
            daemon.write_text(f'#!/bin/sh\nexec "{qemu}" "{exes}/codex-oauthd" "$@"\n')
            daemon.chmod(0o755)
            self.env["CODEX_OAUTH_DAEMON"] = str(daemon)

    def start(self, name, *arguments, stderr=subprocess.PIPE, command=None):
        return subprocess.Popen(
            [*(command or program(self.programs, name)), *arguments],
            env=self.env, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr,
        )

    def run(self, *arguments, command=None):
        # Under Wine a daemon keeps the error output of whoever starts it: no pipe that would have to end.
        with tempfile.TemporaryFile("w+") as err:
            process = self.start("codex-oauth", *arguments, stderr=err, command=command)
            out, _ = process.communicate(timeout=PATIENCE)
            err.seek(0)
            return process.returncode, out, err.read()

    def fake(self, path, body=None):
        data = json.dumps(body).encode() if body else b""
        urllib.request.urlopen(f"{self.admin}/{path}", data=data, timeout=PATIENCE)

    def status(self):
        code, out, err = self.run("daemon", "status", "--json")
        assert out, (code, err)
        return json.loads(out)


def ask(shim, number, method, params):
    send(shim, number, method, params)
    return answer_to(shim, number)


def send(shim, number, method, params):
    shim.stdin.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n")
    shim.stdin.flush()


def answer_to(shim, number):
    while True:
        line = within(shim.stdout.readline)
        assert line, f"the shim ended: {shim.stderr.read()}"
        message = json.loads(line)
        if message.get("id") == number:
            return message


def within(work):
    """The result of a blocking call, or a failure at the deadline."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert found, "not in time"
    return found[0]


def eventually(what, holds):
    """Looks again and again; each look is a process, which takes its time."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what


def initialize(shim):
    client = {"name": "check", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    answer = ask(shim, 0, "initialize", params)
    assert "result" in answer, answer
    shim.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
    shim.stdin.flush()


def call(shim, number, tool, arguments):
    return ask(shim, number, "tools/call", {"name": tool, "arguments": arguments})


def sign_in(home):
    login = home.start("codex-oauth", "login", "--no-browser")
    said = []

    def link():
        for line in login.stdout:
            said.append(line)
            if found := re.search(r"http://\S+/oauth/authorize\S+", line):
                return found.group()
        raise AssertionError((said, login.stderr.read()))

    page = urllib.request.urlopen(within(link), timeout=PATIENCE)
    assert page.status == 200, page.status
    rest, err = login.communicate(timeout=PATIENCE)
    assert login.returncode == 0, (said, rest, err)


def end(shim):
    shim.stdin.close()
    within(shim.wait)


def sixteen_shims_on_a_cold_start_meet_one_daemon(home):
    shims = [home.start("codex-oauth-mcp") for _ in range(16)]
    failures = []

    def use(shim):
        try:
            initialize(shim)
        except BaseException as error:  # told by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=use, args=[shim]) for shim in shims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    # The one that asks is a session as well.
    status = home.status()
    assert status["running"] and status["sessions"] == 17, status
    for shim in shims:
        end(shim)


def a_question_goes_through_shim_pipe_and_daemon(home):
    sign_in(home)
    shim = home.start("codex-oauth-mcp")
    initialize(shim)
    answer = call(shim, 1, "codex_query", {"prompt": "What is Python?"})
    assert not answer["result"].get("isError"), answer
    assert answer["result"]["content"][0]["text"], answer
    code, out, err = home.run("query", "What is Python?")
    assert code == 0 and out.strip(), (code, out, err)
    return shim


def reads_pend_while_a_long_line_is_written(_, shim):
    # Far more than any buffer between the two holds: it arrives only if either side reads while it writes.
    answer = call(shim, 2, "codex_query", {"prompt": "x" * 3_000_000})
    assert "result" in answer or "error" in answer, answer


def a_second_daemon_finds_the_first(home):
    second = home.start("codex-oauthd", "run")
    _, err = second.communicate(timeout=PATIENCE)
    assert second.returncode == 75 and "running already" in err, (second.returncode, err)


def a_hand_over_leaves_a_stream_whole_and_the_new_daemon_answers_at_once(home, shim):
    before = home.status()["pid"]
    hold = {"kind": "stream", "fault": {"kind": "hold", "after_events": 4, "gate": "long"}}
    home.fake("script", {"on": "responses", "effect": {"action": hold}})
    query = {"name": "codex_query", "arguments": {"prompt": "What is Python?"}}
    send(shim, 3, "tools/call", query)
    eventually("the stream runs", lambda: home.status()["turnsRunning"] == 1)
    stopping = home.start("codex-oauth", "daemon", "stop")
    eventually("the daemon hands over", lambda: home.status().get("running") is False)
    # The same shim: what it sends now goes to the new daemon, while the stream goes on at the one before.
    asked = time.monotonic()
    second = ask(shim, 4, "tools/call", query)
    took = time.monotonic() - asked
    after = home.status()
    assert after["pid"] != before and after["turnsRunning"] == 0, after
    home.fake("release/long")
    first = answer_to(shim, 3)
    for answer in [first, second]:
        assert not answer["result"].get("isError"), answer
    assert first["result"]["content"][0]["text"] == second["result"]["content"][0]["text"], (first, second)
    out, err = stopping.communicate(timeout=PATIENCE)
    assert stopping.returncode == 0, (out, err)
    print(f"     the new daemon's first answer came after {took:.1f} s, its start included", flush=True)


def a_daemon_keeps_no_pipe_of_whoever_started_it(home):
    shim = home.start("codex-oauth-mcp")
    initialize(shim)
    daemon = home.status()
    assert daemon["running"] and daemon["sessions"] == 2, daemon
    end(shim)
    # An inherited handle would keep the pipe open for as long as the daemon lives.
    assert within(shim.stdout.read) == "", "something was said after the last answer"
    assert home.status()["pid"] == daemon["pid"], "the daemon lives on"
    assert home.run("daemon", "stop")[0] == 0


def a_drain_ends_the_daemon_and_the_next_question_starts_one(home, shim):
    before = home.status()["pid"]
    code, out, err = home.run("daemon", "stop")
    assert code == 0 and "stopped" in out, (code, out, err)
    answer = call(shim, 5, "codex_status", {})
    assert not answer["result"].get("isError"), answer
    after = home.status()
    assert after["running"] and after["pid"] != before, after
    end(shim)
    assert home.run("daemon", "stop")[0] == 0
    assert not home.status()["running"]


@contextlib.contextmanager
def services(logs):
    """A folder for homes and fake-openai's addresses. After a failure the end of each log is shown that `logs` finds in the
    folder; in any case both are gone at the end."""
    fake = subprocess.Popen([fake_openai, "--until-stdin-closes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    base = pathlib.Path(tempfile.mkdtemp(prefix="cxo-wine"))
    try:
        yield base, json.loads(within(fake.stdout.readline))
    except BaseException:
        for log in filter(pathlib.Path.exists, logs(base)):
            print(log.read_text(errors="replace")[-6000:], file=sys.stderr)
        raise
    finally:
        fake.stdin.close()
        fake.wait(PATIENCE)
        shutil.rmtree(base, ignore_errors=True)


def main():
    with services(lambda base: base.glob("*/state/daemon.log")) as (base, urls):
        home = Home(base, urls)
        for step, arguments in STEPS:
            result = step(home, *([main.shim] if arguments else []))
            main.shim = result or main.shim
            print(f"ok   {step.__name__}", flush=True)


main.shim = None
STEPS = [
    (sixteen_shims_on_a_cold_start_meet_one_daemon, False),
    (a_question_goes_through_shim_pipe_and_daemon, False),
    (reads_pend_while_a_long_line_is_written, True),
    (a_second_daemon_finds_the_first, False),
    (a_hand_over_leaves_a_stream_whole_and_the_new_daemon_answers_at_once, True),
    (a_drain_ends_the_daemon_and_the_next_question_starts_one, True),
    (a_daemon_keeps_no_pipe_of_whoever_started_it, False),
]
if __name__ == "__main__":
    main()
