//! Pipes between two ends in one process, the far one made as the daemon makes it.

use std::io::{self, Read as _, Write as _};
use std::thread;

use interprocess::os::windows::named_pipe::pipe_mode::Bytes;
use interprocess::os::windows::named_pipe::{PipeListener, PipeListenerOptions};
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use tempfile::TempDir;
use widestring::U16CString;

use super::{Stream, current_user, dial, pipe_security};
use crate::caller::Caller;
use crate::connect::{ConnectError, connect};
use crate::dir;
use crate::endpoint::Endpoint;
use crate::env::Env;

/// Far more than pipe, inlet and outlet hold together.
const MUCH: usize = 3 << 20;

/// A runtime folder of a test's own, and the pipe's name that follows from it.
fn place() -> (TempDir, Endpoint) {
    let folder = tempfile::tempdir().unwrap();
    let env = Env::from_process().with("CODEX_OAUTH_RUNTIME_DIR", folder.path().join("run"));
    let endpoint = Endpoint::resolve(&env).unwrap();
    dir::ensure_private(&endpoint.dir, current_user()).unwrap();
    (folder, endpoint)
}

fn listen(endpoint: &Endpoint, descriptor: &str) -> io::Result<PipeListener<Bytes, Bytes>> {
    let text = U16CString::from_str(descriptor).unwrap();
    let mut options = PipeListenerOptions::new().path(endpoint.socket());
    options.security_descriptor = Some(SecurityDescriptor::deserialize(&text)?);
    options.create_duplex()
}

fn listen_as_the_daemon(endpoint: &Endpoint) -> PipeListener<Bytes, Bytes> {
    listen(endpoint, &pipe_security(current_user())).unwrap()
}

fn open(endpoint: &Endpoint) -> Result<Stream, ConnectError> {
    connect(endpoint, current_user(), &Caller::unwatched())
}

#[test]
fn both_ends_write_much_while_their_reads_pend() {
    let (_folder, endpoint) = place();
    let listener = listen_as_the_daemon(&endpoint);
    let serving = thread::spawn(move || {
        let (mut input, mut output) = listener.accept().unwrap().split();
        let reading = thread::spawn(move || {
            let mut read = vec![0; MUCH];
            input.read_exact(&mut read).unwrap();
            // The next read pends while the other direction is written.
            let more = input.read(&mut [0]);
            (read, more.unwrap_or(0))
        });
        output.write_all(&vec![b's'; MUCH]).unwrap();
        reading.join().unwrap()
    });
    let mut client = open(&endpoint).unwrap();
    client.write_all(&vec![b'c'; MUCH]).unwrap();
    let mut read = vec![0; MUCH];
    client.read_exact(&mut read).unwrap();
    assert!(read.iter().all(|byte| *byte == b's'));
    drop(client);
    let (heard, more) = serving.join().unwrap();
    assert!(heard.iter().all(|byte| *byte == b'c') && more == 0, "{more}");
}

#[test]
fn a_pipe_of_another_owner_is_told_by_name_and_hears_nothing() {
    const GOODBYE: &[u8] = b"goodbye";
    let (_folder, endpoint) = place();
    let listener = listen(&endpoint, &format!("O:BAD:P(A;;GA;;;{})", current_user())).unwrap();
    // A client that has gone before it is accepted is passed over, and the next one waited for: that one says goodbye.
    let serving = thread::spawn(move || {
        let mut heard = Vec::new();
        while heard.is_empty() {
            listener.accept().unwrap().take(GOODBYE.len() as u64).read_to_end(&mut heard).unwrap();
        }
        heard
    });
    let refused = open(&endpoint).unwrap_err();
    assert!(matches!(refused, ConnectError::ForeignDaemon { .. }), "{refused}");
    assert!(refused.to_string().contains("S-1-5-32-544"), "{refused}");
    let mut last = loop {
        match dial(&endpoint, current_user(), &Caller::unwatched()) {
            Err(ConnectError::Busy) => {}
            dialled => break dialled.unwrap(),
        }
    };
    last.write_all(GOODBYE).unwrap();
    // It stays until it was heard.
    assert_eq!(serving.join().unwrap(), GOODBYE, "and nothing before it");
}

#[test]
fn no_pipe_is_no_daemon_and_one_where_nobody_listens_is_busy() {
    let (_folder, endpoint) = place();
    assert!(matches!(open(&endpoint), Err(ConnectError::Absent)));
    let listener = listen_as_the_daemon(&endpoint);
    let client = open(&endpoint).unwrap();
    // The daemon hands over: its session goes on, and keeps the name.
    let session = listener.accept().unwrap();
    drop(listener);
    assert!(matches!(open(&endpoint), Err(ConnectError::Busy)));
    drop((client, session));
}

#[test]
fn what_was_written_before_either_end_closes_arrives() {
    let (_folder, endpoint) = place();
    let listener = listen_as_the_daemon(&endpoint);
    let serving = thread::spawn(move || {
        let mut heard = Vec::new();
        listener.accept().unwrap().read_to_end(&mut heard).unwrap();
        listener.accept().unwrap().write_all(b"last words").unwrap();
        heard.len()
    });
    let mut client = open(&endpoint).unwrap();
    client.write_all(&vec![b'c'; 100_000]).unwrap();
    drop(client);
    let mut heard = String::new();
    open(&endpoint).unwrap().read_to_string(&mut heard).unwrap();
    assert_eq!((serving.join().unwrap(), heard.as_str()), (100_000, "last words"));
}
