"""The real Codex CLI against the fake, with invented tokens.

    python3 codex.py CODEX_BINARY

Run in a world (`world.py`) and in a network namespace that has only loopback.
"""

import functools
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

import codex_home
from codex_home import RUN_SECONDS
from fake import Fake, asked, summary
from rows import Rows

# Asked for by the CLI at its start; "all may answer 404" (WIRE §9.6).
OPTIONAL = ("/backend-api/ps/", "/backend-api/wham/settings/")

fake = Fake(os.environ["FAKE_ADMIN"])
binary = sys.argv[1]
rows = Rows(subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip())


Home = functools.partial(codex_home.Home, binary, fake)


def nothing_refused(journal, but=()):
    """Every request passed the fake's checks, except those that may be refused."""
    for entry in journal:
        optional = entry["status"] == 404 and entry["path"].startswith(OPTIONAL)
        fine = entry["status"] == 200 or optional or (entry["endpoint"], entry["status"]) in but
        assert fine, f"{entry['method']} {entry['path']} {entry['status']} {entry['note']}"


def refreshes(journal):
    return [entry for entry in journal if entry["endpoint"] == "refresh"]


def streams():
    """codex exec answers over SSE, lite model and other, and no request is refused"""
    home = Home("streams").signed_in()
    fake.forget()
    for model in ("gpt-6.1-sol", "gpt-5.5"):
        text = home.ask(f"which sea is saltiest, {model}", model)
        assert text.endswith(f"to: which sea is saltiest, {model}"), text
    journal = fake.journal()
    assert [e["body"]["model"] for e in asked(journal, "saltiest")] == ["gpt-6.1-sol", "gpt-5.5"], summary(journal)
    assert {"accounts_check", "models", "responses"} <= {e["endpoint"] for e in journal}, summary(journal)
    nothing_refused(journal)


def built_in_provider():
    """its built-in provider over TLS: zstd, all its headers, and 426 turns it from WebSocket to SSE"""
    home = Home("built-in", tls=True).signed_in()
    fake.forget()
    assert home.ask("which sea is deepest").endswith("to: which sea is deepest")
    journal = fake.journal()
    (turn,) = asked(journal, "deepest")
    headers = {name for name, _ in turn["headers"]}
    assert turn["tls"] and turn["encoding"] == "zstd" and {"version", "x-codex-routing-hint"} <= headers, turn["headers"]
    assert any(entry["endpoint"] == "responses_upgrade" for entry in journal), summary(journal)
    nothing_refused(journal, but={("responses_upgrade", 426)})


def refresh_before_expiry():
    """an expired token is refreshed with proactive_expiry and auth.json rotated"""
    home = Home("expired").signed_in(access_token_life_secs=-60)
    before = home.tokens()
    fake.forget()
    assert home.ask("is it fresh").endswith("to: is it fresh")
    journal, after = fake.journal(), home.tokens()
    assert {e["body"]["refresh_reason"] for e in refreshes(journal)} == {"proactive_expiry"}, summary(journal)
    assert [e["status"] for e in refreshes(journal)].count(200) == 1, summary(journal)
    assert after["refresh_token"] != before["refresh_token"] and after["access_token"] != before["access_token"]
    nothing_refused([e for e in journal if e["endpoint"] != "refresh"])


def recovers_from_401():
    """a token that the backend refuses is refreshed with unauthorized_recovery, and the turn is answered"""
    home = Home("refused").signed_in()
    fake.expire(what="access", **{"as": "invalidated"})
    fake.forget()
    assert home.ask("who goes there").endswith("to: who goes there")
    journal = fake.journal()
    assert {e["body"]["refresh_reason"] for e in refreshes(journal)} == {"unauthorized_recovery"}, summary(journal)
    assert any(e["status"] == 401 and e["note"] == "token_invalidated" for e in journal), summary(journal)
    assert [e["status"] for e in asked(journal, "who goes there")][-1] == 200, summary(journal)


def usage_limit():
    """a 429 usage limit is told with its time, after one request"""
    home = Home("limited").signed_in()
    error = {"type": "usage_limit_reached", "message": "The usage limit has been reached", "plan_type": "plus"}
    resets_at = int(time.time()) + 7000
    body = {"error": error | {"resets_at": resets_at, "resets_in_seconds": 7000}}
    fake.script("responses", action={"kind": "respond", "status": 429, "body": body})
    fake.forget()
    ended = home.run("exec", "--skip-git-repo-check", "-m", "gpt-5.5", "one too many")
    # UTC is the time zone of the world; on another day than today's the date comes first.
    clock = time.strftime("%I:%M %p", time.gmtime(resets_at)).lstrip("0")
    told = "hit your usage limit" in ended.stderr and re.search(f"try again at .*\\b{clock}", ended.stderr)
    assert ended.returncode == 1 and told, ended.stderr
    assert [e["status"] for e in fake.journal("responses")] == [429]


def device_login():
    """codex login --device-auth signs in, and codex logout revokes"""
    home = Home("device")
    fake.forget()
    command = [binary, "login", "--device-auth", "--experimental_issuer", os.environ["FAKE_ISSUER"]]
    login = subprocess.Popen(
        command, env=home.env, cwd=home.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        shown = fake.wait("a poll for the device", lambda seen: [e for e in seen if e["endpoint"] == "device_poll"])
        fake.approve(next(e["body"]["user_code"] for e in shown if e["endpoint"] == "device_poll"))
        said, _ = login.communicate(timeout=RUN_SECONDS)
    finally:
        login.kill()
    assert login.returncode == 0, said.decode()
    nothing_refused(fake.journal(), but={("device_poll", 403), ("device_poll", 404)})
    provenance = home.tokens()["oauth_provenance"]
    assert provenance["issuer"] == os.environ["FAKE_ISSUER"], provenance
    assert home.ask("am I in").endswith("to: am I in")
    home.env["CODEX_REVOKE_TOKEN_URL_OVERRIDE"] = f"{os.environ['FAKE_ISSUER']}/oauth/revoke"
    assert home.run("logout").returncode == 0 and not home.auth.exists()
    assert [e["status"] for e in fake.journal("revoke")] == [200]


def ask_ours(prompt):
    """The same through our daemon."""
    command = [os.environ["CLI"], "query", "-m", "gpt-5.5", prompt]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_SECONDS)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def ours_and_theirs():
    """our daemon's turn and the CLI's pass the same checks, and ours sends no field of its own"""
    settings = fake.settings()
    assert settings["instructions_required"] is True, settings
    home = Home("theirs").signed_in()
    fake.forget()
    # The answer holds a hash of the prompt as the backend saw it.
    assert home.ask("compare us") == ask_ours("compare us")
    journal = fake.journal()
    theirs, ours = asked(journal, "compare us")
    assert (theirs["status"], ours["status"]) == (200, 200) and fake.settings() == settings
    assert theirs["bearer"] != ours["bearer"], "two logins, not one"
    # `instructions` is the 0.149 form, which the backend is last known to want (WIRE §7.2).
    extra = set(ours["body"]) - set(theirs["body"]) - {"instructions"}
    assert not extra, f"only ours sends {extra}"
    for name in ("store", "stream", "include"):
        assert ours["body"][name] == theirs["body"][name], name
    ours_headers, theirs_headers = dict(ours["headers"]), dict(theirs["headers"])
    for name in ("accept", "chatgpt-account-id", "content-type"):
        assert ours_headers[name] == theirs_headers[name], (name, ours_headers, theirs_headers)
    # Our own name, nobody else's (DESIGN: no imitation of another client's fingerprint).
    for name in ("originator", "user-agent"):
        assert name in theirs_headers and "codex_exec" not in ours_headers[name], ours_headers
    nothing_refused(journal)


def checks_refuse():
    """the same request with a field that the backend does not take is refused"""
    login = fake.mint()
    fake.forget()
    ask_ours("may I")
    (good,) = asked(fake.journal(), "may I")
    headers = {"authorization": f"Bearer {login['access_token']}", "chatgpt-account-id": login["account_id"]}
    headers["content-type"] = "application/json"
    statuses = []
    for body in (good["body"], good["body"] | {"temperature": 1}, good["body"] | {"store": True}):
        url = f"{os.environ['FAKE_BACKEND']}/codex/responses"
        request = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=RUN_SECONDS) as answer:
                statuses.append(answer.status)
        except urllib.error.HTTPError as refused:
            statuses.append(refused.code)
    assert statuses == [200, 400, 400], statuses


def only_loopback():
    """runs where there is no network but loopback"""
    devices = re.findall(r"^\s*(\S+):", pathlib.Path("/proc/net/dev").read_text(), re.MULTILINE)
    assert devices == ["lo"], devices


# `recovers_from_401` ends every token of the fake, our daemon's too, so it is the last.
CHECKS = [
    streams,
    built_in_provider,
    ours_and_theirs,
    checks_refuse,
    refresh_before_expiry,
    usage_limit,
    device_login,
    recovers_from_401,
]

rows.check(only_loopback)
if rows.failed:
    sys.exit("not with a network: a fault in a configuration could send something out")
for check in CHECKS:
    rows.check(check)
sys.exit(rows.failed > 0)
