//! Names of services that are looked up while the gate serves.

use std::time::Duration;

use crate::kit::{load, post, services, sorted};
use crate::support::gateway::Gateway;
use crate::support::setup::{Setup, route};
use crate::support::wait_until;

fn gate(url: &str, more: &str) -> Gateway {
    let mut setup = Setup::new().with("workers", "1");
    setup.upstreams.push(format!("[upstreams.many]\nurls = [\"{url}\"]\n{more}\n"));
    let to = "upstream = \"many\"";
    setup.routes.push(route("many", "/v2/many/*", "countersign-v1", to));
    Gateway::with(setup)
}

/// A name may stand for several addresses, of which some answer: those of `localhost` are one or
/// two, and the service listens on one. Looking it up again changes nothing.
#[test]
fn a_name_is_every_address_that_it_stands_for() {
    let [service] = services::<1>();
    let url = format!("http://localhost:{}", service.address.port());
    let more = "resolve = \"1s\"\nejection = { failures = 1, for = \"60s\" }";
    let gateway = gate(&url, more);
    let label = format!("address=\"localhost:{}\"", service.address.port());
    assert_eq!(sorted(&load(&gateway, 1, 20, post)).0, 20, "before and after it is known");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(sorted(&load(&gateway, 2, 20, post)).0, 40);
    let connections = service.connections();
    let found = gateway.metric("countersign_upstream_healthy", &[&label]);
    assert!((1.0..=2.0).contains(&found), "{found}");
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(sorted(&load(&gateway, 1, 20, post)).0, 20);
    assert_eq!(service.connections(), connections, "connections outlive a look-up");
    assert_eq!(gateway.metric("countersign_upstream_lookup_failures_total", &[&label]), 0.0);
}

/// Row 83: a name that nobody knows.
#[test]
fn a_name_that_cannot_be_looked_up_is_counted_and_unreachable() {
    let gateway = gate("http://nothing.invalid:80", "resolve = \"1s\"");
    let failures = || gateway.metric("countersign_upstream_lookup_failures_total", &["many"]);
    wait_until("two look-ups to fail", || failures() >= 2.0);
    let refusal = gateway.ask(&post(&gateway, 1)).refusal();
    assert_eq!((&*refusal.code, &*refusal.forwarded), ("upstream_unreachable", "no"));
}
