"""Claude Code, without a login and without a network: its validator on our plugin, its connection to our server.

    python3 claude.py CLAUDE_BINARY CHECKOUT

Run in a world (`world.py`).
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

from anthropic import model_that_runs
from rows import Rows

# It starts in half a second; `mcp list` waits for each server.
RUN_SECONDS = 60

# Exit statuses of `codex-oauth daemon status`.
RUNS, NONE_RUNS = 0, 6

binary, checkout = sys.argv[1], pathlib.Path(sys.argv[2])
world = pathlib.Path(os.environ["WORLD"])


def run(*arguments, profile="claude", **variables):
    """The exit status and all that it said. A profile has settings, servers and plugins of its own."""
    env = dict(os.environ, CLAUDE_CONFIG_DIR=str(world / profile), DISABLE_AUTOUPDATER="1", **variables)
    env["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] = "1"
    return execute(env, binary, *arguments)


def execute(env, *command):
    ended = subprocess.run(
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_SECONDS
    )
    return ended.returncode, ended.stdout + ended.stderr


def daemon(*arguments):
    return execute(os.environ, os.environ["CLI"], "daemon", *arguments)[0]


def valid(manifest, folder):
    assert manifest.is_file(), f"there is no {manifest.relative_to(checkout)}"
    status, said = run("plugin", "validate", "--strict", str(folder))
    assert status == 0, said


def plugin():
    """plugin validate --strict accepts plugin/"""
    valid(checkout / "plugin/.claude-plugin/plugin.json", checkout / "plugin")


def marketplace():
    """plugin validate --strict accepts the marketplace at the root"""
    valid(checkout / ".claude-plugin/marketplace.json", checkout)


def validator_refuses():
    """plugin validate --strict refuses an unknown field"""
    folder = world / "broken"
    (folder / ".claude-plugin").mkdir(parents=True)
    manifest = '{"name": "broken", "version": "1.0.0", "description": "x", "author": {"name": "x"}, "colour": "red"}'
    (folder / ".claude-plugin/plugin.json").write_text(manifest)
    status, said = run("plugin", "validate", "--strict", str(folder))
    assert status == 1 and "colour" in said, said


def connects():
    """mcp list connects to the shim"""
    status, said = run("mcp", "add", "codex", "-s", "user", "--", os.environ["SHIM"])
    assert status == 0, said
    # It exits with 0 whatever it found (MCP.md §1).
    _, said = run("mcp", "list")
    assert "✔ Connected" in said, said


def plugin_without_program():
    """the plugin installs from the marketplace, and its server connects before our programs are installed"""
    for arguments in (("marketplace", "add", str(checkout)), ("install", "codex-oauth@codex-oauth")):
        status, said = run("plugin", *arguments, profile="plugin")
        assert status == 0, said
    assert daemon("stop") == RUNS
    server_connects(NONE_RUNS)


def plugin_with_program():
    """the plugin's server is the installed shim, which starts the daemon"""
    installed = pathlib.Path(os.environ["HOME"], ".local/libexec/codex-oauth")
    installed.mkdir(parents=True)
    shutil.copy(os.environ["SHIM"], installed)
    server_connects(RUNS)


def server_connects(daemon_after):
    _, said = run("mcp", "list", profile="plugin")
    assert any("plugin:codex-oauth:codex" in line and "✔ Connected" in line for line in said.splitlines()), said
    assert daemon("status") == daemon_after


def doctor_command():
    """the plugin's doctor command runs `codex-oauth doctor`, and nothing else without asking"""
    installed = pathlib.Path(os.environ["HOME"], ".local/bin")
    installed.mkdir(parents=True, exist_ok=True)
    shutil.copy(os.environ["CLI"], installed / "codex-oauth")
    program = f'"{checkout}/plugin/bin/codex-oauth"'
    allowed = bash_result(f"{program} doctor")
    assert "programs" in allowed and "next " in allowed, allowed
    for other in (f"{program} logout", "touch evil"):
        refused = bash_result(other)
        assert "approval" in refused, refused


def bash_result(command):
    """What Claude Code answers a model that calls Bash with this command within /codex-oauth:codex-doctor."""
    with model_that_runs(command) as model:
        status, said = run(
            "-p", "/codex-oauth:codex-doctor", profile="plugin", ANTHROPIC_BASE_URL=model.url, ANTHROPIC_API_KEY="FAKE"
        )
        assert status == 0, said
        return json.dumps([block for block in model.seen if block["type"] == "tool_result"])


rows = Rows(f"claude code {run('--version')[1].split()[0]}")
for check in (
    plugin,
    marketplace,
    validator_refuses,
    connects,
    plugin_without_program,
    plugin_with_program,
    doctor_command,
):
    rows.check(check)
sys.exit(rows.failed > 0)
