"""Runs a command in a world of its own: a fresh fake, a fresh home, our binaries, signed in through the browser login.

    python3 world.py --bin DIR [--signed-out] -- COMMAND...

The command finds `SHIM`, `CLI`, `FAKE_ADMIN`, `WORLD` (a temporary folder) and everything that our programs read in its
environment; its exit status is this program's. Everything that was started is ended, also after SIGTERM.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

from fake import follow

# What a program of ours may take to start or end on a busy machine.
PATIENCE_SECONDS = 20

# Exit status of `codex-oauth daemon ...` when no daemon runs.
NONE_RUNS = 6


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--bin", required=True, type=pathlib.Path)
    options.add_argument("--signed-out", action="store_true")
    options.add_argument("command", nargs="+")
    options = options.parse_args()
    # `finally` runs on SystemExit, not on a signal's default.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Short: the socket's path has to fit 107 bytes.
    world = pathlib.Path(tempfile.mkdtemp(prefix="cxi", dir="/tmp"))
    try:
        sys.exit(in_world(world, options))
    finally:
        shutil.rmtree(world, ignore_errors=True)


def in_world(world, options):
    fake = subprocess.Popen(
        [options.bin / "fake-openai", "--listen", "127.0.0.1:0", "--tls-listen", "127.0.0.1:0"]
        + ["--ca-out", world / "ca.pem", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        urls = json.loads(fake.stdout.readline())
        env = environment(world, options.bin, urls)
        try:
            if not options.signed_out:
                sign_in(env)
            return subprocess.run(options.command, env=env, cwd=world).returncode
        finally:
            stop_daemon(env, world)
    finally:
        fake.stdin.close()
        fake.wait(PATIENCE_SECONDS)


def environment(world, binaries, urls):
    for folder in ("home/.claude", "config"):
        (world / folder).mkdir(parents=True)
    return {
        "HOME": str(world / "home"),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TERM": "dumb",
        "TZ": "UTC",
        "WORLD": str(world),
        "FAKE_ADMIN": urls["admin_url"],
        "FAKE_ISSUER": urls["issuer_url"],
        "FAKE_BACKEND": urls["backend_url"],
        "FAKE_TLS_BACKEND": urls["tls_backend_url"],
        "FAKE_CA": str(world / "ca.pem"),
        "SHIM": str(binaries / "codex-oauth-mcp"),
        "CLI": str(binaries / "codex-oauth"),
        "CODEX_OAUTH_DAEMON": str(binaries / "codex-oauthd"),
        "CODEX_OAUTH_RUNTIME_DIR": str(world / "run"),
        "CODEX_OAUTH_STATE_DIR": str(world / "state"),
        "CODEX_OAUTH_CONFIG_DIR": str(world / "config"),
        "CODEX_OAUTH_AUTH_FILE": str(world / "home/.claude/auth.json"),
        "CODEX_OAUTH_ISSUER_URL": urls["issuer_url"],
        "CODEX_OAUTH_BACKEND_URL": urls["backend_url"],
        "CODEX_OAUTH_CALLBACK_PORTS": ",".join(map(str, free_ports(2))),
        "CODEX_OAUTH_NO_BROWSER": "1",
        "CODEX_OAUTH_TESTS": os.environ.get("CODEX_OAUTH_TESTS", "some"),
    }


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def sign_in(env):
    login = subprocess.Popen(
        [env["CLI"], "login", "--no-browser"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    link = login.stdout.readline().strip()
    if not link:
        raise RuntimeError(f"codex-oauth login gave no link: {login.communicate(timeout=PATIENCE_SECONDS)[1]}")
    assert follow(link) == 200
    said = login.communicate(timeout=PATIENCE_SECONDS)[1]
    if login.returncode != 0:
        raise RuntimeError(f"codex-oauth login ended with {login.returncode}: {said}")


def stop_daemon(env, world):
    """Ends the daemon of this world. One that does not go is a failure, and its log is shown."""
    command = [env["CLI"], "daemon", "stop"]
    stopped = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    if stopped.returncode not in (0, NONE_RUNS):
        for log in sorted((world / "state").rglob("*.log")):
            print(f"--- {log.name}\n{log.read_text(errors='replace')[-4000:]}", file=sys.stderr)
        raise RuntimeError(f"codex-oauth daemon stop ended with {stopped.returncode}: {stopped.stderr}")


if __name__ == "__main__":
    main()
