//! A disk that is full, and one that does not write: no acknowledgement, nothing remembered, and
//! everything as before once it is over.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::kit::Plan;
use super::provider::{STRIPE, stripe, stripe_event};
use super::support::process::{Process, Site, wall_now};

const PATH: &str = "/webhooks/stripe";

fn site() -> (Plan, Site) {
    let mut plan = Plan::new().stripe(&["stripe"], "");
    plan.write();
    let site = Site::new(plan.setup.clone());
    (plan, site)
}

fn send(process: &Process, id: &str, pad: usize) -> u16 {
    let body = format!("{{\"id\":\"{id}\",\"pad\":\"{}\"}}", "x".repeat(pad));
    process.ask(&stripe(PATH, &body, wall_now(), &[STRIPE])).status
}

fn settles(what: &str, mut good: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !good() {
        assert!(Instant::now() < until, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The program in a name space of its own, where its state folder is a small file system in memory.
fn in_small_folder(site: &Site) -> Process {
    let state = site.folder.path().join("state");
    let moved = site.folder.path().join("moved");
    let _ = std::fs::create_dir(&moved);
    let gate = env!("CARGO_BIN_EXE_countersign");
    let script = format!(
        "set -e; cp -a {state}/. {moved}/; mount -t tmpfs -o size=6m,mode=700 none {state}; \
         cp -a {moved}/. {state}/; exec {gate} serve --config countersign.toml",
        state = state.display(),
        moved = moved.display()
    );
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", &script]);
    site.run(command)
}

/// Row 92.
#[test]
fn a_full_disk_acknowledges_nothing_and_recovers() {
    let (plan, site) = site();
    plan.shop.answer_with(|_| super::kit::status("500 Internal Server Error"));
    let process = in_small_folder(&site);
    let mut stored = Vec::new();
    let mut refused = None;
    for number in 0..200 {
        let id = format!("evt_{number}");
        match send(&process, &id, 60_000) {
            200 => stored.push(id),
            503 => {
                refused = Some(id);
                break;
            }
            other => panic!("{other} for {id}"),
        }
    }
    let refused = refused.expect("the disk gets full");
    assert!(stored.len() > 10, "{stored:?}");
    // It goes on answering, and says why.
    assert_eq!(send(&process, &refused, 60_000), 503);
    assert_eq!(process.operation("/healthz").status, 200);
    settles("the log to say so", || process.output().contains("journal_failing"));
    // Room again: seen from inside of the name space.
    let root = PathBuf::from(format!("/proc/{}/root", process.id()));
    let inside = root.join(site.folder.path().join("state").strip_prefix("/").unwrap());
    let remount = Command::new("nsenter")
        .args(["--user", "--mount", "--preserve-credentials", "--target"])
        .arg(process.id().to_string())
        .args(["mount", "-o", "remount,size=60m"])
        .arg(site.folder.path().join("state"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(remount.status.success(), "{}", String::from_utf8_lossy(&remount.stderr));
    assert!(inside.join("inbox.db").exists());
    settles("room", || send(&process, &refused, 60_000) == 200);
    // It was not remembered as a repetition: it is delivered with all the others.
    plan.shop.answer_with(|_| super::kit::status("200 OK"));
    let expected = stored.len() + 1;
    settles("every delivery", || {
        let good = std::sync::Mutex::new(std::collections::BTreeSet::new());
        plan.shop.count_of(|call| {
            let body: serde_json::Value = serde_json::from_slice(&call.body).unwrap();
            good.lock().unwrap().insert(body["id"].as_str().unwrap().to_owned());
            true
        });
        good.into_inner().unwrap().len() >= expected
    });
}

/// A library that makes `fsync` and `fdatasync` of the journal fail while a file is there.
fn faulty_sync(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("faulty.c"), folder.join("faulty.so"));
    let text = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int broken(int fd) {
    char link[64], path[4096];
    const char *flag = getenv("FAULTY_SYNC");
    if (!flag || access(flag, F_OK) != 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strstr(path, "inbox.db") != NULL;
}
int fsync(int fd) {
    if (broken(fd)) { errno = EIO; return -1; }
    return ((int (*)(int)) dlsym(RTLD_NEXT, "fsync"))(fd);
}
int fdatasync(int fd) {
    if (broken(fd)) { errno = EIO; return -1; }
    return ((int (*)(int)) dlsym(RTLD_NEXT, "fdatasync"))(fd);
}
"#;
    std::fs::write(&source, text).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
    let output = compiler.output().expect("a C compiler");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library
}

/// Row 92.
#[test]
fn a_disk_that_does_not_write_acknowledges_nothing_and_recovers() {
    let (plan, site) = site();
    let folder = site.folder.path();
    let (library, flag) = (faulty_sync(folder), folder.join("broken"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["serve", "--config", "countersign.toml"]);
    command.env("LD_PRELOAD", &library).env("FAULTY_SYNC", &flag);
    let process = site.run(command);
    assert_eq!(send(&process, "evt_1", 10), 200);
    plan.shop.wait_for(1);
    std::fs::write(&flag, "").unwrap();
    for number in 2..12 {
        assert_eq!(send(&process, &format!("evt_{number}"), 10), 503);
    }
    // Nothing of these is delivered: nothing of these was promised to be kept.
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(plan.shop.count(), 1);
    std::fs::remove_file(&flag).unwrap();
    settles("a disk that writes", || send(&process, "evt_2", 10) == 200);
    for number in 3..12 {
        assert_eq!(send(&process, &format!("evt_{number}"), 10), 200);
    }
    plan.shop.wait_for(11);
    assert_eq!(
        process.ask(&stripe(PATH, &stripe_event("evt_13"), wall_now(), &[STRIPE])).status,
        200
    );
}
