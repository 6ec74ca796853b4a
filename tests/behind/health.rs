//! Asking addresses whether they are well, beside the requests.

use std::net::SocketAddr;
use std::time::Duration;

use crate::kit::{closed, gate, get, load, many, of, post, services, setup, sorted};
use crate::proxy::{Fault, Proxy};
use crate::support::gateway::Gateway;
use crate::support::upstream::{Recorded, Step, Upstream, answer, own_target};
use crate::support::wait_until;

const CHECKS: &str = "health = { path = \"/well?by=gate\", every = \"50ms\", within = \"100ms\" }";
const HEALTHY: &str = "countersign_upstream_healthy";

fn is_check(request: &Recorded) -> bool {
    request.target == "/well?by=gate"
}

fn is_request(request: &Recorded) -> bool {
    !is_check(request)
}

/// Answers checks with a status, and all else well.
fn say(service: &Upstream, status: &'static str) {
    service.answer_with(move |request| match is_check(request) {
        true => vec![Step::Send(answer(status, &[], b""))],
        false => own_target(request),
    });
}

fn wait_healthy(gateway: &Gateway, address: SocketAddr, healthy: bool) {
    let now = || gateway.metric(HEALTHY, &[&of(address)]) == f64::from(u8::from(healthy));
    wait_until("health to be known", now);
}

/// An address that says that it is ill gets no requests, until it says otherwise.
#[test]
fn an_address_that_is_ill_gets_no_requests() {
    let services = services::<2>();
    let [ill, well] = services.each_ref();
    [ill, well].into_iter().for_each(|one| say(one, "200 OK"));
    let gateway = gate(&[ill.address, well.address], CHECKS);
    assert_eq!(sorted(&load(&gateway, 2, 20, post)).0, 40);
    assert!(ill.count_of(is_request) > 0);
    for status in ["503 Service Unavailable", "204 No Content", "404 Not Found"] {
        say(ill, status);
        wait_healthy(&gateway, ill.address, false);
        let before = ill.count_of(is_request);
        assert_eq!(sorted(&load(&gateway, 2, 20, post)).0, 40);
        assert_eq!(ill.count_of(is_request), before, "{status}");
        say(ill, "200 OK");
        wait_healthy(&gateway, ill.address, true);
        assert_eq!(sorted(&load(&gateway, 2, 20, post)).0, 40);
        assert!(ill.count_of(is_request) > before);
    }
    for line in ["upstream_unhealthy", "upstream_healthy"] {
        // The log is told once a second; what came and went in between is left out.
        say(ill, if line.contains("un") { "500 No" } else { "200 OK" });
        wait_until("the log line", || gateway.log().contains(line));
    }
}

/// Row 83: whatever a network does to checks, an address is ill by it, within its time.
#[test]
fn an_address_that_does_not_answer_is_ill() {
    let services = services::<2>();
    let proxy = Proxy::before(services[0].address);
    let gateway = gate(&[proxy.address, services[1].address], CHECKS);
    for fault in [
        Fault::Blackhole,
        Fault::Drop,
        Fault::Reset,
        Fault::HalfClose,
        Fault::Garbage,
        Fault::Delay(Duration::from_secs(1)),
    ] {
        proxy.fail(fault);
        wait_healthy(&gateway, proxy.address, false);
        assert_eq!(sorted(&load(&gateway, 1, 10, post)).0, 10, "{fault:?}");
        proxy.fail(Fault::None);
        wait_healthy(&gateway, proxy.address, true);
    }
}

/// Where none is well, requests are told so, and do not leave: nobody has to ask for their status.
#[test]
fn requests_do_not_leave_where_no_address_is_well() {
    for addresses in [1, 2] {
        let services = services::<2>();
        services.iter().for_each(|one| say(one, "503 No"));
        let all = services.each_ref().map(|one| one.address);
        let gateway = gate(&all[..addresses], CHECKS);
        all[..addresses].iter().for_each(|address| wait_healthy(&gateway, *address, false));
        for request in [post(&gateway, 0), get(&gateway, 1)] {
            let refusal = gateway.ask(&request).refusal();
            assert_eq!((&*refusal.code, &*refusal.forwarded), ("upstream_unreachable", "no"));
        }
        assert_eq!(services.iter().map(|one| one.count_of(is_request)).sum::<usize>(), 0);
        // Other services have nothing to do with it.
        let other = crate::support::setup::v1()
            .sign(crate::support::request::Request::get("/v2/x"), gateway.now());
        assert_eq!(gateway.ask(&other).status, 200);
    }
}

/// One that is left out for its failures is better than none that is well; one that is ill is not.
#[test]
fn of_a_bad_and_an_ill_address_the_bad_one_is_asked() {
    let services = services::<2>();
    let [ill, bad] = services.each_ref();
    [ill, bad].into_iter().for_each(|one| say(one, "200 OK"));
    let proxy = Proxy::before(bad.address);
    let more = format!("{CHECKS}\nejection = {{ failures = 1, for = \"60s\" }}");
    let gateway = gate(&[ill.address, proxy.address], &more);
    bad.at_head(|request| is_request(request).then(|| vec![Step::Close]));
    assert_eq!(sorted(&load(&gateway, 1, 20, get)).0, 20);
    let ejected = || gateway.metric("countersign_upstream_ejected", &[&of(proxy.address)]);
    assert_eq!(ejected(), 1.0);
    bad.at_head(|_| None);
    say(ill, "503 No");
    wait_healthy(&gateway, ill.address, false);
    let before = ill.count_of(is_request);
    assert_eq!(sorted(&load(&gateway, 2, 10, post)).0, 20);
    assert_eq!((ill.count_of(is_request), ejected()), (before, 1.0));
}

/// Checks come from one place, whatever number of cores, on connections of their own, and say
/// nothing of anybody.
#[test]
fn checks_come_from_one_place_and_tell_nothing() {
    let [service] = services::<1>();
    let checks = CHECKS.replace("50ms", "400ms");
    let gateway = Gateway::with(setup(&[service.address], &checks).with("workers", "4"));
    assert_eq!(sorted(&load(&gateway, 8, 2, post)).0, 16);
    service.wait_for(16 + 2);
    // As many as the load happened to need, and no more for the checks.
    let connections = || gateway.metric("countersign_upstream_connections", &["many"]);
    let held = connections();
    assert!((1.0..=8.0).contains(&held), "{held}");
    let started = std::time::Instant::now();
    let before = service.count_of(is_check);
    wait_until("more checks", || service.count_of(is_check) >= before + 3);
    assert!(started.elapsed() > Duration::from_millis(600), "{:?}", started.elapsed());
    let check = service.last();
    assert!(is_check(&check), "{check:?}");
    assert_eq!(check.method, "GET");
    assert_eq!(check.value("host"), service.address.to_string());
    let mut names: Vec<&str> = check.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["host", "user-agent"]);
    assert_eq!(connections(), held);
}

/// Checks begin and end with a reload, and their state outlives one that leaves them alone.
#[test]
fn checks_follow_reloads() {
    let services = services::<2>();
    services.iter().for_each(|one| say(one, "200 OK"));
    let addresses = services.each_ref().map(|one| one.address);
    let mut gateway = Gateway::with(setup(&addresses, ""));
    say(&services[0], "503 No");
    assert_eq!(gateway.metric(HEALTHY, &["upstream=\"many\""]), 2.0);
    gateway.change(|setup| setup.upstreams[0] = many("many", &addresses, CHECKS)).unwrap();
    wait_healthy(&gateway, addresses[0], false);
    let three = [addresses[0], addresses[1], closed()];
    gateway.change(|setup| setup.upstreams[0] = many("many", &three, CHECKS)).unwrap();
    assert_eq!(gateway.metric(HEALTHY, &[&of(addresses[0])]), 0.0, "still known");
    wait_healthy(&gateway, three[2], false);
    gateway.change(|setup| setup.upstreams[0] = many("many", &addresses, "")).unwrap();
    assert_eq!(gateway.metric(HEALTHY, &["upstream=\"many\""]), 2.0);
    // One may have been on its way.
    std::thread::sleep(Duration::from_millis(150));
    let checks = services[1].count_of(is_check);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(services[1].count_of(is_check), checks, "nobody checks any more");
}
