//! Lines on their way out. What is written in part is known, so that what was never begun can go another way.

use std::collections::VecDeque;
use std::io::IoSlice;

/// Short lines for the client are joined up to this size: one write instead of many.
const JOIN_BYTES: usize = 16 * 1024;

/// Lines for the daemon that one write takes along: a client's handshake and its first question.
const JOIN_LINES: usize = 8;

/// Lines to the daemon, each whole.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lines: VecDeque<Outgoing>,
    /// How much of the first line is written.
    begun: usize,
    len: usize,
}

#[derive(Debug)]
struct Outgoing {
    /// The request's number, when it is a request.
    n: Option<u64>,
    /// With its newline.
    line: Vec<u8>,
}

impl Outbox {
    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Queues a line, given without its newline.
    pub(crate) fn push(&mut self, n: Option<u64>, mut line: Vec<u8>) {
        line.push(b'\n');
        self.len += line.len();
        self.lines.push_back(Outgoing { n, line });
    }

    /// What to write next, several lines at once: the daemon wakes up for each write.
    pub(crate) fn front(&self) -> Vec<IoSlice<'_>> {
        let begun = |at: usize| if at == 0 { self.begun } else { 0 };
        self.lines
            .iter()
            .take(JOIN_LINES)
            .enumerate()
            .map(|(at, next)| IoSlice::new(&next.line[begun(at)..]))
            .collect()
    }

    /// Notes that `written` bytes of the front are out.
    pub(crate) fn advance(&mut self, written: usize) {
        self.begun += written;
        self.len -= written;
        while let Some(first) = self.lines.front().filter(|first| self.begun >= first.line.len()) {
            self.begun -= first.line.len();
            self.lines.pop_front();
        }
    }

    /// Takes the requests out of which no byte is written, in order, each without its newline.
    pub(crate) fn take_unsent_requests(&mut self) -> Vec<(u64, Vec<u8>)> {
        let begun = usize::from(self.begun > 0);
        let mut unsent = Vec::new();
        for Outgoing { n, mut line } in self.lines.split_off(begun.min(self.lines.len())) {
            match n {
                Some(n) => {
                    self.len -= line.len();
                    line.pop();
                    unsent.push((n, line));
                }
                None => self.lines.push_back(Outgoing { n, line }),
            }
        }
        unsent
    }
}

/// Lines to the client.
#[derive(Debug, Default)]
pub(crate) struct Output {
    chunks: VecDeque<Vec<u8>>,
    /// How much of the first chunk is written.
    begun: usize,
    len: usize,
}

impl Output {
    /// Bytes that wait.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Queues a line, given without its newline.
    pub(crate) fn push(&mut self, mut line: Vec<u8>) {
        line.push(b'\n');
        self.len += line.len();
        match self.chunks.back_mut() {
            Some(last) if last.len() + line.len() <= JOIN_BYTES => last.append(&mut line),
            _ => self.chunks.push_back(line),
        }
    }

    /// What to write next; empty when nothing waits.
    pub(crate) fn front(&self) -> &[u8] {
        self.chunks.front().map_or(&[], |first| &first[self.begun..])
    }

    /// Notes that `written` bytes of the front are out.
    pub(crate) fn advance(&mut self, written: usize) {
        self.begun += written;
        self.len -= written;
        if self.chunks.front().is_some_and(|first| self.begun == first.len()) {
            self.chunks.pop_front();
            self.begun = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(outbox: &Outbox) -> Vec<u8> {
        outbox.front().iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn only_requests_of_which_no_byte_is_out_can_be_taken_back() {
        let mut outbox = Outbox::default();
        for (n, line) in [(Some(1), "one"), (None, "note"), (Some(2), "two"), (Some(3), "three")] {
            outbox.push(n, line.as_bytes().to_vec());
        }
        outbox.advance(2);
        assert_eq!(outbox.take_unsent_requests(), [(2, b"two".to_vec()), (3, b"three".to_vec())]);
        assert_eq!((waiting(&outbox), outbox.len()), (b"e\nnote\n".to_vec(), 7));
        outbox.advance(2);
        assert_eq!(waiting(&outbox), b"note\n");
        // Over the end of a line into the next.
        outbox.push(None, b"last".to_vec());
        outbox.advance(7);
        assert_eq!(waiting(&outbox), b"st\n");
        outbox.advance(3);
        assert_eq!((waiting(&outbox), outbox.len()), (Vec::new(), 0));
        assert!(outbox.take_unsent_requests().is_empty());
    }

    #[test]
    fn lines_to_the_client_come_out_as_they_went_in() {
        let mut output = Output::default();
        let lines: Vec<Vec<u8>> =
            (0..200).map(|n| vec![b'a' + u8::try_from(n % 26).unwrap(); n * 7]).collect();
        for line in &lines {
            output.push(line.clone());
        }
        let mut written = Vec::new();
        while !output.front().is_empty() {
            let piece = output.front().len().min(1_000);
            written.extend_from_slice(&output.front()[..piece]);
            output.advance(piece);
        }
        assert_eq!(written, lines.iter().flat_map(|line| [&line[..], b"\n"].concat()).collect::<Vec<_>>());
        assert_eq!(output.len(), 0);
    }
}
