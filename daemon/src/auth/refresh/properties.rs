//! No order of events makes the machine spend a token twice, run two attempts at once, or press an issuer that is unwell.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::tests::{BACKOFF, failure, not_written, refusal, token};
use super::*;
use crate::auth::testing::credentials;

/// What happens next, of few tokens and short times, so that they meet.
#[derive(Clone, Debug)]
enum Move {
    Wanted { token: u8, urgency: Urgency },
    Pass { millis: u32 },
    End(End),
}

#[derive(Clone, Debug)]
enum End {
    Settled,
    Renewed,
    Refused,
    Transient { retry_after: Option<u16> },
    Unknown,
    Unsaved,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let urgency = prop_oneof![Just(Urgency::Early), Just(Urgency::Needed)];
    let end = prop_oneof![
        Just(End::Settled),
        Just(End::Renewed),
        Just(End::Refused),
        proptest::option::of(0..200_u16).prop_map(|retry_after| End::Transient { retry_after }),
        Just(End::Unknown),
        Just(End::Unsaved),
    ];
    let one = prop_oneof![
        4 => (0..4_u8, urgency).prop_map(|(token, urgency)| Move::Wanted { token, urgency }),
        2 => (0..100_000_u32).prop_map(|millis| Move::Pass { millis }),
        4 => end.prop_map(Move::End),
    ];
    proptest::collection::vec(one, 0..80)
}

fn name(number: u8) -> Fingerprint {
    token(&format!("rt_{number}"))
}

fn pair_of(spent: u8) -> Pair {
    Pair { spent: name(spent), renewed: Arc::new(credentials("b", "s")) }
}

/// What the shell does, with a record of what the issuer has seen.
#[derive(Default)]
struct Shell {
    machine: Machine,
    /// The token whose attempt runs, and whether it is one that sends.
    running: Option<(u8, bool)>,
    ended: BTreeSet<u8>,
    unsaved: Option<u8>,
    /// Not before this may the token be sent again.
    barred: Option<(u8, Instant)>,
}

impl Shell {
    fn wanted(&mut self, number: u8, urgency: Urgency, now: Instant) {
        let action = self.machine.on(Event::Wanted { token: name(number), urgency, now }, BACKOFF);
        match action {
            Action::Spend => {
                assert!(self.running.is_none(), "two attempts at once");
                assert!(!self.ended.contains(&number), "spent twice");
                assert!(self.unsaved.is_none(), "a pair in memory comes first");
                // The machine knows the pause of one token: the latest that it tried.
                let barred =
                    self.barred.take().is_some_and(|(barred, until)| barred == number && now < until);
                assert!(!barred, "sent before its pause was over");
                self.running = Some((number, true));
            }
            Action::Save(_) | Action::Restore => {
                self.barred = None;
                assert!(self.running.is_none(), "two attempts at once");
                assert_eq!(matches!(action, Action::Save(_)), self.unsaved.is_some());
                self.running = Some((self.unsaved.unwrap_or(number), false));
            }
            Action::Join => assert!(self.running.is_some(), "nobody to join"),
            Action::KeepOld => assert_eq!(urgency, Urgency::Early, "there is no old one"),
            Action::Fail => assert_eq!(urgency, Urgency::Needed, "the old one is good"),
            Action::None => panic!("a caller is left without a word"),
        }
    }

    fn end(&mut self, end: &End, now: Instant, jitter: f64) {
        let Some((number, sends)) = self.running.take() else { return };
        let token = name(number);
        // Without a request the issuer says nothing.
        let end = match end {
            End::Refused | End::Unknown | End::Transient { .. } if !sends => &End::Settled,
            end => end,
        };
        let first = now + BACKOFF.first.mul_f64(0.8);
        let outcome = match end {
            End::Settled => {
                self.unsaved = None;
                Outcome::Settled
            }
            End::Renewed => {
                self.machine.remember(token, super::End::Spent { at: SystemTime::UNIX_EPOCH });
                self.ended.insert(number);
                self.unsaved = None;
                Outcome::Settled
            }
            End::Refused => {
                self.ended.insert(number);
                Outcome::Refused { token, refusal: refusal() }
            }
            End::Transient { retry_after } => {
                let named = Duration::from_secs(retry_after.unwrap_or_default().into());
                self.barred = Some((number, first.max(now + named)));
                let retry_after = retry_after.map(|seconds| Duration::from_secs(seconds.into()));
                Outcome::Transient { token, cause: failure(), retry_after }
            }
            End::Unknown => {
                self.barred = Some((number, first));
                Outcome::Unknown { token, cause: failure() }
            }
            End::Unsaved => {
                self.unsaved = Some(number);
                Outcome::Unsaved { pair: pair_of(number), cause: not_written() }
            }
        };
        self.machine.on(Event::Ended { outcome, now, jitter }, BACKOFF);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_reachable_state_spends_a_token_twice(moves in moves(), jitter in 0.0..1.0_f64) {
        let mut shell = Shell::default();
        let mut now = Instant::now();
        for one in &moves {
            match one {
                Move::Wanted { token, urgency } => shell.wanted(*token, *urgency, now),
                Move::Pass { millis } => now += Duration::from_millis((*millis).into()),
                Move::End(end) => shell.end(end, now, jitter),
            }
        }
    }
}
