"""A `CODEX_HOME` of its own for the real Codex CLI, with invented tokens.

Configuration: WIRE §6.1, the recommended row; for the headers and the compression that it leaves out, the built-in provider
over TLS.
"""

import json
import os
import pathlib
import subprocess
import time

# One run of the CLI takes under a second; 401s and refused refreshes make it retry for 16 s (WIRE §5.3), and four of them at
# once share the machine.
RUN_SECONDS = 60


class Home:
    """A CODEX_HOME of its own."""

    def __init__(self, binary, fake, name, tls=False):
        self.binary, self.fake = binary, fake
        self.path = pathlib.Path(os.environ["WORLD"], name)
        self.path.mkdir()
        self.auth = self.path / "auth.json"
        self.env = dict(os.environ, CODEX_HOME=str(self.path))
        self.env["CODEX_REFRESH_TOKEN_URL_OVERRIDE"] = f"{os.environ['FAKE_ISSUER']}/oauth/token"
        self.env["CODEX_CA_CERTIFICATE"] = os.environ["FAKE_CA"]
        text = BUILT_IN_PROVIDER if tls else OWN_PROVIDER
        (self.path / "config.toml").write_text(text.format_map(os.environ) + COMMON)

    def signed_in(self, **mint):
        """Tokens as `codex login` would have left them (WIRE §4.1)."""
        login = self.fake.mint(**mint)
        names = ("id_token", "access_token", "refresh_token", "account_id")
        tokens = {name: login[name] for name in names}
        # Named, it is where the login may be renewed, for us too.
        tokens["oauth_provenance"] = {"issuer": os.environ["FAKE_ISSUER"], "client_id": CLIENT_ID}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        record = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": tokens, "last_refresh": now}
        self.auth.write_text(json.dumps(record))
        self.auth.chmod(0o600)
        return self

    def tokens(self):
        return json.loads(self.auth.read_text())["tokens"]

    def start(self, *arguments):
        return subprocess.Popen(
            [self.binary, *arguments],
            env=self.env,
            cwd=self.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments):
        return ended(self.start(*arguments))

    def ask(self, prompt, model="gpt-5.5"):
        """`codex exec`: the answer, or an AssertionError with all that it said."""
        return answer(self.run(*asking(prompt, model)))


def ended(process):
    """The process after its end; killed when it takes too long."""
    try:
        said = process.communicate(timeout=RUN_SECONDS)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, *said)


def asking(prompt, model="gpt-5.5"):
    """The arguments of a question."""
    return ("exec", "--skip-git-repo-check", "--json", "-m", model, prompt)


def answer(ended):
    """The answer of a process that was asked, or an AssertionError with all that it said."""
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    texts = [e["item"]["text"] for e in events if e.get("item", {}).get("type") == "agent_message"]
    assert ended.returncode == 0 and len(texts) == 1, f"{ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return texts[0]


CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann"



OWN_PROVIDER = """
model_provider = "lab"
chatgpt_base_url = "{FAKE_BACKEND}/"

[model_providers.lab]
name = "lab"
base_url = "{FAKE_BACKEND}/codex"
wire_api = "responses"
requires_openai_auth = true
"""

# One https origin for both, so that the NO_CONSTRAINT of the fake stands for it (WIRE §6).
BUILT_IN_PROVIDER = """
chatgpt_base_url = "{FAKE_TLS_BACKEND}/"
openai_base_url = "{FAKE_TLS_BACKEND}/codex"
"""

COMMON = """
[analytics]
enabled = false
"""
