//! Requests to several addresses of one service: spread, moved on, never doubled.

use std::time::Duration;

use crate::kit::{closed, gate, get, load, post, services, setup, sorted};
use crate::proxy::{Fault, Proxy};
use crate::support::gateway::Gateway;
use crate::support::upstream::{Step, own_target};
use crate::support::wait_until;

/// Every address has its share, over both protocols of clients.
#[test]
fn requests_are_spread_over_all_addresses() {
    let services = services::<3>();
    let gateway = gate(&services.each_ref().map(|one| one.address), "");
    let mut client = gateway.client();
    for n in 0..240 {
        assert_eq!(client.ask(&post(&gateway, n)).text(), format!("/v2/many/{n}"));
    }
    let requests: Vec<_> = (240..480).map(|n| get(&gateway, n)).collect();
    for (n, answer) in gateway.http2().ask_all(&requests).into_iter().enumerate() {
        assert_eq!(answer.unwrap().text(), format!("/v2/many/{}", n + 240));
    }
    let counts = services.each_ref().map(|one| one.count());
    assert_eq!(counts.iter().sum::<usize>(), 480);
    assert!(counts.iter().all(|count| *count > 80), "{counts:?}");
}

/// Under load the slow one of three gets less, because what it has stays with it.
#[test]
fn a_slow_address_gets_fewer_requests() {
    let services = services::<3>();
    services[0].answer_with(|request| {
        [vec![Step::Pause(Duration::from_millis(40))], own_target(request)].concat()
    });
    let gateway = gate(&services.each_ref().map(|one| one.address), "");
    let (good, bad) = sorted(&load(&gateway, 12, 40, post));
    assert_eq!((good, bad), (480, Vec::new()));
    let counts = services.each_ref().map(|one| one.count());
    assert!(counts[0] * 2 < counts[1] && counts[0] * 2 < counts[2], "{counts:?}");
}

/// Row 83: nothing has left while no connection stands, so another address may have it. No request
/// pays for an address that is down, and none comes twice.
#[test]
fn an_address_that_takes_no_connection_costs_no_request() {
    let services = services::<1>();
    let gateway = gate(&[closed(), services[0].address, closed()], "");
    let (good, bad) = sorted(&load(&gateway, 6, 20, post));
    assert_eq!((good, bad.len()), (120, 0), "{bad:?}");
    assert_eq!(services[0].count(), 120);
}

/// Row 83: where no address takes a connection, that is told, and nothing has left.
#[test]
fn a_service_without_any_address_that_answers_is_unreachable() {
    let gateway = gate(&[closed(), closed(), closed(), closed()], "");
    for request in [post(&gateway, 0), get(&gateway, 1)] {
        let refusal = gateway.ask(&request).refusal();
        assert_eq!((&*refusal.code, &*refusal.forwarded), ("upstream_unreachable", "no"));
    }
}

/// Row 87: a read that broke off goes to another address, once. A change does not.
#[test]
fn a_read_is_sent_to_another_address_and_a_change_is_not() {
    for fault in [Fault::Reset, Fault::HalfClose, Fault::Garbage] {
        let services = services::<2>();
        let proxy = Proxy::before(services[0].address);
        let gateway = gate(&[proxy.address, services[1].address], "");
        proxy.fail(fault);
        for n in 0..40 {
            assert_eq!(gateway.ask(&get(&gateway, n)).text(), format!("/v2/many/{n}"), "{fault:?}");
        }
        let seen = services[1].count();
        assert_eq!(seen, 40, "{fault:?}");
        let (good, bad) = sorted(&load(&gateway, 4, 20, post));
        assert!(!bad.is_empty(), "{fault:?}: the faulty address was asked");
        for (code, forwarded) in &bad {
            assert_eq!((&**code, &**forwarded), ("upstream_broke", "maybe"), "{fault:?}");
        }
        assert_eq!(services[1].count() - seen, good, "{fault:?}: what broke off was sent once");
    }
}

/// Row 83: what was sent and not answered is not sent to anybody else.
#[test]
fn a_request_that_timed_out_is_not_sent_again() {
    let services = services::<2>();
    let proxy = Proxy::before(services[0].address);
    let addresses = [proxy.address, services[1].address];
    let gateway = gate(&addresses, "deadlines.response = \"150ms\"");
    proxy.fail(Fault::Blackhole);
    let (good, bad) = sorted(&load(&gateway, 4, 4, get));
    for (code, forwarded) in &bad {
        assert_eq!((&**code, &**forwarded), ("upstream_timed_out", "maybe"));
    }
    assert!(!bad.is_empty());
    assert_eq!(services[1].count(), good);
}

/// Row 84: an answer that is cut stays cut, whatever other addresses there are.
#[test]
fn an_answer_that_is_cut_is_not_asked_for_again() {
    let services = services::<2>();
    let proxies = services.each_ref().map(|one| Proxy::before(one.address));
    let gateway = gate(&proxies.each_ref().map(|one| one.address), "");
    proxies.iter().for_each(|proxy| proxy.fail(Fault::Cut));
    for n in 0..6 {
        let mut client = gateway.client();
        client.send(get(&gateway, n).h1());
        client.try_answer("GET").expect_err("a whole answer");
    }
    assert_eq!(services.iter().map(|one| one.count()).sum::<usize>(), 6);
}

/// Several addresses share the cap of connections.
#[test]
fn connections_are_capped_over_all_addresses() {
    let services = services::<3>();
    let gateway = gate(&services.each_ref().map(|one| one.address), "connections = 4");
    let open = || services.iter().map(|one| one.open_connections()).sum::<usize>();
    for round in 0..20 {
        let requests: Vec<_> = (0..12).map(|n| get(&gateway, round * 12 + n)).collect();
        for answer in gateway.http2().ask_all(&requests) {
            assert_eq!(answer.unwrap().status, 200);
        }
        wait_until("connections that were too many to end", || open() <= 4);
    }
}

/// A reload that adds an address, takes one away, and leaves the rest.
#[test]
fn addresses_change_with_a_reload() {
    let services = services::<3>();
    let addresses = services.each_ref().map(|one| one.address);
    let mut gateway = Gateway::with(setup(&addresses[..2], ""));
    let ask = |gateway: &Gateway, count: usize| {
        let before = services.each_ref().map(|one| one.count());
        assert_eq!(sorted(&load(gateway, 2, count / 2, post)).0, count);
        std::array::from_fn::<_, 3, _>(|n| services[n].count() - before[n])
    };
    let [first, second, third] = ask(&gateway, 60);
    assert!(first > 0 && second > 0 && third == 0);
    let other = crate::kit::many("many", &addresses[1..], "");
    gateway.change(|setup| setup.upstreams[0] = other).unwrap();
    let [first, second, third] = ask(&gateway, 60);
    assert!(first == 0 && second > 0 && third > 0);
    services[0].wait_open(0);
}
