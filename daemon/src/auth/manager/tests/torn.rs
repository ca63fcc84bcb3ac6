//! Another program rewrites the file in its place while we read it.

use std::fs::OpenOptions;
use std::io::Write as _;

use codex_oauth_rig::scale::rounds;

use super::house::{House, URL};
use super::*;
use crate::auth::testing::memory::Strict;

#[tokio::test]
async fn a_thousand_reads_during_truncation_in_place_are_no_log_out() {
    let house = House::new(Strict::new(86_400, Duration::ZERO).in_memory(|| ()));
    put_login(&house.file(), &login_at(URL, 86_400, "old", "rt_old"));
    let text = std::fs::read(house.file()).unwrap();
    let file = house.file();
    // Truncates and writes in two halves: what WIRE §4.2 says of the official client before 0.150. Once for each turn, so
    // that a reader always meets a file that comes to rest.
    let (turn, turns) = std::sync::mpsc::channel::<()>();
    let writer = std::thread::spawn(move || {
        for () in turns {
            let mut file = OpenOptions::new().write(true).truncate(true).open(&file).unwrap();
            let (first, second) = text.split_at(text.len() / 2);
            file.write_all(first).unwrap();
            file.write_all(second).unwrap();
        }
    });
    let mut process = house;
    // Longer than a loaded machine leaves the writer between its truncation and its writing.
    process.limits = Limits { reread_pause: Duration::from_millis(5), reread_tries: 2_000, ..quick() };
    let (tokens, _) = process.process(false);
    for round in 0..rounds(1_000) {
        turn.send(()).unwrap();
        tokens.0.store.reload().await.unwrap().unwrap_or_else(|| panic!("signed out at read {round}"));
        turn.send(()).unwrap();
        tokens.grant().await.unwrap();
    }
    drop(turn);
    writer.join().unwrap();
}
