//! An MCP server as a child process, spoken to in lines over two socket pairs, as Node hosts do.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Error, Trying as _};

/// How long one answer may take: far longer than the slowest reference needs, so that it ends only a run that hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// One read.
const READ_BYTES: usize = 128 * 1024;

/// A longer line is no answer to anything that is asked here.
const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// What Claude Code 2.1 opens with when it does not probe (MCP.md §0).
const INITIALIZE: &[u8] =
    b"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\
\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}\n";

const LIST: &[u8] = b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n\
{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\"}\n";

/// The whole handshake of one that does not wait for answers.
pub(crate) const HANDSHAKE: &[u8] =
    b"{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\
\"2025-11-25\",\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}\n\
{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n";

/// A server. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Mcp {
    child: Child,
    input: UnixStream,
    output: UnixStream,
    chunk: Vec<u8>,
    held: Vec<u8>,
    /// Bytes of `held` that were given out.
    given: usize,
}

impl Mcp {
    /// Spawns one.
    pub(crate) fn spawn(command: &mut Command) -> Result<Self, Error> {
        let pair = || UnixStream::pair().trying("make a socket pair");
        let ((input, its_input), (output, its_output)) = (pair()?, pair()?);
        output.set_read_timeout(Some(PATIENCE)).trying("bound a read")?;
        input.set_write_timeout(Some(PATIENCE)).trying("bound a write")?;
        command.stdin(Stdio::from(OwnedFd::from(its_input))).stdout(Stdio::from(OwnedFd::from(its_output)));
        let child = command.spawn().trying(&format!("start {}", command.get_program().display()))?;
        // The command would keep the child's ends open, and an end of file would never be seen.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Ok(Self { child, input, output, chunk: vec![0; READ_BYTES], held: Vec::new(), given: 0 })
    }

    /// Spawns one and waits for the replies to `initialize` and `tools/list`; gives when each came after the spawn.
    pub(crate) fn start(command: &mut Command) -> Result<(Self, Duration, Duration), Error> {
        let spawned = Instant::now();
        let mut server = Self::spawn(command)?;
        server.send(INITIALIZE)?;
        let initialized = has_result(server.line()?).map(|()| spawned.elapsed())?;
        server.send(LIST)?;
        let listed = has_result(server.line()?).map(|()| spawned.elapsed())?;
        Ok((server, initialized, listed))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.input.write_all(bytes).trying("write to the server")
    }

    /// The next line, without its newline.
    pub(crate) fn line(&mut self) -> Result<&[u8], Error> {
        let mut searched = self.given;
        loop {
            if let Some(at) = find_newline(&self.held[searched..]) {
                let line = self.given..searched + at;
                self.given = line.end + 1;
                return Ok(&self.held[line]);
            }
            self.held.drain(..self.given);
            self.given = 0;
            searched = self.held.len();
            if searched > MAX_LINE_BYTES {
                return Err(Error::said("read an answer", "its line does not end"));
            }
            let read = self.output.read(&mut self.chunk).trying("read an answer")?;
            if read == 0 {
                return Err(Error::said("read an answer", "the server has ended"));
            }
            self.held.extend_from_slice(&self.chunk[..read]);
        }
    }

    /// Whether a whole line has come already.
    pub(crate) fn has_line(&self) -> bool {
        find_newline(&self.held[self.given..]).is_some()
    }
}

impl Drop for Mcp {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// `codex_query` with this prompt, as a line.
pub(crate) fn query(id: u32, prompt: &str) -> Vec<u8> {
    let mut line = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"tools/call\",\"params\":{{\"name\":\"codex_query\",\"arguments\":\
         {{\"prompt\":\"{prompt}\"}}}}}}"
    );
    line.push('\n');
    line.into_bytes()
}

/// Whether an answer carries this text and is no error.
pub(crate) fn has_answer(line: &[u8], text: &str) -> Result<(), Error> {
    let found = contains(line, text.as_bytes()) && !contains(line, b"\"isError\":true");
    if found { Ok(()) } else { Err(unexpected(line)) }
}

fn has_result(line: &[u8]) -> Result<(), Error> {
    if contains(line, b"\"result\":") { Ok(()) } else { Err(unexpected(line)) }
}

fn unexpected(line: &[u8]) -> Error {
    let text = String::from_utf8_lossy(line);
    Error::said("use an answer", text.chars().take(400).collect::<String>())
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// The place of the first newline, searched in blocks that compile to vector instructions.
fn find_newline(bytes: &[u8]) -> Option<usize> {
    const BLOCK: usize = 64;
    let is_end = |byte: &u8| *byte == b'\n';
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let found = blocks.iter().position(|block| block.iter().fold(false, |found, byte| found | is_end(byte)));
    let from = found.unwrap_or(blocks.len()) * BLOCK;
    let within = found.map_or(rest, |at| &blocks[at]);
    within.iter().position(is_end).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_written() {
        let mut server = Mcp::spawn(Command::new("cat").env_clear().env("PATH", "/usr/bin:/bin")).unwrap();
        let long = [vec![b'x'; 300_000], b"\n".to_vec()].concat();
        server.send(b"one\ntw").unwrap();
        assert_eq!(server.line().unwrap(), b"one");
        server.send(b"o\n").unwrap();
        assert_eq!(server.line().unwrap(), b"two");
        std::thread::scope(|scope| {
            let mut input = server.input.try_clone().unwrap();
            let long = &long;
            scope.spawn(move || input.write_all(long).unwrap());
            assert_eq!(server.line().unwrap().len(), 300_000);
        });
        assert!(!server.has_line());
    }

    #[test]
    fn an_error_result_is_not_taken_for_an_answer() {
        assert!(has_answer(b"{\"content\":\"yes\"}", "yes").is_ok());
        assert!(has_answer(b"{\"content\":\"no\"}", "yes").is_err());
        assert!(has_answer(b"{\"content\":\"yes\",\"isError\":true}", "yes").is_err());
    }
}
