//! Two daemons and the Codex CLI on that program's own file, borrowed or shared, in an order that comes from a seed.
//!
//! The CLI is as WIRE §4.2 and §4.5 have it: it reads its file before it renews, renews five minutes before the end without a
//! lock, and takes its locks for the write, after which what is on the disk wins. The clock is the test's own: locks are waited for
//! in threads, which a paused clock would wait for.

use std::sync::atomic::AtomicI64;

use codex_oauth_rig::scale::{Seeded, rounds};
use parking_lot::Mutex;

use super::house::URL;
use super::*;
use crate::auth::claims::Claims;
use crate::auth::testing::in_seconds;
use crate::auth::testing::memory::Strict;
use crate::codex_locks::FileLock;
use crate::fsx::{self, Op};

/// Families of refresh tokens at the issuer: the login at the beginning, and the one that a person makes later.
const FIRST: u32 = 1;
const LATER: u32 = 2;
/// Seconds that an access token lives: shared, it is renewed by us at half of it.
const LIFE: i64 = 3_600;
/// Questions after which a shared login has been renewed, whatever the other daemon and the CLI did in between.
const MOST_TRIES: u32 = 8;
/// The CLI renews when less is left (WIRE §5.2).
const CLI_MARGIN: i64 = 300;

/// What the CLI does next.
#[derive(Debug)]
enum Next {
    Look,
    /// It has a new pair for this refresh token.
    Commit(String, Value),
    /// It has truncated the file.
    Write(Value),
}

struct Cli {
    file: PathBuf,
    issuer: Strict,
    now: Arc<AtomicI64>,
    next: Next,
    /// Refreshes that it sent.
    sent: usize,
}

impl Cli {
    fn step(&mut self) {
        self.next = match std::mem::replace(&mut self.next, Next::Look) {
            Next::Look => self.look(),
            Next::Commit(spent, document) => {
                let locks = ["auth.lock", "auth.json.lock"]
                    .map(|name| FileLock::try_acquire(&self.file.with_file_name(name)));
                if locks.iter().any(Result::is_err) {
                    Next::Commit(spent, document)
                } else {
                    if self.read().is_some_and(|found| refresh_token(&found) == spent) {
                        put(&self.file, &document.to_string());
                    }
                    Next::Look
                }
            }
            Next::Write(document) => {
                put(&self.file, &document.to_string());
                Next::Look
            }
        };
    }

    fn look(&mut self) -> Next {
        let Some(document) = self.read() else { return Next::Look };
        let access = Secret::new(document["tokens"]["access_token"].as_str().unwrap());
        let left = in_seconds(self.now.load(Ordering::Relaxed) + CLI_MARGIN);
        if Claims::of(&access).expires_at.unwrap() > left {
            return Next::Look;
        }
        self.sent += 1;
        let spent = refresh_token(&document);
        match self.issuer.refresh(&spent) {
            (200, body) => {
                let pair: Value = serde_json::from_str(&body).unwrap();
                Next::Commit(spent, self.document(&pair))
            }
            _ => Next::Look,
        }
    }

    /// `codex login`, of a version that writes in place and without a lock (0.149).
    fn sign_in(&mut self) {
        let refresh_token = self.issuer.grant(LATER);
        let access = access_token(self.now.load(Ordering::Relaxed) + LIFE, "later");
        put(&self.file, "");
        self.next = Next::Write(
            self.document(&json!({"access_token": access.expose(), "refresh_token": refresh_token})),
        );
    }

    fn document(&self, pair: &Value) -> Value {
        let at = jiff::Timestamp::try_from(in_seconds(self.now.load(Ordering::Relaxed))).unwrap();
        json!({
            "auth_mode": "chatgpt", "OPENAI_API_KEY": null,
            "tokens": {"id_token": "i", "access_token": pair["access_token"], "refresh_token": pair["refresh_token"],
                "account_id": ACCOUNT, "oauth_provenance": {"issuer": URL, "client_id": "app_CODEX"}},
            "last_refresh": at.to_string(),
        })
    }

    fn read(&self) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(&self.file).unwrap()).ok()
    }

    fn rest(&mut self) {
        while !matches!(self.next, Next::Look) {
            self.step();
        }
    }
}

fn refresh_token(document: &Value) -> String {
    document["tokens"]["refresh_token"].as_str().unwrap().to_owned()
}

/// The file, the CLI on it, and two daemons that have adopted it.
struct Place {
    home: tempfile::TempDir,
    cli: Arc<Mutex<Cli>>,
    issuer: Strict,
    now: Arc<AtomicI64>,
    daemons: [TokenManager; 2],
    /// Refreshes that the daemons sent.
    ours: Arc<AtomicUsize>,
    shared: bool,
}

impl Place {
    fn new(mode: Mode) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (file, now) = (home.path().join("auth.json"), Arc::new(AtomicI64::new(0)));
        let issuer = Strict::new(LIFE, Duration::from_millis(2));
        let cli = Cli {
            file: file.clone(),
            issuer: issuer.clone(),
            now: Arc::clone(&now),
            next: Next::Look,
            sent: 0,
        };
        let first = issuer.grant(FIRST);
        let first =
            cli.document(&json!({"access_token": access_token(LIFE, "a").expose(), "refresh_token": first}));
        put(&file, &first.to_string());
        let ours = Arc::new(AtomicUsize::new(0));
        let daemon = |number: u32| {
            let (sent, time) = (Arc::clone(&ours), Arc::clone(&now));
            let committed = move || {
                sent.fetch_add(1, Ordering::Relaxed);
            };
            let seams = Seams {
                clock: Clock::of(move || in_seconds(time.load(Ordering::Relaxed))),
                holder: Holder { pid: std::process::id(), nonce: number.to_string() },
                issuer: Some(issuer.in_memory(committed)),
            };
            let history = home.path().join(format!("{number}/auth.json"));
            let config = config(URL, history).normalized().unwrap();
            let shelf = Shelf::Codex { name: "codex".to_owned(), mode, ours: Binding::ours(&config) };
            let place = (file.clone(), shelf, Changes::default());
            // After a failure that may pass, the next question tries again.
            let limits = Limits { refresh_backoff_first: Duration::ZERO, ..quick() };
            TokenManager::at(place, config, limits, TaskTracker::new(), seams)
        };
        let daemons = [daemon(0), daemon(1)];
        let cli = Arc::new(Mutex::new(cli));
        Self { cli, issuer, now, daemons, ours, home, shared: mode == Mode::Share }
    }

    /// Six rounds, in each of which some time passes and both daemons are asked. A person signs in with the CLI in one of them.
    async fn live(&self, dice: &Arc<Mutex<Seeded>>, most_seconds: u64) {
        let (cli, rolled) = (Arc::clone(&self.cli), Arc::clone(dice));
        let signing_in = Arc::new(Mutex::new(false));
        let signs_in = Arc::clone(&signing_in);
        let _watch = fsx::hook(self.home.path(), move |op| {
            if !matches!(op, Op::Rename(..)) && rolled.lock().below(3) == 0 {
                let mut cli = cli.lock();
                if matches!(cli.next, Next::Look) && std::mem::take(&mut *signs_in.lock()) {
                    cli.sign_in();
                }
                cli.step();
            }
            Ok(())
        });
        let round_of_login = dice.lock().below(5);
        for round in 0..6 {
            let passed = i64::try_from(dice.lock().below(most_seconds)).unwrap();
            let now = self.now.fetch_add(passed, Ordering::Relaxed) + passed;
            self.issuer.set_life(now + LIFE);
            *signing_in.lock() = round == round_of_login;
            // What goes wrong meanwhile is told and passes; what must hold is below.
            let _told = tokio::join!(self.daemons[0].grant(), self.daemons[1].grant());
            let steps = dice.lock().below(4);
            self.end_of_round(std::mem::take(&mut *signing_in.lock()), steps);
            if self.shared {
                self.fresh(now).await;
            }
        }
    }

    /// The CLI goes on for a while. It does not stay in the middle of a write, and a shared login is looked at every minute.
    fn end_of_round(&self, signs_in: bool, steps: u64) {
        let mut cli = self.cli.lock();
        if signs_in {
            cli.rest();
            cli.sign_in();
        }
        for _ in 0..steps {
            cli.step();
        }
        cli.rest();
    }

    /// Returns when each daemon has a token with half of its life left.
    async fn fresh(&self, now: i64) {
        let half = in_seconds(now + LIFE / 2);
        for daemon in &self.daemons {
            let mut tries = 0..MOST_TRIES;
            while !daemon.grant().await.is_ok_and(|grant| grant.expires_at.is_some_and(|end| end >= half)) {
                tries.next().expect("a login that can be renewed is renewed soon");
            }
        }
    }

    fn token_on_disk(&self) -> String {
        refresh_token(&self.cli.lock().read().unwrap())
    }
}

#[tokio::test]
async fn a_shared_login_is_renewed_before_the_codex_cli_would_and_nobody_sends_a_token_twice() {
    let mut seeds = Seeded::new("shared");
    let mut renewed = 0;
    for _ in 0..rounds(200) {
        let seed = seeds.number();
        let place = Place::new(Mode::Share);
        // Between two questions less passes than there is between our moment and the CLI's.
        let passes = LIFE / 2 - CLI_MARGIN;
        place.live(&Arc::new(Mutex::new(Seeded::from(seed))), passes.unsigned_abs()).await;
        for daemon in &place.daemons {
            daemon.grant().await.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
        }
        let token = place.token_on_disk();
        assert!(
            token.starts_with(&format!("rt_{LATER}_")),
            "seed {seed}: the newer login was lost to {token}"
        );
        assert!(place.issuer.is_live(&token), "seed {seed}: {token}");
        assert_eq!((place.issuer.reused(), place.cli.lock().sent), (Vec::<String>::new(), 0), "seed {seed}");
        let posts = place.issuer.posts();
        assert!(posts.values().all(|posts| *posts == 1), "seed {seed}: {posts:?}");
        renewed += place.ours.load(Ordering::Relaxed);
    }
    assert!(renewed > 0);
}

#[tokio::test]
async fn a_borrowed_login_is_never_renewed_and_its_file_never_touched() {
    let mut seeds = Seeded::new("borrowed");
    let mut renewed_by_it = 0;
    for _ in 0..rounds(200) {
        let seed = seeds.number();
        let place = Place::new(Mode::Borrow);
        let dice = Arc::new(Mutex::new(Seeded::from(seed)));
        place.live(&dice, LIFE.unsigned_abs()).await;
        let found = std::fs::read(place.home.path().join("auth.json")).unwrap();
        for daemon in &place.daemons {
            // Good as long as it lasts.
            match daemon.grant().await {
                Ok(_) | Err(AuthError::Expired { .. }) => {}
                Err(error) => panic!("seed {seed}: {error:?}"),
            }
        }
        assert_eq!(std::fs::read(place.home.path().join("auth.json")).unwrap(), found, "seed {seed}");
        assert_eq!((place.ours.load(Ordering::Relaxed), place.issuer.reused().len()), (0, 0), "seed {seed}");
        assert!(place.token_on_disk().starts_with(&format!("rt_{LATER}_")), "seed {seed}");
        renewed_by_it += place.cli.lock().sent;
    }
    assert!(renewed_by_it > 0);
}
