//! The file of master keys, whose writer is killed at any moment.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use countersign::custody::{KeyBytes, MasterSource, Masters};

use crate::place::Place;

const KEK: &[u8] = b"keks 1";

fn source(place: &Place) -> MasterSource {
    MasterSource::File(place.path("master.key"))
}

/// Whenever its writer ends, the file opens and has every key that was said to be made, and that
/// nobody was about to remove.
pub(crate) fn killed(place: &Place) {
    let first = Masters::create(&source(place)).unwrap();
    let blob = first.wrap(&KeyBytes::new([7; 32]), KEK).unwrap();
    let first = first.current().to_string();
    let mut kept = BTreeSet::from([first.clone()]);
    let mut said = 0;
    for round in 0..60 {
        let mut writer = place.process("rotate_and_remove_for_ever");
        let mut writer = writer.stdout(Stdio::piped()).spawn().unwrap();
        // From before it has begun to the midst of its work; the moment itself is chance.
        std::thread::sleep(Duration::from_micros(2_000 + 700 * round));
        writer.kill().unwrap();
        let output = String::from_utf8(writer.wait_with_output().unwrap().stdout).unwrap();
        for line in output.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            said += 1;
            match line.split_at(1) {
                ("+", id) => kept.insert(id.to_owned()),
                (_, id) => kept.remove(id),
            };
        }
        let masters = Masters::open(&source(place)).unwrap();
        let ids: BTreeSet<String> = masters.ids().iter().map(ToString::to_string).collect();
        assert!(kept.is_subset(&ids), "round {round}: {kept:?} are not all in {ids:?}");
        assert_eq!(*masters.unwrap(&first, &blob, KEK).unwrap(), [7; 32]);
    }
    // Otherwise the writer never came to its work.
    assert!(said > 60, "{said}");
    Masters::open(&source(place)).unwrap().rotate().unwrap();
    let left = fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(!left.into_iter().any(|name| name == "master.key.new"));
}

/// Keeps the oldest key and the newest.
pub(crate) fn rotate_and_remove_for_ever(place: &Place) {
    let mut masters = Masters::open(&source(place)).unwrap();
    loop {
        let made = masters.rotate().unwrap();
        println!("+{made}");
        if let [_, between @ .., _] = masters.ids().as_slice() {
            for id in between {
                println!("-{id}");
                masters.remove(id.as_str()).unwrap();
            }
        }
    }
}
