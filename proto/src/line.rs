//! Lines with a cap, from bytes that arrive in any pieces.

use std::collections::VecDeque;

/// The longest line on the socket, without its newline. It holds the longest answer that is kept with room for its
/// escapes, and bounds what one peer can make the other hold.
pub const MAX_LINE_BYTES: usize = 8 * 1024 * 1024;

/// How much of an over-long line's end is kept: enough for the `"id"` that TypeScript clients write last.
const TAIL_BYTES: usize = 512;

/// One line, without its newline (and without the carriage return of a CRLF).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// Within the cap.
    Whole(Vec<u8>),
    /// Over it. The middle is gone; what is kept serves to find out which request it was.
    TooLong {
        /// The first bytes, as many as the cap allows.
        head: Vec<u8>,
        /// The last bytes.
        tail: Vec<u8>,
    },
}

/// Cuts a byte stream into lines. Holds at most one unfinished line; the reader's partial state lives here and not in a
/// future, so that a wait can be given up at any point without losing bytes.
#[derive(Debug)]
pub struct LineBuffer {
    cap: usize,
    /// The unfinished line, at most `cap` bytes.
    partial: Vec<u8>,
    /// Set while the rest of an over-long line is passed over.
    overflow: Option<VecDeque<u8>>,
    ready: VecDeque<Line>,
}

impl LineBuffer {
    /// An empty buffer for lines of at most `cap` bytes.
    pub fn new(cap: usize) -> Self {
        Self { cap, partial: Vec::new(), overflow: None, ready: VecDeque::new() }
    }

    /// Takes bytes in. The caller pops until `None` before it reads more, so that what waits here is bounded by one read.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while let Some(end) = newline(bytes) {
            self.extend(&bytes[..end]);
            self.finish();
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes);
    }

    /// The next whole line.
    pub fn pop(&mut self) -> Option<Line> {
        self.ready.pop_front()
    }

    /// Whether a line has begun and not ended: at the end of the stream this is a half line.
    pub fn has_partial(&self) -> bool {
        !self.partial.is_empty() || self.overflow.is_some()
    }

    fn extend(&mut self, bytes: &[u8]) {
        let taken = bytes.len().min(self.cap - self.partial.len());
        if self.overflow.is_none() {
            // With room for the newline that whoever passes the line on puts back.
            self.partial.reserve(taken + 1);
            self.partial.extend_from_slice(&bytes[..taken]);
            if taken == bytes.len() {
                return;
            }
            self.overflow = Some(VecDeque::with_capacity(TAIL_BYTES));
            return self.pass_over(&bytes[taken..]);
        }
        self.pass_over(bytes);
    }

    fn pass_over(&mut self, bytes: &[u8]) {
        let Some(tail) = &mut self.overflow else { return };
        let kept = &bytes[bytes.len().saturating_sub(TAIL_BYTES)..];
        let surplus = (tail.len() + kept.len()).saturating_sub(TAIL_BYTES);
        tail.drain(..surplus);
        tail.extend(kept);
    }

    fn finish(&mut self) {
        let mut head = std::mem::take(&mut self.partial);
        let line = if let Some(tail) = self.overflow.take() {
            Line::TooLong { head, tail: tail.into() }
        } else {
            if head.last() == Some(&b'\r') {
                head.pop();
            }
            Line::Whole(head)
        };
        self.ready.push_back(line);
    }
}

/// Where the line ends. Most pieces of a long line have no end, which `contains` sees a word at a time.
fn newline(bytes: &[u8]) -> Option<usize> {
    if !bytes.contains(&b'\n') {
        return None;
    }
    bytes.iter().position(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(cap: usize, pieces: &[&[u8]]) -> (Vec<Line>, bool) {
        let mut buffer = LineBuffer::new(cap);
        let mut lines = Vec::new();
        for piece in pieces {
            buffer.push(piece);
            lines.extend(std::iter::from_fn(|| buffer.pop()));
        }
        (lines, buffer.has_partial())
    }

    fn whole(text: &str) -> Line {
        Line::Whole(text.as_bytes().to_vec())
    }

    #[test]
    fn pieces_of_any_size_give_the_same_lines() {
        let stream = b"one\r\n\ntwo, longer\nover the cap, by far\nlast\nhalf";
        let (at_once, half) = cut(12, &[stream]);
        assert!(half);
        assert_eq!(at_once.len(), 5);
        for size in 1..stream.len() {
            let pieces: Vec<&[u8]> = stream.chunks(size).collect();
            assert_eq!(cut(12, &pieces), (at_once.clone(), true), "pieces of {size}");
        }
    }

    #[test]
    fn the_cap_itself_is_allowed_and_one_more_is_not() {
        assert_eq!(
            cut(4, &[b"1234\n12345\n1\n"]).0,
            [whole("1234"), Line::TooLong { head: b"1234".to_vec(), tail: b"5".to_vec() }, whole("1"),]
        );
    }

    #[test]
    fn an_endless_line_holds_no_more_than_cap_and_tail() {
        let mut buffer = LineBuffer::new(64);
        for _ in 0..10_000 {
            buffer.push(&[b'x'; 1_000]);
        }
        assert!(buffer.partial.len() == 64 && buffer.overflow.as_ref().unwrap().len() == TAIL_BYTES);
        buffer.push(b"end\nnext\n");
        let Some(Line::TooLong { tail, .. }) = buffer.pop() else { panic!("a line over the cap") };
        assert!(tail.ends_with(b"end") && tail.len() == TAIL_BYTES);
        assert_eq!(buffer.pop(), Some(whole("next")));
    }
}
