//! Master keys in files and in the environment: made, read, rotated, removed, and refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Barrier;

use super::*;
use crate::secret::Secret;

const PLACE: &[u8] = b"keks 1";

fn key(byte: u8) -> KeyBytes {
    Zeroizing::new([byte; 32])
}

fn file(path: &Path) -> MasterSource {
    MasterSource::File(path.into())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn fault(opened: Result<Masters, CustodyFault>) -> String {
    opened.unwrap_err().to_string()
}

#[test]
fn a_file_is_made_once_and_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    assert!(matches!(Masters::open(&file(&path)), Err(CustodyFault::Absent(_))));
    let made = Masters::create(&file(&path)).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(made.describe(), format!("file {}", path.display()));
    assert!(fault(Masters::create(&file(&path))).contains("never overwritten"));
    let blob = made.wrap(&key(5), PLACE).unwrap();
    let opened = Masters::open(&file(&path)).unwrap();
    assert_eq!(opened.current(), made.current());
    let id = opened.current().as_str();
    assert_eq!(opened.unwrap(id, &blob, PLACE).unwrap(), key(5));
    assert!(matches!(opened.unwrap(id, &blob, b"keks 2"), Err(CustodyFault::DoesNotOpen)));
    assert!(matches!(opened.unwrap("mk_other", &blob, PLACE), Err(CustodyFault::Missing(_))));
    let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["master.key"]);
}

#[test]
fn nothing_of_a_key_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    let made = Masters::create(&file(&path)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let digits = text.trim_end().split_once(' ').unwrap().1.to_owned();
    let variable = MasterSource::Environment(Secret::new(text.into_bytes()).unwrap());
    for shown in [format!("{made:?}"), format!("{:?}", Masters::open(&variable).unwrap())] {
        assert!(shown.contains(made.current().as_str()) && !shown.contains(&digits), "{shown}");
    }
}

#[test]
fn a_file_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    Masters::create(&file(&path)).unwrap();
    for loose in [0o640, 0o604, 0o620, 0o601, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(loose)).unwrap();
        let fault = fault(Masters::open(&file(&path)));
        assert!(fault.contains(&format!("chmod 600 '{}'", path.display())), "{fault}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    Masters::open(&file(&path)).unwrap();
}

#[test]
fn what_is_no_list_of_keys_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    Masters::create(&file(&path)).unwrap();
    let good = fs::read(&path).unwrap();
    let cut = &good[..60];
    for bad in [&b""[..], b"\n", cut, b"mk_0123456789abcdef", &[b'x'; 9000], &[0xff; 80]] {
        fs::write(&path, bad).unwrap();
        let fault = fault(Masters::open(&file(&path)));
        assert!(fault.contains("master.key"), "{fault}");
    }
    assert!(fault(Masters::open(&file(dir.path()))).contains("not a regular file"));
}

#[test]
fn a_rotated_key_wraps_and_the_earlier_one_opens_until_it_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    let mut masters = Masters::create(&file(&path)).unwrap();
    let first = masters.current().clone();
    let old = masters.wrap(&key(1), PLACE).unwrap();
    let second = masters.rotate().unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(masters.ids(), [second.clone(), first.clone()]);
    let new = masters.wrap(&key(2), PLACE).unwrap();
    let mut opened = Masters::open(&file(&path)).unwrap();
    assert_eq!(opened.ids(), masters.ids());
    assert_eq!(opened.unwrap(first.as_str(), &old, PLACE).unwrap(), key(1));
    assert_eq!(opened.unwrap(second.as_str(), &new, PLACE).unwrap(), key(2));
    // A row that names another key than the blob does was changed.
    assert!(matches!(opened.unwrap(first.as_str(), &new, PLACE), Err(CustodyFault::DoesNotOpen)));
    assert!(opened.remove(second.as_str()).unwrap_err().to_string().contains("rotate and rewrap"));
    assert!(matches!(opened.remove("mk_other"), Err(CustodyFault::Missing(_))));
    opened.remove(first.as_str()).unwrap();
    assert_eq!(Masters::open(&file(&path)).unwrap().ids(), std::slice::from_ref(&second));
    masters.refresh().unwrap();
    assert!(matches!(masters.unwrap(first.as_str(), &old, PLACE), Err(CustodyFault::Missing(_))));
}

#[test]
fn rotations_at_once_lose_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    let mut all = vec![Masters::create(&file(&path)).unwrap().current().clone()];
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        let rotate = || {
            let mut masters = Masters::open(&file(&path)).unwrap();
            barrier.wait();
            masters.rotate().unwrap()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(rotate)).collect();
        all.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    });
    let mut found = Masters::open(&file(&path)).unwrap().ids();
    found.sort();
    all.sort();
    assert_eq!(found, all);
}

#[test]
fn another_file_under_the_same_name_is_not_added_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    let mut masters = Masters::create(&file(&path)).unwrap();
    fs::remove_file(&path).unwrap();
    Masters::create(&file(&path)).unwrap();
    assert!(matches!(masters.rotate(), Err(CustodyFault::Missing(_))));
}

#[test]
fn a_rotation_that_was_cut_off_leaves_nothing_in_the_way_and_links_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (path, link) = (dir.path().join("real.key"), dir.path().join("master.key"));
    let mut masters = Masters::create(&file(&path)).unwrap();
    symlink(&path, &link).unwrap();
    fs::write(dir.path().join("real.key.new"), "half a li").unwrap();
    masters.refresh().unwrap();
    let mut by_link = Masters::open(&file(&link)).unwrap();
    let id = by_link.rotate().unwrap();
    assert!(link.is_symlink() && !dir.path().join("real.key.new").exists());
    masters.refresh().unwrap();
    assert_eq!(*masters.current(), id);
    assert!(fault(Masters::create(&file(&link))).contains("never overwritten"));
}

#[test]
fn the_environment_is_read_and_cannot_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.key");
    let mut made = Masters::create(&file(&path)).unwrap();
    made.rotate().unwrap();
    let blob = made.wrap(&key(3), PLACE).unwrap();
    let text = Secret::new(fs::read(&path).unwrap()).unwrap();
    let mut masters = Masters::open(&MasterSource::Environment(text)).unwrap();
    assert_eq!(masters.ids(), made.ids());
    let id = masters.current().clone();
    assert_eq!(masters.unwrap(id.as_str(), &blob, PLACE).unwrap(), key(3));
    assert_eq!(masters.describe(), "environment");
    let refused = masters.rotate().unwrap_err().to_string();
    assert!(refused.contains("set the variable"), "{refused}");
    assert!(masters.remove(id.as_str()).is_err());
}
