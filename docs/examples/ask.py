#!/usr/bin/env python3
"""Asks one question over the socket of codex-oauth and prints the answer as it comes: ask.py QUESTION"""

import json
import os
import secrets
import socket
import stat
import sys


def fail(message):
    sys.exit(f"\nask.py: {message}")


def endpoint():
    """Where the daemon listens."""
    uid = os.geteuid()
    run_user = f"/run/user/{uid}"
    caches = os.path.expanduser("~/Library/Caches/codex-oauth")
    if os.environ.get("CODEX_OAUTH_RUNTIME_DIR"):
        folder = os.environ["CODEX_OAUTH_RUNTIME_DIR"]
    elif os.path.isdir(run_user) and os.stat(run_user).st_uid == uid:
        folder = f"{run_user}/codex-oauth"
    elif sys.platform == "darwin" and len(os.fsencode(caches)) <= 91:
        folder = caches
    else:
        folder = f"/tmp/codex-oauth-{uid}"
    try:
        found = os.lstat(folder)
    except FileNotFoundError:
        fail("no daemon is running; start it with `codex-oauth daemon start`")
    # A question is for our own daemon only: the directory must be ours, a real one, and closed to others.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
        fail(f"{folder} is not a directory of yours alone")
    return f"{folder}/daemon.sock"


def hello():
    auth_file = os.environ.get("CODEX_OAUTH_AUTH_FILE") or os.path.expanduser("~/.claude/auth.json")
    return {
        "protocol": {"min": 1, "max": 2},
        "build": "ask.py",
        "role": "api",
        "pid": os.getpid(),
        "cwd": os.getcwd(),
        "nonce": secrets.token_hex(16),
        "next": 1,
        "auth_file": os.path.realpath(auth_file),
    }


def ask(question):
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(endpoint())
        except (FileNotFoundError, ConnectionRefusedError):
            fail("no daemon is running; start it with `codex-oauth daemon start`")
        stream = connection.makefile("rw", encoding="utf-8", newline="\n")

        def send(message):
            stream.write(json.dumps(message) + "\n")
            stream.flush()

        def receive():
            while line := stream.readline():
                if not line.startswith("@"):
                    return json.loads(line)
            fail("the connection ended before the answer did")

        send({"hello": hello()})
        opening = receive()
        if "refusal" in opening:
            fail(opening["refusal"]["error"]["message"])
        params = {"input": [{"type": "text", "text": question}]}
        send({"jsonrpc": "2.0", "id": 1, "method": "turn/start", "params": params})
        while True:
            message = receive()
            if "error" in message:
                fail(message["error"]["message"])
            elif message.get("method") == "item/agentMessage/delta":
                print(message["params"]["delta"], end="", flush=True)
            elif message.get("method") == "turn/completed":
                if message["params"]["status"] != "completed":
                    fail(message["params"]["error"]["message"])
                print()
                return


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: ask.py QUESTION")
    ask(sys.argv[1])
