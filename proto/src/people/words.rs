//! Times, plans and counts as a person reads them.
//!
//! Times to come are said as spans (`in 2 h 10 min`), which hold in every time zone, also over SSH; a clock time never stands
//! without its span.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Columns of a terminal that nobody has widened.
pub const COLUMNS: usize = 80;

/// Columns before the text of a row.
const INDENT: usize = 11;

/// `label` in its columns, then `text`, folded where it is too long for a terminal. Without a line's end.
pub fn labelled(label: &str, text: &str) -> String {
    let text = folded(text, COLUMNS - INDENT).replace('\n', &format!("\n{:INDENT$}", ""));
    format!("{label:<width$} {text}", width = INDENT - 1)
}

/// With line breaks instead of spaces where a line is wider. What is wider by itself, a link, stays whole, and so does a
/// command in backticks, which is there to be copied.
pub fn folded(text: &str, columns: usize) -> String {
    let fold = |line: &str| {
        let (mut folded, mut taken, mut rest) = (String::new(), 0, Some(line));
        while let Some(line) = rest {
            let (piece, after) = line.split_at(piece_end(line));
            let width = piece.chars().count();
            if taken > 0 && taken + 1 + width > columns {
                folded.push('\n');
                taken = 0;
            } else if taken > 0 {
                folded.push(' ');
                taken += 1;
            }
            folded.push_str(piece);
            taken += width;
            rest = after.strip_prefix(' ');
        }
        folded
    };
    text.split('\n').map(fold).collect::<Vec<_>>().join("\n")
}

/// Where the first word of `line` ends, or, when it opens a command in backticks, the word that closes it.
fn piece_end(line: &str) -> usize {
    let word_end = |from: usize| line[from..].find(' ').map_or(line.len(), |at| from + at);
    let mut end = word_end(0);
    while line[..end].matches('`').count() % 2 == 1 {
        let Some(closing) = line[end..].find('`') else { break };
        end = word_end(end + closing);
    }
    end
}

/// `42 s`, `12 min`, `2 h 10 min`, `3 d 4 h`.
pub fn span(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// The span from now until `at` (Unix seconds); `None` when it has passed.
pub fn until(at: u64, now: u64) -> Option<String> {
    at.checked_sub(now).filter(|left| *left > 0).map(span)
}

/// `14:00` on the same day, `Thu 09:00` within a week, else the date; `None` for a time that no calendar has.
pub fn clock(at: u64, now: u64, zone: &TimeZone) -> Option<String> {
    let zoned = |seconds: u64| {
        let stamp = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
        Some(stamp.to_zoned(zone.clone()))
    };
    let (at, now) = (zoned(at)?, zoned(now)?);
    let format = match at.date().since(now.date()).ok()?.get_days() {
        0 => "%H:%M",
        1..=6 => "%a %H:%M",
        _ => "%Y-%m-%d %H:%M",
    };
    Some(at.strftime(format).to_string())
}

/// The time zone of this machine.
pub fn system_zone() -> TimeZone {
    TimeZone::system()
}

/// Unix seconds. A clock before 1970 counts as 1970.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `1 session`, `2 sessions`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `plus` → `Plus`.
pub fn capitalized(text: &str) -> String {
    let mut symbols = text.chars();
    symbols.next().map_or_else(String::new, |first| first.to_uppercase().chain(symbols).collect())
}

/// `0.4 s`, `12 s`, `3 min 20 s`: how long something took or has lasted.
pub fn duration(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 => format!("{:.1} s", duration.as_secs_f64()),
        seconds @ 10..120 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// `940`, `3.1k`, `120k`.
pub fn thousands(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..100_000 => format!("{}.{}k", count / 1_000, count % 1_000 / 100),
        _ => format!("{}k", count / 1_000),
    }
}

fn two(major: u64, unit: &str, minor: u64, small: &str) -> String {
    if minor == 0 { format!("{major} {unit}") } else { format!("{major} {unit} {minor} {small}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_line_is_broken_between_words_and_neither_a_link_nor_a_command_is() {
        let text = "aaa bbb ccc\nd\n\nhttps://a.example/long e";
        assert_eq!(folded(text, 7), "aaa bbb\nccc\nd\n\nhttps://a.example/long\ne");
        assert_eq!(folded(text, usize::MAX), text);
        let text = "run `a b c`, or `d` (`e f`,`g h`) once";
        assert_eq!(folded(text, 10), "run\n`a b c`,\nor `d`\n(`e f`,`g h`)\nonce");
        assert_eq!(folded("an `open one stays words", 8), "an `open\none\nstays\nwords");
    }

    #[test]
    fn spans_have_at_most_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (7_800, "2 h 10 min"),
            (86_400, "1 d"),
            (273_600, "3 d 4 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn numbers_are_rounded_to_what_a_person_reads() {
        for (count, text) in [(7, "7"), (999, "999"), (1_000, "1.0k"), (31_499, "31.4k"), (120_000, "120k")] {
            assert_eq!(thousands(count), text);
        }
        for (ms, text) in [(400, "0.4 s"), (12_900, "12 s"), (200_000, "3 min 20 s")] {
            assert_eq!(duration(Duration::from_millis(ms)), text);
        }
    }

    #[test]
    fn what_has_passed_has_no_span() {
        assert_eq!(until(10, 10), None);
        assert_eq!(until(9, 10), None);
        assert_eq!(until(70, 10).as_deref(), Some("1 min"));
    }

    #[test]
    fn a_clock_time_is_as_short_as_it_can_be_told() {
        // 2026-11-22 12:00:00 UTC, a Sunday.
        let now = 1_795_348_800;
        for (later, text) in
            [(7_200, "14:00"), (4 * 86_400 - 10_800, "Thu 09:00"), (30 * 86_400, "2026-12-22 12:00")]
        {
            assert_eq!(clock(now + later, now, &TimeZone::UTC).as_deref(), Some(text));
        }
        assert_eq!(clock(u64::MAX, now, &TimeZone::UTC), None);
    }
}
