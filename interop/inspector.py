"""The MCP Inspector's command line, in each of its protocol eras.

    python3 inspector.py NODE LAUNCHER

Run in a world (`world.py`).
"""

import json
import os
import subprocess
import sys

from rows import Rows

# A start of node and one call; the Inspector itself gives a connection 15 s.
RUN_SECONDS = 30

# Exit statuses of the Inspector (MCP.md §4).
TOOL_ERROR = 5

inspector = [*sys.argv[1:], "--cli"]


def run(*options):
    """The exit status and what was printed as JSON."""
    # It gives a server nothing of its own environment but a few names such as HOME.
    env = [word for name, value in os.environ.items() if name.startswith("CODEX_OAUTH_") for word in ("-e", f"{name}={value}")]
    command = [*inspector, "--format", "json", *options, *env, "--", os.environ["SHIM"]]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_SECONDS)
    assert ended.stdout, f"{ended.returncode}: {ended.stderr}"
    return ended.returncode, json.loads(ended.stdout)["result"], ended.stderr


def checks(era):
    call = ["--protocol-era", era, "--method", "tools/call", "--tool-name"]

    def strict():
        """tools/list --strict finds no schema to complain about"""
        status, result, said = run("--protocol-era", era, "--strict", "--method", "tools/list")
        assert status == 0 and len(result["tools"]) == 5, (status, said)
        assert "warning" not in said and "error" not in said, said

    def answers():
        """tools/call answers"""
        status, result, _ = run(*call, "codex_query", "--tool-arg", "prompt=hello")
        assert status == 0 and result["content"][0]["text"].endswith("to: hello"), result

    def refuses():
        """a wrong argument is a tool error"""
        status, result, _ = run(*call, "codex_query", "--tool-arg", "promt=hello")
        assert status == TOOL_ERROR and result["isError"] and "promt" in result["content"][0]["text"], result

    def load():
        """200 calls, 8 at a time, without an error"""
        options = ("--load", "--load-requests", "200", "--load-concurrency", "8")
        status, result, _ = run(*call, "codex_query", "--tool-arg", "prompt=hello", *options)
        assert (status, result["ok"], result["errors"], result["toolErrors"]) == (0, 200, 0, 0), result

    return strict, answers, refuses, load


version = subprocess.run([*inspector, "--version"], capture_output=True, text=True, check=True).stdout.split()[-1]
failed = 0
for era in ("legacy", "auto", "modern"):
    rows = Rows(f"inspector {version} {era}")
    for check in checks(era):
        rows.check(check)
    failed += rows.failed
sys.exit(failed > 0)
