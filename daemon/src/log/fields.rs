//! How the fields of a line are written: as `tracing-subscriber` does by itself without colours, in a third of the time for unsigned
//! numbers and plain words. A question's line has a dozen, and each would go through the machinery of `fmt::Debug`.

use std::error::Error;
use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

/// The format of the fields.
#[derive(Debug)]
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_empty: true, written: Ok(()) };
        fields.record(&mut line);
        line.written
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    is_empty: bool,
    written: fmt::Result,
}

impl Line<'_> {
    /// `name=`, after what was there.
    fn name(&mut self, field: &Field) -> fmt::Result {
        if !std::mem::replace(&mut self.is_empty, false) {
            self.writer.write_char(' ')?;
        }
        let name = field.name();
        self.writer.write_str(name.strip_prefix("r#").unwrap_or(name))?;
        self.writer.write_char('=')
    }

    fn number(&mut self, field: &Field, number: u64) -> fmt::Result {
        self.name(field)?;
        self.writer.write_str(itoa::Buffer::new().format(number))
    }

    fn word(&mut self, field: &Field, word: &str) -> fmt::Result {
        self.name(field)?;
        self.writer.write_char('"')?;
        self.writer.write_str(word)?;
        self.writer.write_char('"')
    }

    /// As it is by default.
    fn by_default(&mut self, record: impl FnOnce(&mut DefaultVisitor<'_>)) {
        if self.written.is_err() {
            return;
        }
        let mut visitor = DefaultVisitor::new(self.writer.by_ref(), self.is_empty);
        record(&mut visitor);
        self.written = visitor.finish();
        self.is_empty = false;
    }
}

impl Visit for Line<'_> {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.written = self.written.and_then(|()| self.number(field, value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" || !is_plain(value) {
            return self.by_default(|visitor| visitor.record_str(field, value));
        }
        self.written = self.written.and_then(|()| self.word(field, value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.by_default(|visitor| visitor.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.by_default(|visitor| visitor.record_debug(field, value));
    }
}

/// Whether `fmt::Debug` would write this as it is.
fn is_plain(word: &str) -> bool {
    word.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use proptest::prelude::*;
    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::fmt::format::DefaultFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Shown(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Shown {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Shown {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// What one line of everything looks like with this format.
    fn line<F>(fields: F, word: &str, number: u64) -> String
    where
        F: for<'w> FormatFields<'w> + Send + Sync + 'static,
    {
        let shown = Shown::default();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .without_time()
            .fmt_fields(fields)
            .with_writer(shown.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("span", number, word, later = tracing::field::Empty);
            let _entered = span.enter();
            span.record("later", word);
            let error = io::Error::other(io::Error::other(word.to_owned()));
            let error: &(dyn Error + 'static) = &error;
            let some = Some(word);
            tracing::info!(word, number, some, none = None::<u64>, error, "message");
            tracing::info!(r#type = number, signed = -1, right = true, shown = %word, debug = ?word, "{word}");
            tracing::info!(message = word, number, "x");
            tracing::info!(number);
        });
        let bytes = shown.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn a_line_looks_as_it_does_by_default(word in r#"[ -~"\\]{0,12}|\PC{0,4}|[\x00-\x1f]{1,2}"#, number: u64) {
            let ours = line(Fields, &word, number);
            prop_assert!(ours.contains(&format!("number={number}")), "{}", ours);
            prop_assert_eq!(ours, line(DefaultFields::new(), &word, number));
        }
    }
}
