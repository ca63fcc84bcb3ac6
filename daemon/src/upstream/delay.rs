//! How long to wait before a request is sent again: what the backend named, else exponential backoff.

use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::limits::Limits;

/// Spread of a backoff, so that sessions that failed together do not come back together (WIRE §8.4).
const JITTER: f64 = 0.1;

/// The longest delay that is believed at all: a week, the longest window of a plan. More is a broken clock.
const MAX_NAMED_DELAY: Duration = Duration::from_secs(7 * 24 * 3600);

/// Backoff before retry number `retry` (1, 2, …); `spread` in 0..=1 places it inside ±10 %.
pub(super) fn backoff(retry: u32, limits: &Limits, spread: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(retry.saturating_sub(1));
    let base = limits.backoff_first.saturating_mul(doubled).min(limits.backoff_max);
    base.mul_f64(1.0 - JITTER + 2.0 * JITTER * spread.clamp(0.0, 1.0))
}

/// A random spread for [`backoff`].
pub(super) fn random_spread() -> f64 {
    // Without randomness the middle is used: a retry must not fail for want of jitter.
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3); a date in the past is zero.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let delay = match value.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => http_date(value)?.duration_since(now).unwrap_or_default(),
    };
    Some(delay.min(MAX_NAMED_DELAY))
}

/// The delay of "Please try again in 1.5s" (also `300ms`, `6m0s`, `20 seconds`).
pub(super) fn named_in_message(message: &str) -> Option<Duration> {
    let lower = message.to_ascii_lowercase();
    let (_, mut rest) = lower.split_once("try again in ")?;
    let mut total = None::<Duration>;
    loop {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
        let Ok(amount) = rest[..number].trim_end_matches('.').parse::<f64>() else { break };
        let after = rest[number..].trim_start();
        let unit_len = after.len() - after.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let seconds = match &after[..unit_len] {
            "ms" | "milliseconds" => 0.001,
            "s" | "sec" | "second" | "seconds" => 1.0,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            _ => break,
        };
        let part = Duration::try_from_secs_f64(amount * seconds).ok()?;
        total = Some(total.unwrap_or_default().saturating_add(part).min(MAX_NAMED_DELAY));
        rest = &after[unit_len..];
    }
    total
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// An HTTP date in any of the three forms of RFC 9110 §5.6.7.
pub(crate) fn http_date(text: &str) -> Option<SystemTime> {
    let words: Vec<&str> = text.split([' ', ',', '-']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, time) = match words[..] {
        // Sun Nov  6 08:49:37 1994
        [_, month, day, time, year] if time.contains(':') => (day, month, year, time),
        // Sun, 06 Nov 1994 08:49:37 GMT, and Sunday, 06-Nov-94 08:49:37 GMT
        [_, day, month, year, time, _] => (day, month, year, time),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))?;
    let day: u64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let year: u64 = match (year.len(), year.parse().ok()?) {
        // Two digits: this product was not there in the last century.
        (2, short) => 2000_u64 + short,
        (4, year) if year >= 1970 => year,
        _ => return None,
    };
    let mut clock = time.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_since_1970(year, month as u64 + 1, day);
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(days * 86_400 + hour * 3_600 + minute * 60 + second))
}

/// Days from 1970-01-01 in the Gregorian calendar, counting years from March so that the leap day is last.
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_backoff_doubles_up_to_its_maximum_and_stays_within_its_spread() {
        let limits = Limits::default();
        let middle: Vec<u128> = (1..=8).map(|n| backoff(n, &limits, 0.5).as_millis()).collect();
        assert_eq!(middle, [200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!(backoff(1, &limits, 0.0).as_millis(), 180);
        assert_eq!(backoff(1, &limits, 1.0).as_millis(), 220);
        assert!(backoff(u32::MAX, &limits, 1.0) <= limits.backoff_max.mul_f64(1.1));
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_every_form_of_date() {
        let now = at(784_111_770);
        let rows = [
            ("2", Some(2)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun Nov  6 08:49:37 1994", Some(7)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("99999999999", Some(7 * 24 * 3600)),
            ("-1", None),
            ("NaN", None),
            ("soon", None),
            ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ];
        for (value, seconds) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().expect("header"));
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{value}");
        }
        assert_eq!(http_date("Sunday, 22-Nov-26 12:00:00 GMT"), Some(at(1_795_348_800)));
        assert_eq!(http_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(at(1_709_164_800)));
    }

    #[test]
    fn a_delay_named_in_a_message_is_read() {
        let rows = [
            ("Rate limit reached. Please try again in 0.3s.", Some(300)),
            ("Please try again in 250ms. Visit", Some(250)),
            ("try again in 6m1s", Some(361_000)),
            ("Try again in 20 seconds.", Some(20_000)),
            ("try again in a while", None),
            ("try again later", None),
            ("try again in 5 parsecs", None),
        ];
        for (message, millis) in rows {
            assert_eq!(named_in_message(message), millis.map(Duration::from_millis), "{message}");
        }
    }
}
