"""The way of a person on Windows, under Wine: `codex-oauth install` (what install.ps1 runs) from an unpacked release, again, with a
service, an upgrade to another versioned folder while a stream runs, `uninstall --purge`. The profile is that of the Wine prefix,
since Wine lets nobody choose another one; a stand-in for claude writes down what it is asked.

usage: install.py FOLDER_OF_EXES FAKE_OPENAI
"""

import os
import pathlib
import shutil
import subprocess

from check import Home, PATIENCE, answer_to, ask, call, end, eventually, exes, initialize, send, services, sign_in, windows

PROFILE = pathlib.Path(os.environ["WINEPREFIX"]) / "drive_c/users" / os.environ.get("USER", "root")
LOCAL = PROFILE / "AppData/Local"
PREFIX = LOCAL / "Programs/codex-oauth"
OTHERS_PATH = "%USERPROFILE%\\tools"
CLAUDE = """@echo %* >> {log}\r
@if "%2 %3" == "marketplace list" echo [{{"name":"codex-oauth","path":"{share}"}}]\r
"""


class House(Home):
    """A release as it is unpacked, a claude on PATH, and nothing that says where things are."""

    def __init__(self, base, urls):
        super().__init__(base, urls)
        for name in ["RUNTIME_DIR", "STATE_DIR", "CONFIG_DIR", "AUTH_FILE", "DAEMON"]:
            del self.env[f"CODEX_OAUTH_{name}"]
        release = self.path / "unpacked release"
        (release / "bin").mkdir(parents=True)
        root = pathlib.Path(__file__).resolve().parents[2]
        for part in ["plugin", ".claude-plugin"]:
            shutil.copytree(root / part, release / part)
        for name in ["codex-oauth", "codex-oauthd", "codex-oauth-mcp"]:
            shutil.copy(exes / f"{name}.exe", release / "bin")
        self.release, self.claude_log = release / "bin", self.path / "claude.log"
        (self.path / "tools").mkdir()
        self.env["WINEPATH"] = windows(self.path / "tools")
        self.env["SSL_CERT_FILE"] = ""

    def become(self, version):
        """What starts from now on says that it is of this version, and is its installed program."""
        self.env["CODEX_OAUTH_TEST_BUILD"] = version
        self.programs = PREFIX / version
        share = f"C:\\users\\{PROFILE.name}\\AppData\\Local\\Programs\\codex-oauth\\{version}\\share".replace("\\", "\\\\")
        claude = CLAUDE.format(log=windows(self.claude_log), share=share)
        (self.path / "tools/claude.cmd").write_bytes(claude.encode())

    def install(self, *arguments):
        installed, self.programs = self.programs, self.release
        code, out, err = self.run("install", *arguments)
        self.programs = installed
        assert code == 0, (out, err)
        assert not err, err
        return out

    def asked_of_claude(self):
        asked = self.claude_log.read_text().splitlines() if self.claude_log.exists() else []
        self.claude_log.unlink(missing_ok=True)
        return [line.strip() for line in asked]

    def session(self):
        """A shim as Claude Code starts it."""
        installed, self.programs = self.programs, self.programs / "share/plugin/bin"
        shim = self.start("codex-oauth-mcp")
        self.programs = installed
        initialize(shim)
        return shim


def system(*command):
    ran = subprocess.run(["wine", *command], capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    return ran.returncode, ran.stdout


def path_of_the_person():
    code, out = system("reg", "query", r"HKCU\Environment", "/v", "Path")
    return out.split("REG_EXPAND_SZ")[1].strip() if code == 0 else ""


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def an_install_puts_everything_in_place_and_is_done_again(house):
    house.become("98.0.0")
    out = house.install("--service")
    for said in ["installed  codex-oauth 98.0.0 in ", "plugin     registered", "service    Windows starts", "next       codex-oauth login"]:
        assert said in out, out
    assert out.count("next ") == 1, out
    first = files(PREFIX)
    for name in ["codex-oauth.exe", "codex-oauthd.exe", "codex-oauth-mcp.exe"]:
        assert f"98.0.0/{name}" in first and f"98.0.0/share/plugin/bin/{name}" in first, first
    assert not [name for name in first if ".new" in name], first
    assert path_of_the_person() == OTHERS_PATH + ";" + rf"C:\users\{PROFILE.name}\AppData\Local\Programs\codex-oauth\bin"
    assert r"..\98.0.0\codex-oauth.exe" in (PREFIX / "bin/codex-oauth.cmd").read_text()
    asked = house.asked_of_claude()
    assert [line.rsplit(" ", 1)[0] for line in asked] == ["plugin marketplace remove", "plugin marketplace add", "plugin install"], asked
    code, out, err = house.run("service", "status")
    assert code == 0 and "starts when you log in" in out, (code, out, err)
    # A program that runs is in the way of nothing.
    shim = house.session()
    out = house.install("--no-plugin")
    assert "unchanged " in out and "next       nothing" in out, out
    shutil.copy(house.release / "codex-oauth.exe", house.path / "other.exe")
    with open(house.release / "codex-oauthd.exe", "ab") as other:
        other.write(b"\0")
    assert "next       nothing" in house.install(), out
    assert (PREFIX / "98.0.0/codex-oauthd.exe").read_bytes()[-1:] == b"\0", "it was replaced while it ran"
    assert files(PREFIX) == first
    assert not call(shim, 1, "codex_status", {})["result"].get("isError")
    end(shim)


def an_upgrade_during_a_stream_loses_nothing(house):
    sign_in(house)
    shim = house.session()
    before = house.status()
    hold = {"kind": "stream", "fault": {"kind": "hold", "after_events": 4, "gate": "upgrade"}}
    house.fake("script", {"on": "responses", "effect": {"action": hold}})
    query = {"name": "codex_query", "arguments": {"prompt": "What is Python?"}}
    send(shim, 2, "tools/call", query)
    eventually("the stream runs", lambda: house.status()["turnsRunning"] == 1)
    house.become("99.0.0")
    out = house.install()
    for said in ["installed  codex-oauth 99.0.0", "98.0.0 has handed over to 99.0.0", "98.0.0, which is in use", "next       nothing"]:
        assert said in out, out
    task = (LOCAL / "codex-oauth/service/logon-task.xml").read_text("utf-16")
    assert r"99.0.0\codex-oauth.exe" in task and "98.0.0" not in task, task
    # The session of the version before asks the new daemon, while its stream ends at the old one.
    second = ask(shim, 3, "tools/call", query)
    after = house.status()
    assert after["pid"] != before["pid"] and after["build"] == "99.0.0" and after["turnsRunning"] == 0, after
    house.fake("release/upgrade")
    for answer in [answer_to(shim, 2), second]:
        assert not answer["result"].get("isError"), answer
    end(shim)
    eventually("nobody uses the version before", lambda: "removed " in house.install("--no-plugin"))
    assert not (PREFIX / "98.0.0").exists()


def uninstall_leaves_what_it_says(house):
    house.asked_of_claude()
    shim = house.session()
    # As codex-oauth.cmd names it.
    command = rf"C:\users\{PROFILE.name}\AppData\Local\Programs\codex-oauth\bin\..\99.0.0\codex-oauth.exe"
    code, out, err = house.run("uninstall", "--purge", "--yes", command=["wine", "cmd", "/c", command])
    assert code == 0, (out, err)
    assert "login      signed out here and at OpenAI" in out and "plugin     unregistered" in out, (out, err)
    assert house.asked_of_claude()[-1] == "plugin marketplace remove codex-oauth"
    assert not PREFIX.exists() and not (LOCAL / "codex-oauth").exists(), (files(LOCAL), out, err)
    assert not files(PROFILE / ".claude") and not (PROFILE / "AppData/Roaming/codex-oauth").exists(), (files(PROFILE / ".claude"), out)
    assert path_of_the_person() == OTHERS_PATH
    left = [line for line in out.splitlines() if line.startswith("left ")]
    # The program itself and that of the open session.
    assert len(left) == 1 and "codex-oauth-removed" in left[0], out
    end(shim)


def uninstall_from_the_plugin_archive_leaves_the_plugin(house):
    """As ./dist packs it: the programs lie beside the launchers."""
    plugin = house.path / "fetched plugin"
    shutil.copytree(house.release.parent / "plugin", plugin)
    for program in house.release.glob("*.exe"):
        shutil.copy(program, plugin / "bin")
    house.programs = plugin / "bin"
    # Its daemon: one that the login started would hold that one's output open under Wine.
    shim = house.start("codex-oauth-mcp")
    initialize(shim)
    sign_in(house)
    end(shim)
    code, out, err = house.run("uninstall", "--purge", "--yes")
    assert code == 0 and not err, (out, err)
    assert "login      signed out here and at OpenAI" in out and "daemon     stopped" in out, out
    last = f"left       {windows(plugin)} (the plugin, which starts a daemon when it is asked)", "next       claude plugin uninstall codex-oauth"
    assert tuple(out.splitlines()[-2:]) == last, (out, last)
    assert len(list(plugin.glob("bin/*.exe"))) == 3
    assert not (LOCAL / "codex-oauth").exists() and not files(PROFILE / ".claude"), (files(LOCAL), files(PROFILE / ".claude"))


def main():
    clean()
    system("reg", "add", r"HKCU\Environment", "/f", "/v", "Path", "/t", "REG_EXPAND_SZ", "/d", OTHERS_PATH)
    try:
        with services(lambda _: [LOCAL / "codex-oauth/state/daemon.log"]) as (base, urls):
            house = House(base, urls)
            for step in [an_install_puts_everything_in_place_and_is_done_again, an_upgrade_during_a_stream_loses_nothing, uninstall_leaves_what_it_says, uninstall_from_the_plugin_archive_leaves_the_plugin]:
                step(house)
                print(f"ok   {step.__name__}", flush=True)
    finally:
        clean()


def clean():
    """What a run that failed has left."""
    for folder in [PREFIX, LOCAL / "codex-oauth", PROFILE / "AppData/Roaming/codex-oauth", PROFILE / ".claude", PROFILE / "Temp/codex-oauth-removed"]:
        shutil.rmtree(folder, ignore_errors=True)


main()
