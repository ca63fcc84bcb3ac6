#![cfg(unix)]

use std::cell::Cell;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use super::*;

const QUICK: Reread = Reread { tries: 5, pause: Duration::ZERO };

fn put(path: &Path, text: &str) {
    let mut file = File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_missing_directory_is_created_private_and_the_file_is_private() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("a/b/auth.json");
    write_durable(&path, b"{}").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"{}");
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(mode(&home.path().join("a")), 0o700);
}

#[test]
fn an_existing_directory_keeps_its_mode_and_a_wide_file_becomes_private() {
    let home = tempfile::tempdir().unwrap();
    chmod(home.path(), 0o755);
    let path = home.path().join("auth.json");
    put(&path, "old");
    chmod(&path, 0o644);
    write_durable(&path, b"new").unwrap();
    assert_eq!((mode(home.path()), mode(&path)), (0o755, 0o600));
}

#[test]
fn the_target_of_a_symlink_is_replaced_and_the_link_stays() {
    let home = tempfile::tempdir().unwrap();
    let (real, link) = (home.path().join("real.json"), home.path().join("auth.json"));
    put(&real, "old");
    symlink("real.json", &link).unwrap();
    let before = fs::metadata(&real).unwrap().ino();
    write_durable(&link, b"new").unwrap();
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("real.json"));
    assert_eq!(fs::read(&real).unwrap(), b"new");
    assert_ne!(fs::metadata(&real).unwrap().ino(), before, "written in place");
}

#[test]
fn a_dangling_symlink_gets_its_target() {
    let home = tempfile::tempdir().unwrap();
    let link = home.path().join("auth.json");
    symlink(home.path().join("later/real.json"), &link).unwrap();
    write_durable(&link, b"new").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(home.path().join("later/real.json")).unwrap(), b"new");
}

#[test]
fn links_in_a_circle_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let (a, b) = (home.path().join("a"), home.path().join("b"));
    symlink(&a, &b).unwrap();
    symlink(&b, &a).unwrap();
    assert!(matches!(write_durable(&a, b"x"), Err(FsError::TooManyLinks { .. })));
}

#[test]
fn a_hard_linked_file_is_refused_and_untouched() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("auth.json");
    put(&path, "old");
    fs::hard_link(&path, home.path().join("other")).unwrap();
    assert!(matches!(check_replaceable(&path), Err(FsError::HardLinked { links: 2, .. })));
    assert!(matches!(write_durable(&path, b"new"), Err(FsError::HardLinked { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn a_read_only_file_is_refused_by_its_mode_even_for_root() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("auth.json");
    put(&path, "old");
    chmod(&path, 0o400);
    assert!(matches!(check_replaceable(&path), Err(FsError::ReadOnly { .. })));
    assert!(matches!(write_durable(&path, b"new"), Err(FsError::ReadOnly { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn a_directory_in_the_place_of_the_file_is_refused() {
    let home = tempfile::tempdir().unwrap();
    assert!(matches!(check_replaceable(home.path()), Err(FsError::NotAFile { .. })));
}

#[test]
fn no_temporary_file_is_left_behind() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("auth.json");
    write_durable(&path, b"1").unwrap();
    write_durable(&path, b"2").unwrap();
    let names: Vec<_> = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["auth.json"]);
}

#[tokio::test]
async fn a_torn_file_is_read_again_until_it_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("auth.json");
    put(&path, "");
    let reads = Cell::new(0);
    let parse = |bytes: &[u8]| {
        reads.set(reads.get() + 1);
        if reads.get() == 3 {
            put(&path, "whole");
        }
        if bytes == b"whole" { Ok(()) } else { Err("torn") }
    };
    assert!(read_stable(&path, QUICK, parse).await.unwrap().is_some());
    assert_eq!(reads.get(), 4);
}

#[tokio::test]
async fn a_file_that_stays_torn_is_an_error_after_six_reads_and_never_missing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("auth.json");
    put(&path, "");
    let reads = Cell::new(0);
    let parse = |_: &[u8]| {
        reads.set(reads.get() + 1);
        Err::<(), _>(io::Error::other("torn"))
    };
    assert!(matches!(read_stable(&path, QUICK, parse).await, Err(ReadError::Parse(_))));
    assert_eq!(reads.get(), 6);
}

#[tokio::test]
async fn only_a_missing_file_is_none() {
    let home = tempfile::tempdir().unwrap();
    let parse = |bytes: &[u8]| Ok::<_, io::Error>(bytes.len());
    assert!(read_stable(&home.path().join("absent"), QUICK, parse).await.unwrap().is_none());
    assert!(matches!(
        read_stable(home.path(), QUICK, parse).await,
        Err(ReadError::Fs(FsError::NotAFile { .. }))
    ));
    let large = home.path().join("large");
    File::create(&large).unwrap().set_len(MAX_BYTES + 1).unwrap();
    assert!(matches!(read_stable(&large, QUICK, parse).await, Err(ReadError::Fs(FsError::TooLarge { .. }))));
}

#[test]
fn a_stamp_changes_with_the_file() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("auth.json");
    assert_eq!(stamp(&path).unwrap(), None);
    write_durable(&path, b"1").unwrap();
    let first = stamp(&path).unwrap();
    assert_eq!(stamp(&path).unwrap(), first);
    write_durable(&path, b"2").unwrap();
    assert_ne!(stamp(&path).unwrap(), first);
}
