//! Every bound and every wait of the daemon in one value, so that a test can shorten them.

use std::time::Duration;

/// Bounds and waits. `Limits::default()` is what ships; each field says why it has that value.
#[derive(Clone, Debug)]
pub struct Limits {
    /// From accept to a complete hello line. A local client needs microseconds; 2 s covers a stopped machine.
    pub hello: Duration,
    /// Sessions at once. A person has tens, a test farm two hundred; each costs a descriptor, and the soft limit is raised to
    /// 4096.
    pub sessions: usize,
    /// Requests of one session running at once; one more is answered `overloaded`.
    pub calls_per_session: usize,
    /// Turns running at once for the whole daemon; one more is answered `overloaded`.
    pub turns: usize,
    /// A session whose peer takes nothing for this long is closed; its turns go on.
    pub write_stall: Duration,
    /// How long a drain lets running turns finish before they get a terminal error.
    pub drain: Duration,
    /// The daemon ends when nobody has needed it for this long; zero: never. The next use starts it in milliseconds, so this
    /// only has to be longer than a person thinks between two questions.
    pub idle: Duration,
    /// How often the daemon looks whether its socket is still there and its own: cleaners of old files come by the day.
    pub self_check: Duration,
    /// How long a started login waits for the browser to come back.
    pub login: Duration,
    /// How long a device code is waited for (WIRE §3: 15 minutes).
    pub device_login: Duration,
    /// The shortest pause between two questions about a device code, whatever the issuer names: WIRE §3 shows a client that
    /// asks without pause when no interval comes.
    pub device_poll: Duration,
    /// How long `codex_status` waits for the end of a login: below the two minutes after which Claude Code moves a call to
    /// the background (MCP.md §1).
    pub login_wait: Duration,
    /// Refresh when the access token has less than this left (WIRE §5.2: the official client uses 5 minutes).
    pub refresh_before_expiry: Duration,
    /// Refresh a login that the Codex CLI shares when its access token has less than this left, at most half of its life: long
    /// before the 5 minutes at which each of that program's processes would (WIRE §5.2, §11). A token lives about ten days.
    pub share_before_expiry: Duration,
    /// First pause after a refresh that failed in a way that may pass; doubles each time, ±20 % jitter.
    pub refresh_backoff_first: Duration,
    /// No pause between refreshes is longer, unless the issuer named a time itself.
    pub refresh_backoff_max: Duration,
    /// How long the credential file is watched after the issuer refused a refresh token: the program that used it may be
    /// just writing what it got.
    pub refusal_watch: Duration,
    /// Further reads of a credential file that does not parse: another program may be rewriting it in place.
    pub reread_tries: u32,
    /// Pause before each of them.
    pub reread_pause: Duration,
    /// One exchange with the issuer (token, refresh).
    pub issuer_request: Duration,
    /// Revocation is best effort (WIRE §5.5: the official client waits 10 s).
    pub revoke: Duration,
    /// TCP and TLS to the backend.
    pub connect: Duration,
    /// From the request's last byte to the response's first: a reasoning model may queue, so this is generous.
    pub response_head: Duration,
    /// Silence inside a stream (WIRE §8.4: the official client allows 300 s).
    pub stream_idle: Duration,
    /// Silence of a stream after the computer slept: a live one has a keep-alive or an event in this time, a dead one never will.
    pub after_wake: Duration,
    /// Small JSON requests to the backend: models, accounts/check, usage.
    pub backend_request: Duration,
    /// Further tries of a turn that provably produced nothing yet.
    pub turn_retries: u32,
    /// First backoff of a retry; doubles each time, ±10 % jitter (WIRE §8.4).
    pub backoff_first: Duration,
    /// No backoff is longer, unless the backend named a time itself.
    pub backoff_max: Duration,
    /// A `Retry-After` above this is reported instead of waited for.
    pub retry_after_max: Duration,
    /// The model list is asked for again after this (WIRE §9.5: 300 s).
    pub models_fresh: Duration,
}

impl Limits {
    /// Sets one by its name in `config.toml`: durations as `<name>_ms` in milliseconds, counts by their bare name.
    ///
    /// # Errors
    /// A reason, when there is no such limit or the number does not fit.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), &'static str> {
        /// More descriptors than a process gets, and few enough for every counter.
        const MOST: u64 = 65_536;
        /// A week: longer than any wait makes sense, and short enough to add to any time.
        const LONGEST_MS: u64 = 7 * 24 * 3_600 * 1_000;
        let field = self.fields().into_iter().find(|(field, kind)| kind.name(field) == name);
        match field.ok_or("there is no such limit")?.1 {
            Field::Wait(wait) if value <= LONGEST_MS => *wait = Duration::from_millis(value),
            Field::Wait(_) => return Err("expected at most a week, 604800000"),
            Field::Count(count) if (1..=MOST).contains(&value) => {
                *count = usize::try_from(value).map_err(|_| "the number is too large")?;
            }
            Field::Count(_) => return Err("expected a number from 1 to 65536"),
            Field::Tries(tries) if value <= 100 => *tries = u32::try_from(value).unwrap_or(100),
            Field::Tries(_) => return Err("expected a number from 0 to 100"),
        }
        Ok(())
    }

    /// All of them as `config.toml` would say them.
    pub fn entries(&self) -> Vec<(String, u64)> {
        let value = |field: &Field<'_>| match field {
            Field::Wait(wait) => u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            Field::Count(count) => u64::try_from(**count).unwrap_or(u64::MAX),
            Field::Tries(tries) => u64::from(**tries),
        };
        self.clone().fields().iter().map(|(name, field)| (field.name(name), value(field))).collect()
    }

    fn fields(&mut self) -> Vec<(&'static str, Field<'_>)> {
        /// Every field, or it does not compile.
        macro_rules! every {
            ($($kind:ident: $($name:ident),+;)+) => {{
                let Self { $($($name),+),+ } = self;
                vec![$($((stringify!($name), Field::$kind($name))),+),+]
            }};
        }
        every! {
            Count: sessions, calls_per_session, turns;
            Wait: hello, write_stall, drain, idle, self_check, login, device_login, device_poll, login_wait,
                refresh_before_expiry, share_before_expiry, refresh_backoff_first, refresh_backoff_max, refusal_watch;
            Tries: reread_tries;
            Wait: reread_pause, issuer_request, revoke, connect, response_head, stream_idle, after_wake, backend_request;
            Tries: turn_retries;
            Wait: backoff_first, backoff_max, retry_after_max, models_fresh;
        }
    }
}

/// What kind of number a limit is.
enum Field<'a> {
    Wait(&'a mut Duration),
    Count(&'a mut usize),
    Tries(&'a mut u32),
}

impl Field<'_> {
    /// The name in `config.toml`, which tells the unit.
    fn name(&self, field: &str) -> String {
        match self {
            Self::Wait(_) => format!("{field}_ms"),
            Self::Count(_) | Self::Tries(_) => field.to_owned(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hello: Duration::from_secs(2),
            sessions: 256,
            calls_per_session: 32,
            turns: 64,
            write_stall: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            idle: Duration::from_secs(30 * 60),
            self_check: Duration::from_secs(60),
            login: Duration::from_secs(300),
            device_login: Duration::from_secs(900),
            device_poll: Duration::from_secs(1),
            login_wait: Duration::from_secs(100),
            refresh_before_expiry: Duration::from_secs(300),
            share_before_expiry: Duration::from_secs(24 * 3600),
            refresh_backoff_first: Duration::from_secs(1),
            refresh_backoff_max: Duration::from_secs(60),
            refusal_watch: Duration::from_secs(3),
            reread_tries: 5,
            reread_pause: Duration::from_millis(50),
            issuer_request: Duration::from_secs(30),
            revoke: Duration::from_secs(10),
            connect: Duration::from_secs(15),
            response_head: Duration::from_secs(120),
            stream_idle: Duration::from_secs(300),
            after_wake: Duration::from_secs(10),
            backend_request: Duration::from_secs(10),
            turn_retries: 4,
            backoff_first: Duration::from_millis(200),
            backoff_max: Duration::from_secs(10),
            retry_after_max: Duration::from_secs(60),
            models_fresh: Duration::from_secs(300),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_can_be_set_by_the_name_under_which_it_is_shown() {
        let names: Vec<String> = Limits::default().entries().into_iter().map(|(name, _)| name).collect();
        for name in &names {
            let mut limits = Limits::default();
            limits.set(name, 7).unwrap();
            let changed = limits.entries().into_iter().filter(|entry| *entry == (name.clone(), 7)).count();
            assert_eq!(changed, 1, "{name}");
        }
        assert!(names.iter().any(|name| name == "drain_ms") && names.iter().any(|name| name == "turns"));
        assert!(Limits::default().set("drain", 7).is_err() && Limits::default().set("turns_ms", 7).is_err());
        for (name, value) in [
            ("turn_retries", u64::MAX),
            ("sessions", 0),
            ("sessions", u64::MAX),
            ("calls_per_session", 1 << 62),
            ("drain_ms", u64::MAX),
        ] {
            assert!(Limits::default().set(name, value).is_err(), "{name} = {value}");
        }
    }
}
