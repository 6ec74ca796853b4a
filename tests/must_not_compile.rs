//! What the types promise, proved by breaking it: copies of the source, each with one edit that
//! leaves a step out, moves one, forges a stage or shows a secret. None of them may compile, each
//! must fail for the reason given, and the copy without an edit must build.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// One edit and how the compiler must answer.
struct Case {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    /// The error's code, and a piece of its message.
    error: &'static str,
    says: &'static str,
}

const ADMISSION: &str = "src/gateway/admission.rs";

const INBOX: &str = "src/inbox.rs";

const FRESHNESS: &str = "let fresh = freshness::check(claimed)?;";
const VERIFIED: &str =
    "let verified = signature::verify(stated, keys, &self.addresses, &self.practice).await?;";
const PERMITTED: &str = "let permitted = permission::check(verified, self.bindings.as_ref())?;";
const PRESENTED: &str = "let presented = message::read(permitted)?;";
const UNSEEN: &str = "let unseen = replay::claim(&self.memory, presented).await?;";
const GRANTED: &str = "let granted = quota::spend(unseen)?;";
const UNROLLED: &str = "let unrolled = rolling::open(granted, &self.roll, slot)?;";
const OPENED: &str = "let opened = opening::open(unrolled).await?;";
const RESERVED: &str = "orders::reserve(opened).await";

const CASES: &[Case] = &[
    Case {
        name: "skip freshness",
        file: ADMISSION,
        from: FRESHNESS,
        to: "let fresh = claimed;",
        error: "E0308",
        says: "expected `Fresh`, found `Claimed`",
    },
    Case {
        name: "skip the claims of the body",
        file: ADMISSION,
        from: "let stated = stated::read(received)?;",
        to: "let stated = received;",
        error: "E0308",
        says: "expected `Stated`, found `Received`",
    },
    Case {
        name: "skip the signature",
        file: ADMISSION,
        from: VERIFIED,
        to: "let verified = stated;",
        error: "E0308",
        says: "expected `Verified`, found `Stated`",
    },
    Case {
        name: "skip permission",
        file: ADMISSION,
        from: PERMITTED,
        to: "let permitted = verified;",
        error: "E0308",
        says: "expected `Permitted`, found `Verified`",
    },
    Case {
        name: "skip replay",
        file: ADMISSION,
        from: UNSEEN,
        to: "let unseen = presented;",
        error: "E0308",
        says: "found `Presented`",
    },
    Case {
        name: "skip what is sealed before the claim",
        file: ADMISSION,
        from: PRESENTED,
        to: "let presented = permitted;",
        error: "E0308",
        says: "expected `Presented`, found `Permitted`",
    },
    Case {
        name: "skip rolling keys",
        file: ADMISSION,
        from: UNROLLED,
        to: "let unrolled = granted;",
        error: "E0308",
        says: "expected `Unrolled`, found `Granted`",
    },
    Case {
        name: "skip the quota",
        file: ADMISSION,
        from: "rolling::open(granted, &self.roll, slot)?;",
        to: "rolling::open(unseen, &self.roll, slot)?;",
        error: "E0308",
        says: "expected `Granted`, found `Unseen",
    },
    Case {
        name: "skip the opening",
        file: ADMISSION,
        from: OPENED,
        to: "let opened = unrolled;",
        error: "E0308",
        says: "expected `Readable`, found `Unrolled`",
    },
    Case {
        name: "skip the orders",
        file: ADMISSION,
        from: RESERVED,
        to: "Ok(opened)",
        error: "E0308",
        says: "expected `Admitted`, found `Readable`",
    },
    Case {
        name: "swap quota and replay",
        file: ADMISSION,
        from: "replay::claim(&self.memory, presented)",
        to: "replay::claim(&self.memory, quota::spend(presented)?)",
        error: "E0308",
        says: "found `Presented`",
    },
    Case {
        name: "take a step twice",
        file: ADMISSION,
        from: GRANTED,
        to: "let granted = quota::spend(unseen)?; let _ = quota::spend(unseen)?;",
        error: "E0382",
        says: "use of moved value: `unseen`",
    },
    Case {
        name: "forge what is admitted",
        file: ADMISSION,
        from: RESERVED,
        to: "Ok(Admitted { readable: opened, noted: None })",
        error: "E0451",
        says: "fields `readable` and `noted` of struct `Admitted` are private",
    },
    Case {
        name: "forge a stage in the middle",
        file: ADMISSION,
        from: PERMITTED,
        to: "let permitted = permission::Permitted { verified };",
        error: "E0451",
        says: "field `verified` of struct `Permitted` is private",
    },
    Case {
        name: "clone a stage",
        file: ADMISSION,
        from: PERMITTED,
        to: "let twin = signature::Verified::clone(&verified);\n\
             let permitted = permission::check(twin, self.bindings.as_ref())?;",
        error: "E0277",
        says: "signature::Verified: Clone` is not satisfied",
    },
    Case {
        name: "drop what a step returned",
        file: ADMISSION,
        from: GRANTED,
        to: "quota::spend(unseen)?; let granted = loop {};",
        error: "unused",
        says: "unused `Granted` that must be used",
    },
    Case {
        name: "forge what is observed",
        file: ADMISSION,
        from: RESERVED,
        to: "let _ = observed::Observed { routed: loop {}, body: loop {}, verdict: loop {} }; \
             orders::reserve(opened).await",
        error: "E0451",
        says: "fields `routed`, `body` and `verdict` of struct `Observed` are private",
    },
    Case {
        name: "observe what was not let in",
        file: ADMISSION,
        from: "let routed = routing::find(self, entered)?;",
        to: "return Err(observed::stop(entered, crate::gateway::rejection::Rejection::NoRoute)); \
             let routed = loop {};",
        error: "E0277",
        says: "Entered: Refusable` is not satisfied",
    },
    Case {
        name: "forward what is observed as admitted",
        file: "src/gateway.rs",
        from: "self.forwarder.forward_observed(*observed)",
        to: "self.forwarder.forward(*observed)",
        error: "E0308",
        says: "expected `Admitted`, found `Observed`",
    },
    Case {
        name: "forward what is rejected as observed",
        file: "src/gateway.rs",
        from: "Err(Refused::Rejected(rejection)) => Outcome::from(rejection),",
        to: "Err(Refused::Rejected(rejection)) => {
            Outcome::observed(self.forwarder.forward_observed(rejection).await)
        }",
        error: "E0308",
        says: "expected `Observed`, found `Rejection`",
    },
    Case {
        name: "forward twice what is observed",
        file: "src/gateway.rs",
        from: "Outcome::observed(self.forwarder.forward_observed(*observed).await)",
        to: "let _ = self.forwarder.forward_observed(*observed).await;
                Outcome::observed(self.forwarder.forward_observed(*observed).await)",
        error: "E0382",
        says: "use of moved value: `*observed`",
    },
    Case {
        name: "forward raw bytes",
        file: "src/gateway.rs",
        from: "self.forwarder.forward(admitted)",
        to: "self.forwarder.forward(bytes::Bytes::new())",
        error: "E0308",
        says: "expected `Admitted`, found `Bytes`",
    },
    Case {
        name: "forward twice",
        file: "src/gateway.rs",
        from: "Ok(admitted) => Outcome::from(self.forwarder.forward(admitted).await)",
        to: "Ok(admitted) => { let _ = self.forwarder.forward(admitted).await; \
             Outcome::from(self.forwarder.forward(admitted).await) }",
        error: "E0382",
        says: "use of moved value: `admitted`",
    },
    Case {
        name: "keep a webhook whose time was not looked at",
        file: INBOX,
        from: "let fresh = freshness::check(stated)?;",
        to: "let fresh = stated;",
        error: "E0308",
        says: "expected `Fresh<'_>`, found `Stated<'_>`",
    },
    Case {
        name: "keep a webhook that was not verified",
        file: INBOX,
        from: "let told = visit.told(shape::read(verified))?;",
        to: "let told = visit.told(shape::read(fresh))?;",
        error: "E0308",
        says: "expected `Verified<'_>`, found `Fresh<'_>`",
    },
    Case {
        name: "keep a webhook whose shape was not looked at",
        file: INBOX,
        from: "keeping::keep(told, &self.journal)",
        to: "keeping::keep(verified, &self.journal)",
        error: "E0308",
        says: "expected `Told<'_>`, found `Verified<'_>`",
    },
    Case {
        name: "forge the proof of a webhook",
        file: INBOX,
        from: "visit.verified(&verified);",
        to: "let verified = verification::Verified { fresh: loop {}, by: None, content: [0; 32] };",
        error: "E0451",
        says: "fields `fresh`, `by` and `content` of struct `inbox::verification::Verified`",
    },
    Case {
        name: "print a secret",
        file: "src/scheme/key.rs",
        from: "let nothing = nothing(&headers, &values);",
        to: "let nothing = nothing(&headers, &values); let _ = format!(\"{secret}\");",
        error: "E0277",
        says: "Secret` doesn't implement `std::fmt::Display`",
    },
    Case {
        name: "compare secrets in plain",
        file: "src/scheme/key.rs",
        from: "let nothing = nothing(&headers, &values);",
        to: "let nothing = nothing(&headers, &values); let _ = secret == secret;",
        error: "E0369",
        says: "binary operation `==` cannot be applied to type",
    },
];

/// The copy that is edited; always at one place, so that the compiler can go on from what it knows.
fn copy_of_the_source() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let copy = root.join("target/must-not-compile/source");
    if copy.exists() {
        fs::remove_dir_all(&copy).unwrap();
    }
    fs::create_dir_all(&copy).unwrap();
    for name in ["Cargo.toml", "Cargo.lock", "clippy.toml"] {
        fs::copy(root.join(name), copy.join(name)).unwrap();
    }
    for name in ["src", "tests", "benches", "config", "docs"] {
        copy_folder(&root.join(name), &copy.join(name));
    }
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Whether the library builds, and what the compiler said.
fn check(copy: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO"))
        .args(["check", "--lib", "--offline", "--quiet", "--color=never"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", copy.with_file_name("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

#[test]
fn no_step_can_be_skipped_moved_forged_or_doubled() {
    let copy = copy_of_the_source();
    let (builds, said) = check(&copy);
    assert!(builds, "the copy without an edit must build:\n{said}");
    let mut faults = Vec::new();
    for case in CASES {
        let path = copy.join(case.file);
        let original = fs::read_to_string(&path).unwrap();
        if original.matches(case.from).count() != 1 {
            faults.push(format!("{}: not once in {}: {}", case.name, case.file, case.from));
            continue;
        }
        fs::write(&path, original.replace(case.from, case.to)).unwrap();
        let (builds, said) = check(&copy);
        fs::write(&path, original).unwrap();
        let right = said.contains(case.error) && said.contains(case.says);
        if builds || !right {
            faults.push(format!("{}: builds: {builds}, said:\n{said}", case.name));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
    let (builds, said) = check(&copy);
    assert!(builds, "the copy must build again:\n{said}");
}
