//! Two daemons that were forced onto one credential file, and a program that treats the file as the official client treats its
//! own (WIRE §4.2, §4.5): reads it whole, renews its own login, and writes the file whole, in its place and without a lock.
//!
//! The other program moves at every operation of ours but the rename itself, between whose last look and system call
//! nobody without a lock can be kept out; the order comes from a seed.

use codex_oauth_rig::scale::{Seeded, rounds};
use parking_lot::Mutex;

use super::house::{House, URL};
use super::*;
use crate::auth::testing::memory::Strict;
use crate::fsx::{self, Op};

/// Families of refresh tokens at the issuer.
const OURS: u32 = 1;
const THEIRS: u32 = 2;
const LATER: u32 = 3;

/// What the other program does next.
#[derive(Debug)]
enum Next {
    Read,
    Renew(Value),
    Truncate(Value),
    Write(Value),
}

/// The other program.
struct Codexish {
    file: PathBuf,
    issuer: Strict,
    next: Next,
    /// Told when the file is torn: it does not stay so for long.
    torn: Arc<Notify>,
}

impl Codexish {
    fn step(&mut self) {
        self.next = match std::mem::replace(&mut self.next, Next::Read) {
            Next::Read => {
                let text = std::fs::read(&self.file).unwrap_or_default();
                serde_json::from_slice(&text).map_or(Next::Read, Next::Renew)
            }
            // Its own semaphore: one at a time. Its guarded reload: only the token that is in the file.
            Next::Renew(mut document) => {
                let token = document["codex"]["refresh_token"].as_str().unwrap().to_owned();
                let (status, body) = self.issuer.refresh(&token);
                assert_eq!(status, 200, "its own login was lost to us: {token}");
                let body: Value = serde_json::from_str(&body).unwrap();
                document["codex"]["refresh_token"] = body["refresh_token"].clone();
                Next::Truncate(document)
            }
            Next::Truncate(document) => {
                put(&self.file, "");
                self.torn.notify_one();
                Next::Write(document)
            }
            Next::Write(document) => {
                put(&self.file, &document.to_string());
                Next::Read
            }
        };
    }

    /// Ends between two of its changes.
    fn rest(&mut self) {
        while !matches!(self.next, Next::Read) {
            self.step();
        }
    }
}

async fn one(seed: u64) {
    let issuer = Strict::new(120, Duration::from_millis(40));
    let (ours, theirs) = (issuer.grant(OURS), issuer.grant(THEIRS));
    let mut house = House::new(issuer.in_memory(|| ()));
    house.limits = Limits { refusal_watch: Duration::from_secs(3), ..Limits::default() };
    let document = json!({
        "codex": {"refresh_token": theirs},
        "openai_codex": crate::auth::record::render(&login_at(URL, -10, "old", &ours)),
    });
    put(&house.file(), &document.to_string());

    let torn = Arc::new(Notify::new());
    let codexish =
        Codexish { file: house.file(), issuer: issuer.clone(), next: Next::Read, torn: Arc::clone(&torn) };
    let codexish = Arc::new(Mutex::new(codexish));
    let dice = Arc::new(Mutex::new(Seeded::from(seed)));
    let (other, rolled) = (Arc::clone(&codexish), Arc::clone(&dice));
    let watch = fsx::hook(house.home.path(), move |op| {
        if !matches!(op, Op::Rename(..)) && rolled.lock().below(4) == 0 {
            other.lock().step();
        }
        Ok(())
    });
    let daemons = [house.process(true).0, house.process(true).0];
    let questions = daemons.iter().enumerate().map(|(number, daemon)| {
        let (dice, house, issuer) = (Arc::clone(&dice), &house, &issuer);
        async move {
            for round in 0..6_u32 {
                if number == 0 && round == 3 {
                    // A person signs in anew, through this daemon.
                    let mut login = login_at(URL, 60, "later", &issuer.grant(LATER));
                    login.own.as_mut().unwrap().obtained_at = Some(house.clock.now());
                    let saved = daemon.0.store.replace(&login).await;
                    saved.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
                }
                issuer.set_life(i64::from(round) * 150 + 120);
                // What goes wrong meanwhile is told and passes; what must hold is below.
                let _told = daemon.grant().await;
                let pause = dice.lock().below(300_000);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    });
    let passing = async {
        loop {
            let roll = |below| Duration::from_millis(dice.lock().below(below));
            let (pause, in_mid_write) = (roll(10_000), roll(60));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = torn.notified() => tokio::time::sleep(in_mid_write).await,
            }
            codexish.lock().step();
        }
    };
    tokio::select! {
        _ = join_all(questions) => {}
        () = passing => {}
    }
    drop(watch);
    codexish.lock().rest();

    issuer.set_life(90_000);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    for daemon in &daemons {
        daemon.grant().await.unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
    }
    let token = house.refresh_token();
    assert!(token.starts_with(&format!("rt_{LATER}_")), "seed {seed}: the newer login was lost to {token}");
    assert!(issuer.is_live(&token), "seed {seed}: {token}");
    assert_eq!(issuer.reused(), Vec::<String>::new(), "seed {seed}");
    let posts = issuer.posts();
    assert!(posts.values().all(|posts| *posts == 1), "seed {seed}: {posts:?}");
    assert!(
        posts.keys().any(|token| token.starts_with(&format!("rt_{THEIRS}_"))),
        "seed {seed}: nobody else"
    );
}

/// The order that two daemons had on a loaded machine: one is stopped in the middle of writing its record, and goes on when
/// the other one's token is spent.
#[tokio::test]
async fn a_record_that_another_daemon_is_just_writing_is_no_leftover() {
    let issuer = Strict::new(86_400, Duration::from_millis(100));
    let token = issuer.grant(OURS);
    let (go_on, stopped) = std::sync::mpsc::channel();
    let stopped = Mutex::new(Some(stopped));
    let go_on = move || {
        // Sent again, nobody listens.
        let _ = go_on.send(());
    };
    let house = House::new(issuer.in_memory(go_on));
    house.sign_in(-10, &token);
    let reached = Arc::new(Notify::new());
    let at_the_write = Arc::clone(&reached);
    let _watch = fsx::hook(house.home.path(), move |op| {
        if matches!(op, Op::Write(path, 0, _) if path.to_string_lossy().contains("auth.json.refresh")) {
            let first = stopped.lock().take();
            if let Some(stopped) = first {
                at_the_write.notify_one();
                // Should nothing be sent, the test fails below.
                let _ = stopped.recv_timeout(Duration::from_secs(10));
            }
        }
        Ok(())
    });
    let daemons = [house.process(true).0, house.process(true).0];
    let second = async {
        reached.notified().await;
        daemons[1].grant().await
    };
    let (first, second) = tokio::join!(daemons[0].grant(), second);
    assert_eq!(first.unwrap().access_token, second.unwrap().access_token);
    assert_eq!(issuer.posts()[&token], 1);
}

#[tokio::test(start_paused = true)]
async fn two_daemons_and_another_program_on_one_file_spend_no_token_twice_and_lose_no_login() {
    let mut seeds = Seeded::new("interleavings");
    for _ in 0..rounds(200) {
        one(seeds.number()).await;
    }
}
