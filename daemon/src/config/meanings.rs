//! What each setting means, for `docs/CONFIGURATION.md`. Its table is made of these words and of what [`super::Config::load`] takes,
//! and a test compares it. Bounds and waits are in `docs/LIMITS.md`.

/// Names as [`super::Config::read_result`] has them; a setting without a line here fails the test of the page.
pub const MEANINGS: &[(&str, &str)] = &[
    ("auth_file", "the credential file; several installations that name the same one share one login"),
    ("runtime_dir", "the folder of socket and lock; yours alone, else it is refused"),
    ("state_dir", "database, log, history of the login's tokens"),
    ("config_dir", "the folder of `config.toml`"),
    (
        "issuer_url",
        "who issues tokens. A login is bound to it and never sent elsewhere; plain http to loopback only",
    ),
    ("backend_url", "who answers questions; bound in the same way"),
    (
        "callback_ports",
        "loopback ports for a browser that comes back from the login, in order; these two are registered for the client",
    ),
    ("workspace", "workspace ids that may sign in, commas between; a login of any other is refused"),
    (
        "proxy",
        "the proxy for https, `http://host:port`; an empty text in the file for none. Else the first of `HTTPS_PROXY`, `https_proxy`, `ALL_PROXY`, `all_proxy` of the daemon's own environment",
    ),
    ("no_proxy", "hosts that are reached without it, commas between; else `NO_PROXY`, `no_proxy`"),
    (
        "ca_file",
        "a PEM file of further certificate authorities, for a proxy that looks into https; else `CODEX_CA_CERTIFICATE`, `SSL_CERT_FILE`",
    ),
    ("originator", "our name in requests; the first word of the User-Agent too"),
    (
        "log",
        "what is logged: `error`, `warn`, `info`, `debug`, `trace`, or `target=level` with commas between. HTTP crates and the MCP SDK stay at `warn` whatever it says: they would print prompts",
    ),
];
