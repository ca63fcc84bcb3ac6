//! Another program rewrites the file in its place while we read it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::atomic::AtomicBool;

use codex_oauth_rig::scale::rounds;

use super::house::{House, URL};
use super::*;
use crate::auth::testing::memory::Strict;

#[tokio::test]
async fn a_thousand_reads_during_truncation_in_place_are_no_log_out() {
    let house = House::new(Strict::new(86_400, Duration::ZERO).in_memory(|| ()));
    put_login(&house.file(), &login_at(URL, 86_400, "old", "rt_old"));
    let text = std::fs::read(house.file()).unwrap();
    let (file, over) = (house.file(), Arc::new(AtomicBool::new(false)));
    let (stop, written) = (Arc::clone(&over), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&written);
    // Truncates, writes in two halves, and begins anew: what WIRE §4.2 says of the official client before 0.150.
    let writer = std::thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let mut file = OpenOptions::new().write(true).truncate(true).open(&file).unwrap();
            let (first, second) = text.split_at(text.len() / 2);
            file.write_all(first).unwrap();
            file.write_all(second).unwrap();
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    codex_oauth_rig::eventually("the other program writes", || written.load(Ordering::Relaxed) > 10);
    let mut process = house;
    process.limits = Limits { reread_pause: Duration::from_millis(5), reread_tries: 100, ..quick() };
    let (tokens, _) = process.process(false);
    for round in 0..rounds(1_000) {
        tokens.0.store.reload().await.unwrap().unwrap_or_else(|| panic!("signed out at read {round}"));
        tokens.grant().await.unwrap();
    }
    over.store(true, Ordering::Relaxed);
    writer.join().unwrap();
}
