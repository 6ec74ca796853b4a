//! Who in front of the gate is believed.

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::serve::Origins;

/// A folder whose listener has these keys as well.
fn with(keys: &str) -> Folder {
    Folder::with(&change(MAIN, "[listener]\n", &format!("[listener]\n{keys}\n")), MERCHANTS)
}

fn origins(keys: &str) -> Origins {
    with(keys).load().unwrap_or_else(|faults| panic!("{faults}")).0.listener.origins
}

#[test]
fn by_default_nobody_is_believed_and_nothing_listens_in_clear() {
    let listener = Folder::new().load().unwrap().0.listener;
    assert_eq!(listener.origins, Origins::default());
    assert_eq!(listener.redirect, None);
}

#[test]
fn networks_are_those_that_are_named() {
    let ip = |text: &str| text.parse::<IpAddr>().unwrap();
    let found = origins(
        "proxy_protocol = { from = [\"::ffff:10.0.0.0/104\", \"192.0.2.1\"] }\n\
         trusted_proxies = [\"fd00::/8\"]\nredirect = \"[::]:80\"",
    );
    let protocol = found.proxy_protocol.unwrap();
    assert!(protocol.from.contain(ip("10.1.2.3")) && protocol.from.contain(ip("192.0.2.1")));
    assert!(!protocol.from.contain(ip("192.0.2.2")) && !protocol.from.contain(ip("fd00::1")));
    assert_eq!(protocol.deadline, Duration::from_secs(3));
    assert!(found.trusted_proxies.contain(ip("fd12::1")));
    assert!(!found.trusted_proxies.contain(ip("10.1.2.3")));
}

#[test]
fn the_deadline_of_the_header_is_within_that_of_the_handshake() {
    let short = "proxy_protocol = { from = [\"::1\"] }\ndeadlines = { handshake = \"2s\" }";
    assert_eq!(origins(short).proxy_protocol.unwrap().deadline, Duration::from_secs(2));
    let shown = with("proxy_protocol = { from = [\"::1\"], deadline = \"6s\" }").faults();
    let shown = shown.to_string();
    assert!(shown.contains("listener.proxy_protocol.deadline"), "{shown}");
    assert!(shown.contains("listener.deadlines.handshake"), "{shown}");
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (keys, key, words) in [
        ("proxy_protocol = {}", "proxy_protocol.from", "missing"),
        ("proxy_protocol = { from = [] }", "proxy_protocol.from", "no address"),
        ("proxy_protocol = { from = \"10.0.0.1\" }", "proxy_protocol.from", "array"),
        ("proxy_protocol = { from = [\"0.0.0.0/0\"] }", "proxy_protocol.from[0]", "any address"),
        ("proxy_protocol = { from = [\"::1\"], version = 2 }", "version", "unknown key"),
        ("trusted_proxies = [\"::/0\"]", "trusted_proxies[0]", "any address"),
        ("trusted_proxies = [\"10.0.0.1/8\"]", "trusted_proxies[0]", "host bits"),
        ("trusted_proxies = [\"proxy.example\"]", "trusted_proxies[0]", "a network"),
        ("trusted_proxy = [\"::1\"]", "trusted_proxy", "did you mean `trusted_proxies`"),
        ("redirect = 80", "redirect", "a port"),
        ("redirect = \"127.0.0.1:8443\"", "redirect", "listener.address"),
    ] {
        let faults = with(keys).faults();
        let all: Vec<_> = faults.iter().collect();
        assert_eq!(all.len(), 1, "{keys}: {faults}");
        assert!(all[0].key.ends_with(key), "{keys}: {faults}");
        assert!(faults.to_string().contains(words), "{keys}: {faults}");
    }
}

/// What it means to list somebody is said, and loudly where it is nearly everybody.
#[test]
fn who_is_believed_is_said() {
    let notes = |keys: &str| -> Vec<String> {
        let (_, notes) = with(keys).load().unwrap_or_else(|faults| panic!("{faults}"));
        let shown = notes.iter().map(ToString::to_string);
        shown.filter(|note| note.contains("can be any client")).collect()
    };
    assert!(notes("").is_empty());
    let usual = notes(
        "proxy_protocol = { from = [\"10.0.0.0/8\", \"192.0.2.1\"] }\n\
         trusted_proxies = [\"fd00::/8\"]",
    );
    assert_eq!(usual.len(), 2, "{usual:?}");
    assert!(usual.iter().all(|note| note.starts_with("note: listener.")), "{usual:?}");
    assert!(usual[0].contains("10.0.0.0/8, 192.0.2.1 begin every connection"), "{usual:?}");
    let halves = notes("trusted_proxies = [\"0.0.0.0/1\", \"128.0.0.0/1\", \"10.0.0.1\"]");
    let loud = halves.iter().filter(|note| note.starts_with("WARNING: listener.trusted_proxies"));
    assert_eq!(loud.count(), 2, "{halves:?}");
    let mapped = with("trusted_proxies = [\"::ffff:0:0/96\"]").faults().to_string();
    assert!(mapped.contains("any address"), "everybody of IPv4: {mapped}");
}
