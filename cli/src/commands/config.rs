//! `codex-oauth config`: every setting in force, with where it comes from.
//!
//! The daemon tells its own: it alone reads them, and what counts is what it has read. Beside them stand the few that this
//! command decides by itself.

pub(crate) mod import;

use codex_oauth_proto::api::Empty;
use codex_oauth_proto::api::config::{Read, ReadResult, Setting, Source};
use codex_oauth_proto::endpoint::Endpoint;
use codex_oauth_proto::env::Env;
use codex_oauth_proto::launch::{LaunchError, find_daemon};
use serde::Serialize;
use serde_json::Value;

use crate::args::{ConfigArgs, ConfigCommand};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;

/// How what is there is put into force.
const RENEW: &str = "run `codex-oauth daemon stop` to have it read at the next use";

/// Of a terminal that is not wide.
const COLUMNS: usize = 80;

/// The shape of `config --json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Facts {
    #[serde(flatten)]
    read: ReadResult,
    /// Where the daemon listens.
    socket: String,
    /// What this command decides by itself.
    command: Vec<Setting>,
    /// What is set and not in force.
    notes: Vec<String>,
}

/// Shows the settings. Starts the daemon when none runs: its start is what reads them.
pub(crate) fn run(context: &mut Context, args: ConfigArgs) -> Result<Exit, Failure> {
    if let Some(ConfigCommand::Import(args)) = args.command {
        return import::run(context, args);
    }
    let (_, read) = context.call::<Read>(&Empty {})?;
    let endpoint = Endpoint::resolve(&context.env).map_err(|error| LaunchError::from(error).to_wire())?;
    let facts = Facts {
        notes: notes(&read, &context.env),
        socket: endpoint.socket().display().to_string(),
        command: own(&context.env),
        read,
    };
    if args.json {
        context.output.json(&facts)?;
        return Ok(Exit::Success);
    }
    context.output.out(&page(&facts))?;
    for note in &facts.notes {
        context.output.note(note)?;
    }
    Ok(Exit::Success)
}

/// What decides how this command behaves, whatever daemon it talks to.
fn own(env: &Env) -> Vec<Setting> {
    let setting = |name: &str, variable: &str, value: Value| Setting {
        name: name.to_owned(),
        value,
        source: if env.get(variable).is_some() { Source::Environment } else { Source::Default },
        variable: Some(variable.to_owned()),
        file_key: false,
    };
    let daemon = find_daemon(env).ok().map(|path| path.display().to_string());
    let flag = |variable: &str| Value::from(env.is_on(variable));
    vec![
        setting("daemon", "CODEX_OAUTH_DAEMON", daemon.into()),
        setting("no_spawn", "CODEX_OAUTH_NO_SPAWN", flag("CODEX_OAUTH_NO_SPAWN")),
        setting("no_browser", "CODEX_OAUTH_NO_BROWSER", flag("CODEX_OAUTH_NO_BROWSER")),
    ]
}

/// What is set and not in force.
pub(super) fn notes(read: &ReadResult, env: &Env) -> Vec<String> {
    let file = read.config_file_note.iter().map(|note| format!("config.toml: {note}"));
    file.chain(read.settings.iter().filter_map(|setting| unheard(setting, env))).collect()
}

/// A variable that is set here and that the running daemon was started without.
fn unheard(setting: &Setting, env: &Env) -> Option<String> {
    let variable = setting.variable.as_deref()?;
    let here = env.get(variable)?;
    match setting.source {
        Source::Environment if same(here, &setting.value) => None,
        Source::Environment => Some(format!(
            "{variable} is set here to something else than the daemon was started with; {RENEW}"
        )),
        _ => Some(format!("{variable} is set here, but the daemon was started without it; {RENEW}")),
    }
}

/// Whether a variable means what the daemon made of it, which resolves links, cuts slashes and hides passwords.
fn same(variable: &str, value: &Value) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<String>().trim_end_matches('/').to_owned();
    let resolved = |text: &str| std::fs::canonicalize(text).ok();
    let shown = shown(value);
    plain(variable) == plain(&shown)
        || variable.contains('@')
        || resolved(variable).is_some_and(|path| resolved(&shown) == Some(path))
}

/// Two places, then a group for the settings, for bounds and waits, and for what is of this command alone. Bounds and waits that
/// nobody has set are counted: they would push the rest off the screen.
fn page(facts: &Facts) -> String {
    let there = if facts.read.config_file_read { "" } else { " (there is none)" };
    let mut page = format!("config.toml  {}{there}\nsocket       {}\n", facts.read.config_file, facts.socket);
    let (waits, settings): (Vec<&Setting>, Vec<&Setting>) =
        facts.read.settings.iter().partition(|setting| setting.name.starts_with("limits."));
    let all = waits.len();
    let waits: Vec<&Setting> = waits.into_iter().filter(|wait| wait.source != Source::Default).collect();
    let unset = all - waits.len();
    for group in
        [settings, waits, facts.command.iter().collect()].into_iter().filter(|group| !group.is_empty())
    {
        let rows: Vec<_> = group
            .iter()
            .map(|setting| [&*setting.name, &shown(&setting.value), source(setting)].map(str::to_owned))
            .collect();
        page = page + "\n" + &fitted(&rows);
    }
    page + &format!("limits.*: {unset} have their defaults, see `codex-oauth help limits`\n")
}

/// In columns, but for the values that are too long for that: their source stands below them.
fn fitted(rows: &[[String; 3]]) -> String {
    const GAP: usize = 2;
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or_default();
    let name_width = width(0);
    let most = COLUMNS.saturating_sub(name_width + GAP + GAP + width(2));
    let values = rows.iter().map(|row| row[1].chars().count()).filter(|width| *width <= most);
    let value_width = values.max().unwrap_or_default();
    let row = |[name, value, source]: &[String; 3]| {
        if value.chars().count() <= most {
            format!("{name:name_width$}  {value:value_width$}  {source}\n")
        } else {
            format!("{name:name_width$}  {value}\n{:name_width$}  {source}\n", "")
        }
    };
    rows.iter().map(row).collect()
}

/// `1455,1457` for a list, `none` for nothing.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn source(setting: &Setting) -> &str {
    match setting.source {
        Source::Default => "default",
        Source::File => "config.toml",
        Source::Environment => setting.variable.as_deref().unwrap_or("environment"),
        Source::Unknown => "a source that this command does not know",
    }
}
