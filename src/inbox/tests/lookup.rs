//! Which source a request is for, and which of its keys verify.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use http::StatusCode;

use crate::clock::Timestamp;
use crate::config::scheme::builtin;
use crate::inbox::source::{Source, SourceKeys, Sources};
use crate::keyring::{
    CredentialSpec, Environment, Keyring, LIVE_VERSIONS_MAX, MerchantSpec, State, VersionSpec,
};
use crate::limit::Rate;
use crate::quota::Quotas;
use crate::replay::Memory;
use crate::secret::{NamedSecrets, Secret};
use crate::telemetry::UsedVersion;

use super::kit::{Desk, OTHER, SECRET, own, profile, source};

fn at(name: &str, path: &str, hosts: &[&str]) -> Source {
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
    let memory = Memory::without_past(NonZeroUsize::MIN.saturating_add(1 << 20)).unwrap();
    Keyring::build(Vec::new(), &memory, &Quotas::new()).unwrap()
}

#[test]
fn own_keys_live_within_their_windows_both_ends_included() {
    let (scheme, keyring) = (builtin("github").unwrap(), nobody());
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
    let (scheme, keyring) = (builtin("github").unwrap(), nobody());
    let keys = own("github", &[SECRET; 9]);
    assert_eq!(keys.live(Timestamp::from_secs(1), &scheme, &keyring).len(), LIVE_VERSIONS_MAX);
}

/// A keyring with one credential of GitHub's scheme, whose second version waits for its first use.
fn somebody(suspended: bool) -> Keyring {
    let scheme = builtin("github").unwrap();
    let version = |number, secret: &[u8], on_first_use| VersionSpec {
        key: scheme.key(&Secret::of_any_length(secret.to_vec()), NamedSecrets::default()).unwrap(),
        number,
        state: if on_first_use { State::Pending } else { State::Active },
        on_first_use,
        until: on_first_use.then_some(Timestamp::MAX),
    };
    let rate = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN };
    let credential = CredentialSpec {
        key_id: "pk_live_1".parse().unwrap(),
        environment: Environment::Live,
        scheme: Arc::clone(&scheme),
        envelope: None,
        answer_key: None,
        rolling: None,
        rate: None,
        addresses: Vec::new(),
        scopes: Vec::new(),
        repeatable_reads: true,
        expires: None,
        suspended,
        versions: vec![version(7, SECRET, false), version(8, OTHER, true)],
    };
    let credentials = vec![credential];
    let merchant = MerchantSpec { id: "acme".into(), rate, addresses: Vec::new(), credentials };
    let memory = Memory::without_past(NonZeroUsize::MIN.saturating_add(1 << 20)).unwrap();
    Keyring::build([merchant], &memory, &Quotas::new()).unwrap()
}

#[test]
fn a_credential_has_the_keys_that_the_keyring_has() {
    let now = Timestamp::from_secs(1);
    let live = |key_id: &str, scheme: &str, keyring: &Keyring| {
        let keys = SourceKeys::Credential(key_id.parse().unwrap());
        let live = keys.live(now, &builtin(scheme).unwrap(), keyring);
        live.iter().map(|one| (one.number, one.pending)).collect::<Vec<_>>()
    };
    assert_eq!(live("pk_live_1", "github", &somebody(false)), [(7, false), (8, true)]);
    assert!(live("pk_live_1", "github", &somebody(true)).is_empty(), "suspended");
    assert!(live("pk_live_1", "stripe", &somebody(false)).is_empty(), "of another scheme");
    assert!(live("pk_live_2", "github", &somebody(false)).is_empty());
    assert!(live("pk_live_1", "github", &nobody()).is_empty());
}

#[tokio::test]
async fn a_version_of_a_credential_that_verifies_a_webhook_is_used() {
    let mut source = source("github", "github", &profile());
    source.keys = SourceKeys::Credential("pk_live_1".parse().unwrap());
    let desk = Desk::new(source);
    desk.inbox.keyring.store(Arc::new(somebody(false)));
    let body = r#"{"order":"A-1","status":"paid"}"#;
    assert_eq!(desk.bring_signed(body, OTHER).await.0, StatusCode::OK);
    let uses = desk.inbox.uses.take();
    let version = UsedVersion { key_id: "pk_live_1".into(), number: 8, pending: true };
    assert_eq!((uses.len(), uses[&version].requests), (1, 1));
    // What the keyring takes out of service verifies nothing from then on.
    desk.inbox.keyring.store(Arc::new(somebody(true)));
    assert_eq!(desk.bring_signed(body, SECRET).await.0, StatusCode::SERVICE_UNAVAILABLE);
}
