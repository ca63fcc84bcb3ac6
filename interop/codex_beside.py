"""The real Codex CLI and our daemon on one login: the CLI's own file, borrowed or shared.

    python3 codex_beside.py CODEX_BINARY

WIRE §11: four processes that start on one expired token all send it, and the issuer here takes long to grant a refresh and
little to refuse one, or ends the whole login on a second use. What becomes of the CLI by itself is told, not judged.
Run in a world (`world.py`) and in a network namespace that has only loopback. `CODEX_OAUTH_TESTS=full`: ten rounds of each
instead of one.
"""

import json
import os
import subprocess
import sys
import time

import codex_home
from codex_home import RUN_SECONDS, answer, asking, ended
from fake import Fake, summary
from rows import Rows

ROUNDS = 10 if os.environ.get("CODEX_OAUTH_TESTS") == "full" else 1
PROCESSES = 4

# Milliseconds to grant and to refuse a refresh: the row of WIRE §11 in which 26 of 40 processes failed.
SLOW_WINNER = {"refresh_success_latency_ms": 1500, "refresh_failure_latency_ms": 50}
# What a second use of a refresh token does: it is refused; it ends the refresh tokens; it ends everything.
POLICIES = ("error_only", "kill_refresh_family", "kill_family_and_access")

fake = Fake(os.environ["FAKE_ADMIN"])
binary = sys.argv[1]
version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
rows = Rows(version)


def ours(*arguments):
    """A command of ours."""
    command = [os.environ["CLI"], *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_SECONDS)


def adopt(how, theirs):
    done = ours("account", how, "--codex-home", str(theirs.path))
    assert done.returncode == 0, done.stderr


def by_us(entry):
    """Whether our daemon sent a request. It says so itself, as the CLI does."""
    agent = dict(entry["headers"])["user-agent"]
    assert agent.startswith(("codex_oauth", "codex_exec")), agent
    return agent.startswith("codex_oauth")


def borrow(policy, round_number):
    """How many of the CLI's processes failed beside a daemon that borrows their login."""
    fake.settings(reuse_policy=policy, **SLOW_WINNER)
    theirs = codex_home.Home(binary, fake, f"borrow-{policy}-{round_number}").signed_in(access_token_life_secs=-60)
    before = theirs.tokens()
    adopt("borrow", theirs)
    fake.forget()
    processes = [theirs.start(*asking(f"process {number}")) for number in range(PROCESSES)]
    # Questions on an ended token, while the others spend its refresh token: none may be tempted.
    refused = 0
    while any(process.poll() is None for process in processes):
        refused += ours("query", "--account", "codex", "may I").returncode != 0
        if refused > 3:
            break
    ends = [ended(process) for process in processes]
    said = ours("query", "--account", "codex", "and now")
    journal = fake.journal("refresh")
    assert journal and not any(map(by_us, journal)), summary(journal)
    # One of them was granted. If that login lives on disk, we have it too, and without a refresh.
    lives = theirs.tokens()["access_token"] != before["access_token"]
    if policy == "error_only":
        assert lives and said.returncode == 0, said.stderr
    ours("account", "remove", "codex")
    return sum(end.returncode != 0 for end in ends)


def share(theirs):
    """A round in which the daemon renews the login just before four processes start on it."""
    # As if it had been renewed long ago: its end, in fifteen minutes, is less than half of its life away.
    record = json.loads(theirs.auth.read_text())
    theirs.auth.write_text(json.dumps(record | {"last_refresh": "2026-01-01T00:00:00Z"}))
    fake.forget()
    adopt("share", theirs)
    processes = [theirs.start(*asking(f"process {number}")) for number in range(PROCESSES)]
    for number, process in enumerate(processes):
        assert answer(ended(process)).endswith(f"to: process {number}")
    journal = fake.wait("the refresh", lambda seen: [e for e in seen if e["endpoint"] == "refresh" and e["status"]])
    journal = [entry for entry in journal if entry["endpoint"] == "refresh"]
    assert [by_us(entry) for entry in journal] == [True] and journal[0]["status"] == 200, summary(journal)
    said = ours("query", "--account", "codex", "and ours")
    assert said.returncode == 0, said.stderr
    after = theirs.tokens()
    assert after["refresh_token"] != record["tokens"]["refresh_token"], "the new pair is in the file"
    ours("account", "remove", "codex")


def borrow_row(policy):
    began, failed = time.monotonic(), 0
    try:
        for round_number in range(ROUNDS):
            failed += borrow(policy, round_number)
        # Ours is another login, and nothing has happened to it.
        said = ours("query", "--account", "default", "who am I")
        assert said.returncode == 0, said.stderr
    except Exception as error:
        return rows.row(f"borrowed, {policy}: no refresh of ours", began, error)
    total = ROUNDS * PROCESSES
    rows.row(f"borrowed, {policy}: no refresh of ours (of its own {total} processes {failed} failed)", began)


def share_row(policy):
    began = time.monotonic()
    fake.settings(reuse_policy=policy, access_token_life_secs=900, **SLOW_WINNER)
    try:
        theirs = codex_home.Home(binary, fake, f"share-{policy}").signed_in()
        for _ in range(ROUNDS):
            share(theirs)
    except Exception as error:
        return rows.row(f"shared, {policy}: renewed for all, no process fails", began, error)
    total = ROUNDS * PROCESSES
    rows.row(f"shared, {policy}: one refresh a round, by us, and none of {total} processes failed", began)


for policy in POLICIES:
    share_row(policy)
for policy in POLICIES:
    borrow_row(policy)
sys.exit(rows.failed > 0)
