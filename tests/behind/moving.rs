//! A service that moves while the gate serves: its name stands for other addresses from one moment
//! to the next. The gate looks names up as the system does, and the system is asked of a file of
//! the test's own: the gate runs in a mount namespace in which that file is `/etc/hosts`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::kit::BODY;
use crate::support::client::Client;
use crate::support::process::{Process, Site, wall_now};
use crate::support::request::Request;
use crate::support::setup::{Setup, route, v1};
use crate::support::upstream::{Recorded, Step, Upstream, own_target};
use crate::support::wait_until;

const NAME: &str = "moving.test";

/// Two places of one service, on one port.
fn places() -> [Upstream; 2] {
    let first = Upstream::start_at("127.0.0.2:0".parse().unwrap());
    let port = first.address.port();
    let second = Upstream::start_at(([127, 0, 0, 3], port).into());
    second.answer_with(own_target);
    [first, second]
}

/// A gate before whatever the name stands for.
fn site(port: u16) -> Site {
    let mut setup = Setup::new().with("workers", "1");
    let table = format!("[upstreams.many]\nurls = [\"http://{NAME}:{port}\"]\nresolve = \"1s\"\n");
    setup.upstreams.push(table);
    setup.routes.push(route("many", "/v2/many/*", "countersign-v1", "upstream = \"many\""));
    Site::new(setup)
}

fn hosts(site: &Site) -> PathBuf {
    site.folder.path().join("hosts")
}

/// Lets the name stand for these. The file stays the same, since it is mounted.
fn let_it_be(site: &Site, addresses: &[&str]) {
    let lines: String = addresses.iter().map(|one| format!("{one} {NAME}\n")).collect();
    fs::write(hosts(site), format!("127.0.0.1 localhost\n{lines}")).unwrap();
}

/// Serves where names are looked up in the file, and nowhere else.
fn serve(site: &Site) -> Process {
    const THERE: &str = "mount --bind \"$1\" /etc/hosts && mount --bind \"$2\" /etc/resolv.conf && \
                         shift 2 && exec \"$@\"";
    let nobody = site.folder.path().join("resolv.conf");
    fs::write(&nobody, "nameserver 127.254.254.254\noptions timeout:1 attempts:1\n").unwrap();
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    let paths: [&Path; 2] = [&hosts(site), &nobody];
    command.args(["sh", "-c", THERE, "sh"]).args(paths);
    command.args([env!("CARGO_BIN_EXE_countersign"), "serve", "--config", "countersign.toml"]);
    site.run(command)
}

fn post(target: &str) -> Request {
    v1().sign(Request::post(&format!("/v2/many/{target}"), BODY), wall_now())
}

fn lookup_failures(gate: &Process) -> u64 {
    let text = gate.operation("/metrics").text();
    let own = |line: &&str| {
        line.starts_with("countersign_upstream_lookup_failures_total{") && line.contains(NAME)
    };
    text.lines().find(own).unwrap().rsplit_once(' ').unwrap().1.parse().unwrap()
}

/// Asks until told to stop, on connections that are kept. Gives whatever was not answered well.
fn load(gate: &Process, over: &AtomicBool, next: &AtomicUsize) -> Vec<String> {
    let mut bad = Vec::new();
    let mut client = Client::connect(gate.address);
    while !over.load(Ordering::Relaxed) {
        let target = format!("load-{}", next.fetch_add(1, Ordering::Relaxed));
        let answer = client.ask(&post(&target));
        if answer.status != 200 || !answer.text().ends_with(&target) {
            bad.push(answer.text());
        }
        std::thread::sleep(Duration::from_millis(4));
    }
    bad
}

/// Ends the load, also when the test fails.
struct Ending<'o>(&'o AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// An answer whose second half waits.
fn halves(request: &Recorded) -> Vec<Step> {
    if request.target != "/v2/many/under-way" {
        return own_target(request);
    }
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst".to_vec();
    vec![Step::Send(head), Step::Hold, Step::Send(b"-last".to_vec())]
}

/// Requests under way end where they began, new ones go where the name stands now, and while nobody
/// knows where that is, to where it was.
#[test]
fn a_service_that_moves_loses_no_request() {
    let [old, new] = places();
    old.answer_with(halves);
    let site = site(old.address.port());
    let_it_be(&site, &["127.0.0.2"]);
    let gate = serve(&site);
    gate.wait_ready();
    let (over, next) = (AtomicBool::new(false), AtomicUsize::new(0));
    let new_ones = |place: &Upstream| place.count_of(|one| one.target.starts_with("/v2/many/new"));
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..3).map(|_| scope.spawn(|| load(&gate, &over, &next))).collect();
        let ending = Ending(&over);
        let under_way = scope.spawn(|| gate.ask(&post("under-way")));
        let is_there = |one: &Recorded| one.target == "/v2/many/under-way";
        wait_until("it to begin", || old.count_of(is_there) == 1);
        assert_eq!(new.count(), 0);

        let_it_be(&site, &["127.0.0.3"]);
        wait_until("the move", || new.count() > 0);
        (0..20).for_each(|n| assert_eq!(gate.ask(&post(&format!("new-{n}"))).status, 200));
        assert_eq!((new_ones(&old), new_ones(&new)), (0, 20));
        old.release();
        let answer = under_way.join().unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "first-last"));

        // Nobody knows the name any more.
        let_it_be(&site, &[]);
        let before = lookup_failures(&gate);
        wait_until("look-ups to fail", || lookup_failures(&gate) >= before + 2);
        (20..40).for_each(|n| assert_eq!(gate.ask(&post(&format!("new-{n}"))).status, 200));
        assert_eq!((new_ones(&old), new_ones(&new)), (0, 40), "where it was");

        let before = old.count();
        let_it_be(&site, &["127.0.0.2", "127.0.0.3"]);
        wait_until("both", || old.count() > before + 10);
        drop(ending);
        for one in running {
            assert_eq!(one.join().unwrap(), Vec::<String>::new());
        }
    });
    let asked = next.into_inner();
    let forwarded = |place: &Upstream| place.count_of(|one| one.target.contains("/load-"));
    assert_eq!(forwarded(&old) + forwarded(&new), asked, "each once");
}
