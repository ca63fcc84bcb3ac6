use super::*;
use crate::auth::store::DocumentError;
use crate::auth::testing::credentials;
use crate::fsx::ReadError;
use crate::network::Fault;
use crate::secret::Secret;

pub(super) const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), max: Duration::from_secs(60) };

pub(super) fn token(text: &str) -> Fingerprint {
    Secret::new(text).fingerprint()
}

fn wanted(text: &str, urgency: Urgency, now: Instant) -> Event {
    Event::Wanted { token: token(text), urgency, now }
}

pub(super) fn failure() -> Arc<IssuerError> {
    Arc::new(IssuerError::TooLong)
}

pub(super) fn refusal() -> Refusal {
    Refusal {
        status: 401,
        code: None,
        message: "no".to_owned(),
        interrupted: false,
        evidence: Evidence::None,
    }
}

fn pair() -> Pair {
    Pair { spent: token("r"), renewed: Arc::new(credentials("b", "s")) }
}

pub(super) fn not_written() -> Arc<StoreError> {
    let source = ReadError::Parse(DocumentError::Empty);
    Arc::new(StoreError::Unreadable { path: "auth.json".into(), source })
}

/// The state and action as words.
fn name(machine: &Machine, action: &Action) -> String {
    let state = match machine.state() {
        State::Idle => "idle".to_owned(),
        State::Running { failures, doubtful } => {
            format!("running {failures}{}", if *doubtful { " doubtful" } else { "" })
        }
        State::Waiting { pause, .. } => format!("waiting {}", pause.failures),
        State::Doubtful { pause, .. } => format!("doubtful {}", pause.failures),
        State::Unsaved { failures, .. } => format!("unsaved {failures}"),
    };
    let action = match action {
        Action::None => "",
        Action::Spend => " -> spend",
        Action::Restore => " -> restore",
        Action::Save(_) => " -> save",
        Action::Join => " -> join",
        Action::KeepOld => " -> keep old",
        Action::Fail => " -> fail",
    };
    state + action
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_gets_in_every_state() {
    use Urgency::{Early, Needed};
    let now = Instant::now();
    let (past, future) = (now - Duration::from_secs(1), now + Duration::from_secs(1));
    let pause = |until| Pause { failures: 2, until, cause: failure() };
    let waiting = |until| State::Waiting { token: token("r"), pause: pause(until) };
    let doubtful = |until| State::Doubtful { token: token("r"), pause: pause(until) };
    let unsaved = |until| State::Unsaved { pair: pair(), failures: 2, until, cause: not_written() };
    let running = || State::Running { failures: 1, doubtful: false };
    for (state, text, urgency, expected) in [
        (State::Idle, "r", Early, "running 0 -> spend"),
        (State::Idle, "r", Needed, "running 0 -> spend"),
        (running(), "r", Early, "running 1 -> join"),
        (running(), "other", Needed, "running 1 -> join"),
        (waiting(future), "r", Early, "waiting 2 -> keep old"),
        (waiting(future), "r", Needed, "waiting 2 -> fail"),
        (waiting(past), "r", Early, "running 2 -> spend"),
        (waiting(now), "r", Needed, "running 2 -> spend"),
        (waiting(future), "other", Needed, "running 0 -> spend"),
        (doubtful(future), "r", Early, "doubtful 2 -> keep old"),
        (doubtful(past), "r", Early, "doubtful 2 -> keep old"),
        (doubtful(future), "r", Needed, "doubtful 2 -> fail"),
        (doubtful(past), "r", Needed, "running 2 doubtful -> spend"),
        (doubtful(future), "other", Early, "running 0 -> spend"),
        (unsaved(future), "r", Early, "unsaved 2 -> keep old"),
        (unsaved(future), "other", Needed, "unsaved 2 -> fail"),
        (unsaved(past), "r", Early, "running 2 -> save"),
        (unsaved(past), "other", Needed, "running 2 -> save"),
    ] {
        let mut machine = Machine::default();
        machine.resume(state);
        let before = name(&machine, &Action::None);
        let action = machine.on(wanted(text, urgency, now), BACKOFF);
        assert_eq!(name(&machine, &action), expected, "{before}, {text} {urgency:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_has_ended_is_not_sent_again_whatever_came_between() {
    let now = Instant::now();
    for end in [End::Refused(refusal()), End::Spent { at: SystemTime::now() }] {
        let mut machine = Machine::after([(token("r"), end.clone())]);
        for urgency in [Urgency::Early, Urgency::Needed] {
            let action = machine.on(wanted("r", urgency, now), BACKOFF);
            assert_eq!(name(&machine, &action), "running 0 -> restore");
            machine.on(Event::Ended { outcome: Outcome::Settled, now, jitter: 0.5 }, BACKOFF);
            let action = machine.on(wanted("other", urgency, now), BACKOFF);
            assert_eq!(name(&machine, &action), "running 0 -> spend");
            machine.on(Event::Ended { outcome: Outcome::Settled, now, jitter: 0.5 }, BACKOFF);
        }
        assert_eq!(machine.end(&token("r")), Some(&end));
    }
}

#[tokio::test(start_paused = true)]
async fn how_every_outcome_is_remembered() {
    let now = Instant::now();
    let transient = || Outcome::Transient { token: token("r"), cause: failure(), retry_after: None };
    for (doubtful, outcome, expected) in [
        (false, Outcome::Settled, "idle"),
        (true, Outcome::Settled, "idle"),
        (false, Outcome::Refused { token: token("r"), refusal: refusal() }, "idle"),
        (true, Outcome::Refused { token: token("r"), refusal: refusal() }, "idle"),
        (false, transient(), "waiting 3"),
        (true, transient(), "doubtful 3"),
        (false, Outcome::Unknown { token: token("r"), cause: failure() }, "doubtful 3"),
        (false, Outcome::Unsaved { pair: pair(), cause: not_written() }, "unsaved 3"),
    ] {
        let ended = Event::Ended { outcome, now, jitter: 0.5 };
        let mut machine = Machine::default();
        machine.resume(State::Running { failures: 2, doubtful });
        machine.on(ended.clone(), BACKOFF);
        assert_eq!(name(&machine, &Action::None), expected, "{ended:?}");
        if let (Event::Ended { outcome: Outcome::Refused { .. }, .. }, Some(end)) =
            (&ended, machine.end(&token("r")))
        {
            assert_eq!(*end, End::Refused(Refusal { interrupted: doubtful, ..refusal() }));
        }
        let mut unmoved = Machine::default();
        unmoved.on(ended, BACKOFF);
        assert_eq!(name(&unmoved, &Action::None), "idle", "an end without a beginning");
        assert_eq!(unmoved.end(&token("r")), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_network_that_is_still_down_is_no_failure_of_the_issuers_and_lets_no_pause_grow() {
    let now = Instant::now();
    let down = || Arc::new(IssuerError::Connect(Fault::Other("down".into())));
    for (before, doubtful, expected) in [
        (0, false, "waiting 1"),
        (1, false, "waiting 1"),
        (3, false, "waiting 3"),
        // What was in doubt before stays so: this one was not sent.
        (0, true, "doubtful 1"),
        (3, true, "doubtful 3"),
    ] {
        let mut machine = Machine::default();
        machine.resume(State::Running { failures: before, doubtful });
        for attempt in 0..100 {
            let outcome = Outcome::Transient { token: token("r"), cause: down(), retry_after: None };
            machine.on(Event::Ended { outcome, now, jitter: 0.5 }, BACKOFF);
            assert_eq!(name(&machine, &Action::None), expected, "{before} failures, attempt {attempt}");
            assert_eq!(machine.end(&token("r")), None, "it is as good as before");
            let over = now + BACKOFF.pause(before.max(1), 0.5);
            let action = machine.on(wanted("r", Urgency::Needed, over), BACKOFF);
            assert!(matches!(action, Action::Spend), "{expected}, attempt {attempt}: {action:?}");
        }
        let outcome = Outcome::Transient { token: token("r"), cause: failure(), retry_after: None };
        machine.on(Event::Ended { outcome, now, jitter: 0.5 }, BACKOFF);
        let failed = format!("{} {}", if doubtful { "doubtful" } else { "waiting" }, before.max(1) + 1);
        assert_eq!(name(&machine, &Action::None), failed, "an issuer that fails is counted");
    }
}

#[test]
fn the_pause_doubles_from_one_second_to_sixty_with_a_fifth_of_jitter() {
    for (failures, seconds) in [(1, 1.0), (2, 2.0), (3, 4.0), (6, 32.0), (7, 60.0), (40, 60.0)] {
        assert!((BACKOFF.pause(failures, 0.5).as_secs_f64() - seconds).abs() < 1e-6, "{failures}");
        assert!((BACKOFF.pause(failures, 0.0).as_secs_f64() - 0.8 * seconds).abs() < 1e-6, "{failures}");
        assert!(BACKOFF.pause(failures, 1.0).as_secs_f64() <= (1.2 * seconds).min(60.0) + 1e-6, "{failures}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_named_by_the_issuer_is_honoured_up_to_a_quarter_of_an_hour() {
    let now = Instant::now();
    for (named, seconds) in [(0, 1), (30, 30), (900, 900), (86_400, 900)] {
        let retry_after = Some(Duration::from_secs(named));
        let outcome = Outcome::Transient { token: token("r"), cause: failure(), retry_after };
        let mut machine = Machine::default();
        machine.resume(State::Running { failures: 0, doubtful: false });
        machine.on(Event::Ended { outcome, now, jitter: 0.5 }, BACKOFF);
        let State::Waiting { pause, .. } = machine.state() else { panic!("{machine:?}") };
        assert_eq!(pause.until - now, Duration::from_secs(seconds), "{named}");
    }
}
