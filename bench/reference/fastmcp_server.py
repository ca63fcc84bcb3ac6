"""A server of the usual kind: FastMCP with the five tools of codex-oauth, which answer constants."""

from fastmcp import FastMCP

server = FastMCP("codex")


@server.tool
def codex_query(prompt: str, model: str | None = None, effort: str | None = None) -> str:
    """Send a question or task to OpenAI Codex on the user's ChatGPT plan and get its answer as text."""
    return prompt


@server.tool
def codex_status(wait_for_login: bool = False) -> str:
    """Tell who is signed in, how much of the limits is used, and how the daemon is."""
    return "signed in"


@server.tool
def codex_login() -> str:
    """Start a sign-in in the browser."""
    return "started"


@server.tool
def codex_clear() -> str:
    """Sign out."""
    return "signed out"


@server.tool
def codex_models() -> str:
    """List the models of the account."""
    return "gpt-6.1-sol"


if __name__ == "__main__":
    server.run(show_banner=False)
