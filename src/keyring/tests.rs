//! Who is found by which key id.

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroUsize};

use proptest::prelude::*;

use super::credential::KEY_ID_USUAL;
use super::*;
use crate::config::scheme::builtin;
use crate::limit::Rate;
use crate::secret::{NamedSecrets, Secret};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn memory() -> Memory {
    Memory::without_past(NonZeroUsize::MIN.saturating_add(1 << 20)).unwrap()
}

/// A merchant whose credentials have these key ids, each with a secret of its own.
fn merchant<'a>(id: &str, key_ids: impl IntoIterator<Item = &'a String>) -> MerchantSpec {
    let scheme = builtin("countersign-v1").unwrap();
    let credential = |key_id: &String| {
        let secret = Secret::of_any_length(format!("the secret of {key_id}").into_bytes());
        let version = VersionSpec {
            key: scheme.key(&secret, NamedSecrets::default()).unwrap(),
            number: 1,
            state: State::Active,
            on_first_use: false,
            until: None,
        };
        CredentialSpec {
            key_id: key_id.parse().unwrap(),
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
            suspended: false,
            versions: vec![version],
        }
    };
    let rate = Rate { per_second: NonZeroU32::MIN, burst: NonZeroU32::MIN };
    let credentials = key_ids.into_iter().map(credential).collect();
    MerchantSpec { id: id.into(), rate, addresses: Vec::new(), credentials }
}

/// Whether a key id is found, and is the one that was asked for, with its own secret.
fn finds(keyring: &Keyring, key_id: &str) -> bool {
    let scheme = builtin("countersign-v1").unwrap();
    let keys = keyring.verifying_keys(key_id, &scheme, NOW);
    // A keyring without a credential has nothing to hide.
    let few = keyring.is_empty() && keys.as_slice().is_empty();
    assert!(few || keys.as_slice().len() == 1, "as many keys for everybody");
    let Some(found) = keys.credential() else {
        assert_eq!(&*keys.owner().key_id, NOBODY);
        return false;
    };
    let secret = keys.as_slice()[0].secret().expose();
    assert_eq!(secret, format!("the secret of {key_id}").as_bytes());
    assert_eq!((found.key_id(), &*keys.owner().key_id), (key_id, key_id));
    assert_eq!(found.header(), key_id);
    true
}

/// Short ones, such as we make, and around the length from which they lie elsewhere.
fn key_ids() -> impl Strategy<Value = BTreeSet<String>> {
    let lengths =
        prop_oneof![1..4_usize, Just(28), KEY_ID_USUAL - 1..KEY_ID_USUAL + 3, 100..=128_usize];
    let key_id = (lengths, 0..16_u8).prop_map(|(length, bits)| -> String {
        (0..length).map(|at| if bits >> (at % 4) & 1 == 1 { 'a' } else { 'b' }).collect()
    });
    prop::collection::btree_set(key_id, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Each is found and nobody else, also when merchants came, changed and went.
    #[test]
    fn a_key_id_finds_its_credential_and_no_other(
        before in key_ids(), after in key_ids(), strangers in key_ids(),
    ) {
        let (memory, quotas) = (memory(), Quotas::new());
        let (stays, goes) = (&before - &after, &before & &after);
        let specs = [merchant("stays", &stays), merchant("goes", &goes)];
        let keyring = Keyring::build(specs, &memory, &quotas).unwrap();
        prop_assert_eq!(keyring.len(), before.len());
        prop_assert!(before.iter().all(|key_id| finds(&keyring, key_id)));
        let left = strangers.difference(&before).any(|key_id| finds(&keyring, key_id));
        prop_assert!(!left);
        let new = vec![merchant("new", &after)];
        let next = keyring.with(new, &["goes".into()], &memory, &quotas).unwrap();
        let all = &before | &after;
        prop_assert_eq!(next.len(), all.len());
        prop_assert!(all.iter().all(|key_id| finds(&next, key_id)));
        prop_assert!(!strangers.difference(&all).any(|key_id| finds(&next, key_id)));
        let none = next.stated();
        prop_assert!(none.is_empty() && !all.iter().any(|key_id| finds(&none, key_id)));
    }
}

#[test]
fn an_id_that_only_begins_or_ends_alike_is_nobody() {
    let ids = ["pk_live_1".to_owned(), "x".repeat(KEY_ID_USUAL), "x".repeat(128)];
    let keyring = Keyring::build([merchant("acme", &ids)], &memory(), &Quotas::new()).unwrap();
    assert!(ids.iter().all(|key_id| finds(&keyring, key_id)));
    let longer = "x".repeat(KEY_ID_USUAL + 1);
    for other in ["", "pk_live_", "pk_live_11", "k_live_1", "PK_LIVE_1", "pk_live_1\0", &longer] {
        assert!(!finds(&keyring, other), "{other}");
    }
}
