//! Takes lines where they are made and writes them on a thread of its own. A log that stalls or cannot be written costs
//! lines, which are counted, and never time.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing_subscriber::fmt::MakeWriter;

use super::file::LogFile;
use crate::queue::{Receiver, Sender, queue};

/// Lines under way: what comes in a burst while one write lasts.
const QUEUE_LINES: usize = 1024;

/// How long a line waits for others to share its write. A crash of the daemon costs so much of the log.
const LINGER: Duration = Duration::from_millis(10);

/// A longer line is cut: the queue then holds a few MiB at most.
const LINE_BYTES: usize = 8 * 1024;

/// One write takes what has come meanwhile, up to this.
const BATCH_BYTES: usize = 64 * 1024;

/// How long the end of the daemon waits for its last lines, and who reads the log for those before.
const FLUSH: Duration = Duration::from_secs(1);

/// Where lines go.
#[derive(Debug)]
pub(super) enum Target {
    /// A service manager, a terminal, or whatever the starter chose.
    Stderr,
    /// Our own file.
    File(LogFile),
}

/// The log's entrance; every clone is the same one.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    queue: Sender<Item>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    Reopen,
    /// Told when everything before it is written.
    Flush(Written),
}

/// Who is told that something is written. Never waits.
struct Written(Box<dyn FnOnce() + Send>);

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written")
    }
}

impl Sink {
    /// Starts the writing thread. It ends with the process.
    pub(super) fn start(target: Target) -> io::Result<Self> {
        let (queue, items) = queue(QUEUE_LINES, LINGER);
        let lost = Arc::new(AtomicU64::new(0));
        let mut writer = Writer { target, lost: Arc::clone(&lost), told: 0 };
        std::thread::Builder::new().name("log".to_owned()).spawn(move || writer.run(&items))?;
        Ok(Self { queue, lost })
    }

    /// Lines that were not written, since the start.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Opens the file again, if there is one.
    pub(super) fn reopen(&self) {
        // A full queue means that the log stalls, and then the file is not the matter.
        let _stalled = self.queue.push(Item::Reopen, true);
    }

    /// Waits until what was logged so far is written, for at most [`FLUSH`].
    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(1);
        let tell = move || {
            // Nobody may wait any more.
            let _ended = done.try_send(());
        };
        if self.push_flush(tell) {
            let _late = written.recv_timeout(FLUSH);
        }
    }

    /// The same for a task. False: it was not written in time.
    pub(super) async fn flushed(&self) -> bool {
        let (done, written) = oneshot::channel();
        let tell = move || {
            let _ended = done.send(());
        };
        self.push_flush(tell) && matches!(timeout(FLUSH, written).await, Ok(Ok(())))
    }

    fn push_flush(&self, written: impl FnOnce() + Send + 'static) -> bool {
        self.queue.push(Item::Flush(Written(Box::new(written))), true)
    }
}

impl Write for Sink {
    /// Takes one whole line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut kept = line[..line.len().min(LINE_BYTES)].to_vec();
        if let (true, Some(last)) = (kept.len() < line.len(), kept.last_mut()) {
            *last = b'\n';
        }
        if !self.queue.push(Item::Line(kept), false) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Sink {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

struct Writer {
    target: Target,
    lost: Arc<AtomicU64>,
    /// Losses that the log itself tells of.
    told: u64,
}

impl Writer {
    fn run(&mut self, items: &Receiver<Item>) {
        let (mut batch, mut lines) = (Vec::new(), 0);
        while let Some(taken) = items.take(None) {
            for item in taken {
                match item {
                    Item::Line(line) => {
                        batch.extend_from_slice(&line);
                        lines += 1;
                        if batch.len() >= BATCH_BYTES {
                            self.write(&mut batch, &mut lines);
                        }
                    }
                    Item::Reopen => {
                        self.write(&mut batch, &mut lines);
                        self.reopen();
                    }
                    Item::Flush(Written(tell)) => {
                        self.write(&mut batch, &mut lines);
                        tell();
                    }
                }
            }
            self.write(&mut batch, &mut lines);
        }
    }

    fn write(&mut self, batch: &mut Vec<u8>, lines: &mut u64) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > self.told {
            let note = format!("{} lines of this log could not be written\n", lost - self.told);
            batch.splice(..0, note.into_bytes());
        }
        if !batch.is_empty() {
            let written = match &mut self.target {
                Target::Stderr => io::stderr().write_all(batch),
                Target::File(file) => file.write(batch),
            };
            match written {
                Ok(()) => self.told = lost,
                Err(_) => {
                    self.lost.fetch_add(*lines, Ordering::Relaxed);
                }
            }
        }
        batch.clear();
        *lines = 0;
    }

    fn reopen(&mut self) {
        if let Target::File(file) = &mut self.target {
            // What is written next tells: into the file from before, which is still open.
            if file.reopen().is_err() {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
