//! Connections upstream over TLS: one, however many sessions ask.

use std::collections::BTreeSet;

use fake_openai::Endpoint;

use crate::args::Args;
use crate::error::Error;
use crate::home::{Backend, House};
use crate::mcp::{self, Mcp};
use crate::table::Table;

/// Sessions, each of which asks once, all at the same time.
const SESSIONS: u32 = 20;

/// Asks from many sessions, counts connections in the fake's journal, and adds its row.
pub(crate) fn measure(args: &Args, table: &mut Table) -> Result<(), Error> {
    let house = House::start(args.path("daemon")?, Backend::Tls)?;
    let mut command = house.command(args.path("shim")?);
    let sessions = (0..SESSIONS).map(|_| Mcp::start(&mut command).map(|(server, _, _)| server));
    let mut sessions = sessions.collect::<Result<Vec<_>, _>>()?;
    for (id, session) in (10..).zip(&mut sessions) {
        session.send(&mcp::query(id, "What is Python?"))?;
    }
    for session in &mut sessions {
        mcp::has_answer(session.line()?, "FAKE answer")?;
    }
    let turns = house.fake.requests(Endpoint::Responses);
    if turns.len() != sessions.len() {
        return Err(Error::said(
            "count the turns",
            format!("{} were sent for {SESSIONS} questions", turns.len()),
        ));
    }
    if let Some(other) = turns.iter().find(|turn| turn.http_version != "HTTP/2.0") {
        return Err(Error::said("use HTTP/2", format!("a turn was sent with {}", other.http_version)));
    }
    let connections: BTreeSet<u64> = turns.iter().map(|turn| turn.connection).collect();
    table.exactly(
        &format!("h2 connections upstream for {SESSIONS} sessions asking at once"),
        connections.len() as u64,
        1,
    );
    Ok(())
}
