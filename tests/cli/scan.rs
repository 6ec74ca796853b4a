//! `countersign scan`: what it finds, what it leaves out, and that it shows no secret.

use std::fs;
use std::os::unix::fs::symlink;

use countersign::custody::{MasterSource, Masters};
use countersign::secret::text as own;

use crate::support::*;

fn shown(secret: &countersign::secret::Secret) -> String {
    String::from_utf8(secret.expose().to_vec()).unwrap()
}

#[test]
fn secrets_in_a_folder_are_found_and_not_shown() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("dir");
    fs::create_dir_all(dir.join("deep/.git")).unwrap();
    let live = shown(&own::secret(true, &[1; 32]));
    let token = shown(&own::api_token(&[2; 32]));
    fs::write(dir.join("settings.php"), format!("<?php\n$key = '{live}';\n")).unwrap();
    fs::write(dir.join("deep/.git/config"), format!("token={token}")).unwrap();
    let mistyped = format!("csh_live_{}", "x".repeat(49));
    fs::write(dir.join("clean"), format!("{mistyped} {}", own::key_id(true, &[1; 10]))).unwrap();
    // A secret outside of it, a link to it, and a long binary are not looked at.
    fs::write(place.path().join("outside"), &live).unwrap();
    symlink(place.path(), dir.join("link")).unwrap();
    symlink(place.path().join("outside"), dir.join("link-to-file")).unwrap();
    let mut binary = vec![0; 9 << 20];
    binary[100..100 + live.len()].copy_from_slice(live.as_bytes());
    fs::write(dir.join("long.bin"), &binary).unwrap();
    fs::write(dir.join("short.bin"), &binary[..1000]).unwrap();
    Masters::create(&MasterSource::File(dir.join("master.key"))).unwrap();

    let output = run(&["scan", path(&dir)]);
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output.stdout);
    let dir_shown = path(&dir);
    for line in [
        &format!("{dir_shown}/deep/.git/config:1:7: an API token, {}…", &token[..12]),
        &format!("{dir_shown}/master.key:1:1: a master key, mk_"),
        &format!("{dir_shown}/settings.php:2:9: a live secret, {}…", &live[..12]),
        &format!("{dir_shown}/short.bin:1:101: a live secret, "),
        "4 found in 5 files.",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let end = |secret: &str| secret[12..].to_owned();
    assert!(!text.contains(&end(&live)) && !text.contains(&end(&token)), "{text}");

    let output = run(&["scan", "--json", path(&dir)]);
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["files"], 5);
    assert_eq!(json["found"].as_array().unwrap().len(), 4);
    assert_eq!(json["found"][2]["line"], 2);
    assert_eq!(json["found"][2]["kind"], "a live secret");
    assert_eq!(json["found"][2]["begins"], live[..12]);
    assert!(!json.to_string().contains(&end(&live)));
}

#[test]
fn a_clean_folder_and_one_that_is_not_there() {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("notes"), "csh_live_ is how they begin\n").unwrap();
    assert_eq!(good(&run(&["scan", path(place.path())])), "Nothing found in 1 files.\n");
    let output = run(&["scan", path(&place.path().join("none"))]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("none: No such file"));
}
