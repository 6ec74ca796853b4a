//! Which source a request is for, and which of its keys verify.

use crate::clock::Timestamp;
use crate::inbox::source::{SourceKeys, Sources};
use crate::keyring::{Keyring, LIVE_VERSIONS_MAX};
use crate::quota::Quotas;
use crate::replay::Memory;

use super::kit::{OTHER, SECRET, own, profile, source};

fn at(name: &str, path: &str, hosts: &[&str]) -> crate::inbox::source::Source {
    let mut source = source(name, "github", &profile());
    source.path = path.parse().unwrap();
    source.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    source
}

#[test]
fn the_more_telling_path_counts_and_a_host_before_any() {
    let sources = Sources::new(vec![
        at("below", "/hooks/*", &[]),
        at("any", "/hooks/pay", &[]),
        at("own", "/hooks/pay", &["pay.example"]),
        at("deep", "/hooks/pay/*", &[]),
    ]);
    let found = |host: &str, path: &str| sources.find(host, path).map(|one| one.name.to_string());
    assert_eq!(found("pay.example", "/hooks/pay").as_deref(), Some("own"));
    assert_eq!(found("PAY.example", "/hooks/pay").as_deref(), Some("own"));
    assert_eq!(found("gate.example", "/hooks/pay").as_deref(), Some("any"));
    assert_eq!(found("gate.example", "/hooks/pay/7").as_deref(), Some("deep"));
    assert_eq!(found("gate.example", "/hooks/other").as_deref(), Some("below"));
    assert_eq!(found("gate.example", "/v1/orders"), None);
    assert_eq!(sources.named("own").map(|one| &*one.name), Some("own"));
    assert!(Sources::new(Vec::new()).is_empty() && !sources.is_empty());
}

fn nobody() -> Keyring {
    let memory = Memory::without_past(std::num::NonZeroUsize::MIN.saturating_add(1 << 20)).unwrap();
    Keyring::build(Vec::new(), &memory, &Quotas::new()).unwrap()
}

#[test]
fn own_keys_live_within_their_windows_both_ends_included() {
    let (scheme, keyring) = (crate::config::scheme::builtin("github").unwrap(), nobody());
    let SourceKeys::Own(mut keys) = own("github", &[SECRET, OTHER]) else { panic!() };
    keys[0].until = Timestamp::from_secs(200);
    keys[1].from = Timestamp::from_secs(100);
    let keys = SourceKeys::Own(keys);
    let live = |now| {
        let live = keys.live(Timestamp::from_secs(now), &scheme, &keyring);
        live.iter().map(|one| one.number).collect::<Vec<_>>()
    };
    assert_eq!(live(99), [1]);
    assert_eq!(live(100), [1, 2]);
    assert_eq!(live(200), [1, 2]);
    assert_eq!(live(201), [2]);
}

#[test]
fn there_are_never_more_than_are_tried_in_one_request() {
    let (scheme, keyring) = (crate::config::scheme::builtin("github").unwrap(), nobody());
    let keys = own("github", &[SECRET; 9]);
    assert_eq!(keys.live(Timestamp::from_secs(1), &scheme, &keyring).len(), LIVE_VERSIONS_MAX);
}

#[test]
fn a_credential_that_is_nobodys_has_none() {
    let (scheme, keyring) = (crate::config::scheme::builtin("github").unwrap(), nobody());
    let keys = SourceKeys::Credential("pk_live_none".parse().unwrap());
    assert!(keys.live(Timestamp::from_secs(1), &scheme, &keyring).is_empty());
}
