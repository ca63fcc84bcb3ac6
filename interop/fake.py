"""A client of fake-openai's admin endpoint (testkit/README.md). Standard library only."""

import json
import time
import urllib.request

# Longer than anything takes on a busy machine, so that it ends only what would hang.
PATIENCE_SECONDS = 20


class Fake:
    """One running fake."""

    def __init__(self, admin_url):
        self.admin_url = admin_url

    def _ask(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.admin_url}/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as answer:
            return json.load(answer)

    def mint(self, **request):
        """Tokens of a new login, in clear."""
        return self._ask("tokens", request)

    def expire(self, **request):
        """Ends all tokens of a kind."""
        self._ask("expire", request)

    def script(self, on, **effect):
        """What happens to the next request to an endpoint."""
        times = effect.pop("times", 1)
        self._ask("script", {"on": on, "times": times, "effect": effect})

    def release(self, gate):
        """Opens a gate for good."""
        self._ask(f"release/{gate}", {})

    def approve(self, user_code):
        """Approves a device login."""
        self._ask("device/approve", {"user_code": user_code})

    def settings(self, **changed):
        """Every knob and its value, once some are changed."""
        return self._ask("config", changed) if changed else self._ask("config")

    def forget(self):
        """Empties the journal."""
        self._ask("journal", method="DELETE")

    def journal(self, endpoint=None):
        """What was asked so far, oldest first."""
        entries = self._ask("journal")["entries"]
        return [entry for entry in entries if endpoint in (None, entry["endpoint"])]

    def wait(self, what, condition):
        """Waits until the journal satisfies a condition; gives the journal."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            journal = self.journal()
            if condition(journal):
                return journal
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited for {what}; seen: {summary(journal)}")
            time.sleep(0.02)


def asked(journal, text):
    """The turns whose input holds a text."""
    return [e for e in journal if e["endpoint"] == "responses" and text in json.dumps(e["body"])]


def summary(journal):
    """One line of what was asked and what became of it."""
    return ", ".join(f"{e['endpoint']} {e['status']} {e['note'] or ''} {e['outcome']}" for e in journal[-20:])


def follow(link):
    """Opens a login link as a browser would and gives the last page's status."""
    with urllib.request.urlopen(link, timeout=PATIENCE_SECONDS) as page:
        page.read()
        return page.status

