//! `fake-openai`: the fake as a process, for clients that are not Rust tests. Prints one JSON line when it is ready.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use fake_openai::{Behaviour, Config, FakeOpenAi, ReusePolicy};
use serde_json::json;

/// A strict stand-in for the OAuth issuer and the Codex backend. Everything it issues is fake.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Address of the plain HTTP listener; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address of a TLS listener
    #[arg(long)]
    tls_listen: Option<SocketAddr>,
    /// Where to write the PEM of the certificate authority
    #[arg(long)]
    ca_out: Option<PathBuf>,
    /// Show a page with Approve and Deny instead of approving at once
    #[arg(long)]
    require_approval: bool,
    /// What a second use of a refresh token does
    #[arg(long, value_enum, default_value_t = Policy::ErrorOnly)]
    reuse_policy: Policy,
    /// Lifetime of access tokens in seconds
    #[arg(long)]
    access_token_life: Option<i64>,
    /// Wait before every answer in milliseconds
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Start nothing: follow the link of a login at another fake as a browser would, and end
    #[arg(long, value_name = "URL")]
    follow: Option<String>,
    /// Stop when standard input ends
    #[arg(long)]
    until_stdin_closes: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Policy {
    ErrorOnly,
    KillRefreshFamily,
    KillFamilyAndAccess,
}

impl From<Policy> for ReusePolicy {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::ErrorOnly => Self::ErrorOnly,
            Policy::KillRefreshFamily => Self::KillRefreshFamily,
            Policy::KillFamilyAndAccess => Self::KillFamilyAndAccess,
        }
    }
}

#[expect(clippy::print_stderr, reason = "the reason why it did not start")]
fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fake-openai: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> std::io::Result<()> {
    if let Some(link) = &options.follow {
        let page = fake_openai::browse(link)?;
        let refused = || std::io::Error::other(format!("the link ended at HTTP {}", page.status));
        return (page.status == 200).then_some(()).ok_or_else(refused);
    }
    let mut behaviour = Behaviour {
        require_approval: options.require_approval,
        reuse_policy: options.reuse_policy.into(),
        latency_ms: options.latency_ms,
        ..Behaviour::default()
    };
    if let Some(life) = options.access_token_life {
        behaviour.access_token_life_secs = life;
    }
    let config = Config { listen: options.listen, tls_listen: options.tls_listen, behaviour };
    let fake = FakeOpenAi::start(config)?;
    if let Some(path) = &options.ca_out {
        write_ca(path, fake.ca_pem())?;
    }
    announce(&fake)?;
    if options.until_stdin_closes {
        std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink())?;
    } else {
        // Until a signal ends the process by its default disposition.
        loop {
            std::thread::park();
        }
    }
    Ok(())
}

fn announce(fake: &FakeOpenAi) -> std::io::Result<()> {
    let line = json!({
        "issuer_url": fake.issuer_url(),
        "backend_url": fake.backend_url(),
        "tls_issuer_url": fake.tls_issuer_url(),
        "tls_backend_url": fake.tls_backend_url(),
        "admin_url": format!("{}/__admin", fake.issuer_url()),
    });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a fresh public certificate; a torn one fails loudly at its reader"
)]
fn write_ca(path: &std::path::Path, pem: &str) -> std::io::Result<()> {
    std::fs::write(path, pem)
}
