"""Rows of the table: `ok|FAIL name seconds`, one a check. Why a check failed goes to standard error."""

import sys
import time
import traceback


class Rows:
    """The rows of one client."""

    def __init__(self, client):
        self.client = client
        self.failed = 0

    def row(self, name, began, error=None):
        print(f"{'FAIL' if error else 'ok  '} {self.client}: {name} {time.monotonic() - began:.1f}", flush=True)
        if error:
            self.failed += 1
            print(f"--- {self.client}: {name}", file=sys.stderr)
            traceback.print_exception(error, file=sys.stderr)

    def check(self, promise):
        """Runs one check; its docstring is its name."""
        began = time.monotonic()
        try:
            promise()
        except Exception as error:
            self.row(promise.__doc__, began, error)
        else:
            self.row(promise.__doc__, began)

    async def check_async(self, promise, *given):
        """The same for a coroutine."""
        began = time.monotonic()
        try:
            await promise(*given)
        except Exception as error:
            self.row(promise.__doc__, began, error)
        else:
            self.row(promise.__doc__, began)
