//! Server-sent events, bytes in, events out (WHATWG HTML §9.2.6). However the bytes are cut into chunks, the same events come
//! out. A line and an event are bounded, so that no server can make the daemon hold more than [`MAX_EVENT_BYTES`].
//!
//! Absent: `id` and `retry` fields. A turn is never resumed by reconnecting.

use std::ops::ControlFlow;

use memchr::{memchr, memchr2};

/// The longest line: an `output_item.done` carries a whole answer (8 MiB) as escaped JSON on one line.
pub(super) const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

/// The most data of one event; same reason as the line's, most events being one line.
pub(super) const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// A name is a few words; a longer one is cut, which no known name survives.
const MAX_NAME_BYTES: usize = 256;

/// One event. `name` is empty when there was no `event:` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SseEvent<'a> {
    pub(super) name: &'a [u8],
    pub(super) data: &'a [u8],
}

/// A line or an event above its bound; the stream is not read further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is larger than {limit_bytes} bytes")]
pub(super) struct TooLong {
    pub(super) limit_bytes: usize,
}

/// State between two chunks.
#[derive(Debug, Default)]
pub(super) struct SseParser {
    /// Start of a line whose end has not come.
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    /// An event with one empty `data:` line differs from one with none.
    has_data: bool,
    /// The last chunk ended in CR: a LF that follows belongs to it.
    after_cr: bool,
    /// Past the first line, where a byte order mark may stand.
    past_first_line: bool,
}

impl SseParser {
    /// Parses `chunk` and hands each complete event to `on_event` until it breaks; what follows then is not parsed.
    pub(super) fn push(
        &mut self,
        chunk: &[u8],
        on_event: &mut impl FnMut(SseEvent<'_>) -> ControlFlow<()>,
    ) -> Result<(), TooLong> {
        let mut rest = chunk;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        loop {
            if self.is_between_events()
                && let Some((event, after)) = whole(rest)
            {
                self.past_first_line = true;
                rest = after;
                if on_event(event).is_break() {
                    return Ok(());
                }
                continue;
            }
            let Some(at) = memchr2(b'\n', b'\r', rest) else { return self.hold(rest) };
            let (line, end) = rest.split_at(at);
            rest = &end[1..];
            if end[0] == b'\r' {
                self.after_cr = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            let flow = if self.line.is_empty() {
                self.take_line(line, on_event)?
            } else {
                self.hold(line)?;
                self.take_held_line(on_event)?
            };
            if flow.is_break() {
                return Ok(());
            }
        }
    }

    fn is_between_events(&self) -> bool {
        self.line.is_empty() && self.name.is_empty() && !self.has_data
    }

    /// The stream has ended: an event whose closing blank line is missing is handed out too, since its JSON tells whether
    /// it is whole.
    pub(super) fn finish(
        &mut self,
        on_event: &mut impl FnMut(SseEvent<'_>) -> ControlFlow<()>,
    ) -> Result<(), TooLong> {
        if !self.line.is_empty() && self.take_held_line(on_event)?.is_break() {
            return Ok(());
        }
        let _stream_is_over = self.take_line(b"", on_event)?;
        Ok(())
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        if self.line.len() + bytes.len() > MAX_LINE_BYTES {
            return Err(TooLong { limit_bytes: MAX_LINE_BYTES });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn take_held_line(
        &mut self,
        on_event: &mut impl FnMut(SseEvent<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TooLong> {
        let mut line = std::mem::take(&mut self.line);
        let flow = self.take_line(&line, on_event);
        line.clear();
        self.line = line;
        flow
    }

    fn take_line(
        &mut self,
        line: &[u8],
        on_event: &mut impl FnMut(SseEvent<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, TooLong> {
        let line = if self.past_first_line {
            line
        } else {
            self.past_first_line = true;
            line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line)
        };
        if line.is_empty() {
            return Ok(self.dispatch(on_event));
        }
        let (field, value) = match memchr(b':', line) {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (line, &line[..0]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => self.add_data(value)?,
            b"event" => {
                self.name.clear();
                self.name.extend_from_slice(&value[..value.len().min(MAX_NAME_BYTES)]);
            }
            // A comment (empty field name), `id`, `retry`, or unknown.
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    }

    fn add_data(&mut self, value: &[u8]) -> Result<(), TooLong> {
        if self.data.len() + value.len() >= MAX_EVENT_BYTES {
            return Err(TooLong { limit_bytes: MAX_EVENT_BYTES });
        }
        if self.has_data {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
        self.has_data = true;
        Ok(())
    }

    fn dispatch(&mut self, on_event: &mut impl FnMut(SseEvent<'_>) -> ControlFlow<()>) -> ControlFlow<()> {
        let flow = if self.has_data {
            on_event(SseEvent { name: &self.name, data: &self.data })
        } else {
            ControlFlow::Continue(())
        };
        self.name.clear();
        self.data.clear();
        self.has_data = false;
        flow
    }
}

/// The event at the start of `bytes`, and what follows it, if it is all there in the form in which the backend writes each: a name, one line of
/// data, an empty line. `None` says nothing: it is read line by line.
fn whole(bytes: &[u8]) -> Option<(SseEvent<'_>, &[u8])> {
    let named = bytes.strip_prefix(b"event: ")?;
    let (name, rest) = named.split_at(memchr2(b'\n', b'\r', named)?);
    let rest = rest.strip_prefix(b"\ndata: ")?;
    let (data, rest) = rest.split_at(memchr2(b'\n', b'\r', rest)?);
    let rest = rest.strip_prefix(b"\n\n")?;
    (name.len() <= MAX_NAME_BYTES && data.len() < MAX_EVENT_BYTES).then_some((SseEvent { name, data }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Owned = (String, String);

    fn parse(chunks: &[&[u8]]) -> Vec<Owned> {
        let mut parser = SseParser::default();
        let mut events = Vec::new();
        let mut collect = |event: SseEvent<'_>| {
            let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
            events.push((text(event.name), text(event.data)));
            ControlFlow::Continue(())
        };
        for chunk in chunks {
            parser.push(chunk, &mut collect).expect("within bounds");
        }
        parser.finish(&mut collect).expect("within bounds");
        events
    }

    fn event(name: &str, data: &str) -> Owned {
        (name.to_owned(), data.to_owned())
    }

    const TRICKY: &[&str] = &[
        "event: a\ndata: 1\n\n",
        "event: a\r\ndata: 1\r\n\r\nevent: b\rdata: 2\r\rdata:3\n\n",
        "\u{feff}data: bom\n\n\u{feff}data: not a field\n\ndata: x\n\n",
        ": comment\n\ndata: one\ndata:  two\ndata\ndata:\n\n",
        "event: only a name\n\ndata: no name\n\nid: 7\nretry: 5\ndata: z\n\n",
        "data: ünï\u{1F600}\n\n\n\n\r\n\r\ndata: last without end",
        "data:\n\n",
        "datax: no\n data: no\nevent\ndata: yes\n\n",
        "event: a\ndata: 1\n\nevent: b\ndata: 2\ndata: 3\n\nevent: c\ndata: 4\nevent: d\n\nevent: e\ndata: 5\n\n",
        "event: a\r\ndata: 1\n\nevent: b\ndata: 2\r\n\nevent: c\ndata: 3\n\rdata: 4\nevent: d\n\nevent: e\ndata: 5\n\n\n",
    ];

    #[test]
    fn however_the_bytes_are_cut_the_events_are_the_same() {
        for text in TRICKY {
            let whole = parse(&[text.as_bytes()]);
            let bytewise: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(parse(&bytewise), whole, "{text:?}");
            for cut in 0..=text.len() {
                let (head, tail) = text.as_bytes().split_at(cut);
                assert_eq!(parse(&[head, tail]), whole, "{text:?} cut at {cut}");
                assert_eq!(parse(&[head, b"", tail]), whole, "{text:?} cut at {cut} with an empty chunk");
            }
        }
    }

    #[test]
    fn all_line_endings_multiple_data_lines_and_comments_are_understood() {
        assert_eq!(parse(&[TRICKY[1].as_bytes()]), [event("a", "1"), event("b", "2"), event("", "3")]);
        assert_eq!(parse(&[TRICKY[2].as_bytes()]), [event("", "bom"), event("", "x")]);
        assert_eq!(parse(&[TRICKY[3].as_bytes()]), [event("", "one\n two\n\n")]);
        assert_eq!(parse(&[TRICKY[4].as_bytes()]), [event("", "no name"), event("", "z")]);
        assert_eq!(parse(&[TRICKY[6].as_bytes()]), [event("", "")]);
        assert_eq!(parse(&[TRICKY[7].as_bytes()]), [event("", "yes")]);
        let [a, e] = [event("a", "1"), event("e", "5")];
        assert_eq!(
            parse(&[TRICKY[8].as_bytes()]),
            [a.clone(), event("b", "2\n3"), event("d", "4"), e.clone()]
        );
        assert_eq!(parse(&[TRICKY[9].as_bytes()]), [a, event("b", "2"), event("c", "3"), event("d", "4"), e]);
    }

    #[test]
    fn the_last_event_counts_without_its_blank_line() {
        assert_eq!(parse(&[b"data: {\"a\":1}"]), [event("", "{\"a\":1}")]);
    }

    #[test]
    fn nothing_is_parsed_after_a_break() {
        let mut parser = SseParser::default();
        let mut seen = 0;
        let mut stop = |_: SseEvent<'_>| {
            seen += 1;
            ControlFlow::Break(())
        };
        parser.push(b"data: 1\n\ndata: 2\n\n", &mut stop).expect("within bounds");
        assert_eq!(seen, 1);
    }

    #[test]
    fn a_line_and_an_event_without_end_are_refused_at_their_bound() {
        let block = vec![b'x'; 1024 * 1024];
        let mut ignore = |_: SseEvent<'_>| ControlFlow::Continue(());
        let mut parser = SseParser::default();
        let refused = (0..=MAX_LINE_BYTES / block.len()).find_map(|_| parser.push(&block, &mut ignore).err());
        assert_eq!(refused, Some(TooLong { limit_bytes: MAX_LINE_BYTES }));

        let mut line = b"data: ".to_vec();
        line.extend_from_slice(&block);
        line.push(b'\n');
        let mut parser = SseParser::default();
        let refused = (0..=MAX_EVENT_BYTES / block.len()).find_map(|_| parser.push(&line, &mut ignore).err());
        assert_eq!(refused, Some(TooLong { limit_bytes: MAX_EVENT_BYTES }));
    }
}
