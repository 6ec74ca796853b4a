//! Master keys with a real token (SoftHSM 2) and under SIGKILL. Each case runs in a process of its
//! own: a PKCS#11 module is one a process, and SoftHSM reads its settings from the environment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what it expects"
)]

mod file;
mod place;
mod token;

use std::process::ExitCode;

use place::Place;

type Case = (&'static str, fn(&Place));

/// What is proved.
const CASES: &[Case] = &[
    ("a_key_is_made_in_the_token_and_never_leaves_it", token::made),
    ("a_rotated_key_wraps_and_the_earlier_one_opens", token::rotated),
    ("a_wrong_pin_is_told_and_the_right_one_taken", token::pin),
    ("a_token_that_is_not_there_is_named", token::away),
    ("a_lost_session_is_made_again", token::lost),
    ("a_weak_or_doubled_key_is_refused", token::weak),
    ("rotations_at_once_make_different_keys", token::at_once),
    ("a_killed_rotation_loses_no_key", file::killed),
];

/// What cases start as further processes.
const ROLES: &[Case] = &[
    ("open_what_is_there", token::open_what_is_there),
    ("refuse_two_of_one_name", token::refuse_two_of_one_name),
    ("rotate_once", token::rotate_once),
    ("rotate_and_remove_for_ever", file::rotate_and_remove_for_ever),
];

/// Without arguments, or with a part of a name: runs the cases. `--as NAME FOLDER` is one of them.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, name, folder] = arguments.as_slice()
        && role == "--as"
    {
        let case = CASES.iter().chain(ROLES).find(|(own, _)| own == name).unwrap();
        (case.1)(&Place::at(folder.as_ref()));
        return ExitCode::SUCCESS;
    }
    let wanted = arguments.iter().find(|argument| !argument.starts_with('-'));
    let mut failed = 0;
    for (name, _) in CASES.iter().filter(|(name, _)| wanted.is_none_or(|part| name.contains(part)))
    {
        let folder = tempfile::tempdir().unwrap();
        let output = Place::make(folder.path()).process(name).output().unwrap();
        let good = output.status.success();
        println!("test {name} ... {}", if good { "ok" } else { "FAILED" });
        if !good {
            failed += 1;
            print!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
