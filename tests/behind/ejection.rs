//! Addresses that keep failing are left out for a while, not all of them, and come back.

use std::time::Duration;

use crate::kit::{closed, gate, get, load, of, post, services, setup, sorted};
use crate::proxy::{Fault, Proxy};
use crate::support::gateway::Gateway;
use crate::support::upstream::{Step, answer, own_target};
use crate::support::wait_until;

const EJECTED: &str = "countersign_upstream_ejected";
const FAILURES: &str = "countersign_upstream_failures_total";

/// Rows 83 and 85, under load: whatever an address does, it does it to a few requests only.
#[test]
fn whatever_an_address_does_it_does_it_to_few_requests() {
    for (fault, code) in [
        (Fault::Drop, "upstream_broke"),
        (Fault::Reset, "upstream_broke"),
        (Fault::HalfClose, "upstream_broke"),
        (Fault::Garbage, "upstream_broke"),
        (Fault::Blackhole, "upstream_timed_out"),
        (Fault::Delay(Duration::from_secs(2)), "upstream_timed_out"),
    ] {
        let services = services::<3>();
        let proxy = Proxy::before(services[0].address);
        let addresses = [proxy.address, services[1].address, services[2].address];
        let more = "ejection = { failures = 3, for = \"60s\" }\ndeadlines.response = \"300ms\"";
        let gateway = gate(&addresses, more);
        assert_eq!(sorted(&load(&gateway, 4, 10, post)).0, 40, "{fault:?}");
        proxy.fail(fault);
        let (good, bad) = sorted(&load(&gateway, 8, 40, post));
        // Those that were on their way when the third failed; a connection that was kept and is
        // dead by now is nobody's failure.
        assert!(bad.len() <= 3 + 8, "{fault:?}: {bad:?}");
        assert_eq!(good + bad.len(), 320);
        for (own, forwarded) in &bad {
            assert_eq!((&**own, &**forwarded), (code, "maybe"), "{fault:?}");
        }
        assert_eq!(gateway.metric(EJECTED, &[&of(proxy.address)]), 1.0, "{fault:?}");
        assert_eq!(gateway.metric(EJECTED, &["upstream=\"many\""]), 1.0, "{fault:?}");
        let (again, bad) = sorted(&load(&gateway, 4, 20, post));
        assert_eq!((again, bad.len()), (80, 0), "{fault:?}");
        wait_until("the log line", || gateway.log().contains("upstream_ejected"));
    }
}

/// Statuses count where configuration says so, and only those.
#[test]
fn statuses_count_by_choice() {
    for (statuses, out) in [("", 0.0), ("statuses = [502, 504]", 0.0), ("statuses = [503]", 1.0)] {
        let services = services::<2>();
        services[0].answer(&answer("503 Service Unavailable", &[], b"no"));
        let comma = if statuses.is_empty() { "" } else { ", " };
        let more = format!("ejection = {{ failures = 2, for = \"60s\"{comma}{statuses} }}");
        let gateway = gate(&services.each_ref().map(|one| one.address), &more);
        let statuses: Vec<u16> =
            load(&gateway, 1, 40, post).iter().map(|answer| answer.status).collect();
        let refused = statuses.iter().filter(|status| **status == 503).count();
        assert_eq!(gateway.metric(EJECTED, &["upstream=\"many\""]), out);
        assert_eq!(refused == 2, out > 0.0, "{refused}");
    }
}

/// One that was left out comes back after its time: on trial, and for good when it does well.
#[test]
fn an_address_comes_back_when_it_does_well_again() {
    let services = services::<2>();
    let proxy = Proxy::before(services[0].address);
    let more = "ejection = { failures = 3, for = \"1200ms\" }";
    let gateway = gate(&[proxy.address, services[1].address], more);
    proxy.fail(Fault::Drop);
    assert_eq!(sorted(&load(&gateway, 1, 40, get)).0, 40);
    let label = of(proxy.address);
    assert_eq!(gateway.metric(FAILURES, &[&label]), 3.0, "then it was left alone");
    wait_until("the log line", || gateway.log().contains("upstream_ejected"));
    // When it comes back it is asked once.
    let mut client = gateway.client();
    wait_until("it to be tried again", || {
        assert_eq!(client.ask(&get(&gateway, 1)).status, 200);
        proxy.taken() >= 4
    });
    assert_eq!(services[0].count(), 0);
    proxy.fail(Fault::None);
    wait_until("it to serve again", || {
        assert_eq!(client.ask(&get(&gateway, 1)).status, 200);
        services[0].count() >= 20
    });
    wait_until("the log line", || gateway.log().contains("upstream_returned"));
    assert_eq!(gateway.metric(EJECTED, &[&label]), 0.0);
}

/// Never all of them: with every address failing, requests still go to those that are left, and
/// are told what came of them.
#[test]
fn not_all_addresses_are_left_out() {
    let services = services::<4>();
    let proxies = services.each_ref().map(|one| Proxy::before(one.address));
    let more = "ejection = { failures = 1, for = \"60s\", at_most = 0.5 }";
    let gateway = gate(&proxies.each_ref().map(|one| one.address), more);
    proxies.iter().for_each(|proxy| proxy.fail(Fault::Reset));
    let (good, bad) = sorted(&load(&gateway, 4, 10, post));
    assert_eq!((good, bad.len()), (0, 40));
    assert_eq!(gateway.metric(EJECTED, &["upstream=\"many\""]), 2.0);
    proxies.iter().for_each(|proxy| proxy.fail(Fault::None));
    assert_eq!(sorted(&load(&gateway, 4, 10, post)).0, 40, "two are left and do well");
    let served = services.iter().filter(|one| one.count() > 0).count();
    assert_eq!(served, 2);
}

/// What is known of an address outlives a reload that leaves it and its settings as they are.
#[test]
fn a_reload_keeps_what_is_known_of_an_address() {
    let services = services::<2>();
    let down = closed();
    let addresses = [down, services[0].address];
    let more = "ejection = { failures = 2, for = \"60s\" }";
    let mut gateway = Gateway::with(setup(&addresses, more));
    assert_eq!(sorted(&load(&gateway, 1, 20, post)).0, 20);
    assert_eq!(gateway.metric(EJECTED, &[&of(down)]), 1.0);
    let opened = services[0].connections();
    gateway.change(|setup| setup.set("listener.connections.total", "5000")).unwrap();
    assert_eq!(sorted(&load(&gateway, 1, 20, post)).0, 20);
    assert_eq!(services[0].connections(), opened, "connections are kept");
    let three = [down, services[0].address, services[1].address];
    let other = crate::kit::many("many", &three, more);
    gateway.change(|setup| setup.upstreams[0] = other).unwrap();
    assert_eq!(gateway.metric(EJECTED, &[&of(down)]), 1.0);
    assert_eq!(sorted(&load(&gateway, 1, 20, post)).0, 20);
    assert_eq!(gateway.metric(FAILURES, &[&of(down)]), 2.0);
    let other = crate::kit::many("many", &three, "");
    gateway.change(|setup| setup.upstreams[0] = other).unwrap();
    assert_eq!(gateway.metric(EJECTED, &["upstream=\"many\""]), 0.0, "no ejection any more");
}

/// A read that an address failed counts against it, though another answered.
#[test]
fn a_read_that_was_saved_counts_as_a_failure() {
    let services = services::<2>();
    let proxy = Proxy::before(services[0].address);
    let more = "ejection = { failures = 3, for = \"60s\" }";
    let gateway = gate(&[proxy.address, services[1].address], more);
    proxy.fail(Fault::Reset);
    assert_eq!(sorted(&load(&gateway, 1, 40, get)).0, 40);
    assert_eq!(gateway.metric(FAILURES, &[&of(proxy.address)]), 3.0);
    assert_eq!(proxy.taken(), 3);
    services[1].answer_with(own_target);
    services[1].answer_with(|_| vec![Step::Close]);
    let refusal = gateway.ask(&get(&gateway, 1)).refusal();
    assert_eq!(refusal.code, "upstream_broke", "sent once more, and not for ever");
}

/// What one core has seen fail, all leave out: three failures are enough for four cores.
#[test]
fn all_cores_leave_out_what_failed() {
    let services = services::<1>();
    let down = closed();
    let more = "ejection = { failures = 3, for = \"60s\" }";
    let setup = setup(&[down, services[0].address], more).with("workers", "4");
    let gateway = Gateway::with(setup);
    for n in 0..80 {
        assert_eq!(gateway.ask(&post(&gateway, n)).status, 200);
    }
    assert_eq!(gateway.metric(FAILURES, &[&of(down)]), 3.0);
    assert_eq!(services[0].count(), 80);
}
