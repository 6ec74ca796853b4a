//! Random sequences of changes: a store that is opened again is what a simple model says.

use std::collections::BTreeMap;

use countersign::store::row::*;
use countersign::store::{Store, StoreFault};
use proptest::prelude::*;

use crate::support::*;

#[derive(Clone, Debug)]
enum Step {
    AddMerchant(u8),
    SetMerchant(u8, MerchantStatus),
    AddCredential(u8, u8),
    Suspend(u8, bool),
    AddVersion { credential: u8, number: u32, state: VersionState, secret: u8 },
    SetVersion { credential: u8, number: u32, state: VersionState },
    PutPolicy(u8, u64),
    RemovePolicy(u8),
    RotateKek,
    Rewrap,
    Reopen,
}

fn state() -> impl Strategy<Value = VersionState> {
    prop_oneof![
        Just(VersionState::Pending),
        Just(VersionState::Active),
        Just(VersionState::Retiring),
        Just(VersionState::Suspended),
        Just(VersionState::Revoked),
        Just(VersionState::Destroyed),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0..3_u8;
    let status = prop_oneof![
        4 => Just(MerchantStatus::Active),
        4 => Just(MerchantStatus::Suspended),
        1 => Just(MerchantStatus::Closed),
    ];
    prop_oneof![
        3 => id.clone().prop_map(Step::AddMerchant),
        1 => (id.clone(), status).prop_map(|(id, status)| Step::SetMerchant(id, status)),
        3 => (id.clone(), id.clone()).prop_map(|(own, id)| Step::AddCredential(own, id)),
        1 => (id.clone(), any::<bool>()).prop_map(|(id, on)| Step::Suspend(id, on)),
        6 => (id.clone(), 1..4_u32, state(), 0..12_u8).prop_map(
            |(credential, number, state, secret)| Step::AddVersion {
                credential, number, state, secret
            }
        ),
        6 => (id.clone(), 1..4_u32, state()).prop_map(
            |(credential, number, state)| Step::SetVersion { credential, number, state }
        ),
        1 => (id.clone(), 0..9_u64).prop_map(|(id, overlap)| Step::PutPolicy(id, overlap)),
        1 => id.prop_map(Step::RemovePolicy),
        1 => Just(Step::RotateKek),
        1 => Just(Step::Rewrap),
        1 => Just(Step::Reopen),
    ]
}

/// A version as the model has it: its state, its secret, whether the secret is still there.
type ModelVersion = (VersionState, u8);

/// What the store must be.
#[derive(Debug, Default, PartialEq)]
struct Model {
    merchants: BTreeMap<u8, MerchantStatus>,
    /// Whose each is, and whether it is suspended.
    credentials: BTreeMap<u8, (u8, bool)>,
    versions: BTreeMap<(u8, u32), ModelVersion>,
    policies: BTreeMap<u8, u64>,
}

impl Model {
    fn is_open(&self, merchant: u8) -> bool {
        self.merchants.get(&merchant).is_some_and(|status| *status != MerchantStatus::Closed)
    }

    fn can_write(&self, credential: u8) -> bool {
        self.credentials.get(&credential).is_some_and(|(merchant, _)| self.is_open(*merchant))
    }

    fn second_active(&self, (credential, number): (u8, u32), state: VersionState) -> bool {
        let own = self
            .versions
            .iter()
            .filter(|((own, other), _)| (*own, *other != number) == (credential, true));
        state == VersionState::Active
            && own.into_iter().any(|(_, (state, _))| *state == VersionState::Active)
    }

    /// Takes a step, and says whether the store must take it.
    fn take(&mut self, step: &Step) -> bool {
        use VersionState::{Destroyed, Revoked};
        match *step {
            Step::AddMerchant(id) => {
                let new = !self.merchants.contains_key(&id);
                self.merchants.entry(id).or_insert(MerchantStatus::Active);
                new
            }
            Step::SetMerchant(id, status) => {
                let Some(kept) = self.merchants.get_mut(&id) else { return false };
                if *kept == MerchantStatus::Closed && status != MerchantStatus::Closed {
                    return false;
                }
                *kept = status;
                if status == MerchantStatus::Closed {
                    let own = |credential| self.credentials[credential].0 == id;
                    let own =
                        self.versions.iter_mut().filter(|((credential, _), _)| own(credential));
                    own.for_each(|(_, version)| version.0 = Destroyed);
                }
                true
            }
            Step::AddCredential(merchant, id) => {
                let can = self.is_open(merchant) && !self.credentials.contains_key(&id);
                if can {
                    self.credentials.insert(id, (merchant, false));
                }
                can
            }
            Step::Suspend(id, on) => {
                let can = self.can_write(id);
                if can {
                    self.credentials.get_mut(&id).unwrap().1 = on;
                }
                can
            }
            Step::AddVersion { credential, number, state, secret } => {
                let same = |(state, own): &ModelVersion| *own == secret && *state != Destroyed;
                let can = self.can_write(credential)
                    && state < Revoked
                    && !self.versions.contains_key(&(credential, number))
                    && !self.second_active((credential, number), state)
                    && !self.versions.values().any(same);
                if can {
                    self.versions.insert((credential, number), (state, secret));
                }
                can
            }
            Step::SetVersion { credential, number, state } => {
                let Some((kept, _)) = self.versions.get(&(credential, number)).copied() else {
                    return false;
                };
                let can = self.can_write(credential)
                    && !(kept >= Revoked && state < kept)
                    && !self.second_active((credential, number), state);
                if can {
                    self.versions.get_mut(&(credential, number)).unwrap().0 = state;
                }
                can
            }
            Step::PutPolicy(id, overlap) => {
                self.policies.insert(id, overlap);
                true
            }
            Step::RemovePolicy(id) => self.policies.remove(&id).is_some(),
            Step::RotateKek | Step::Rewrap | Step::Reopen => true,
        }
    }
}

fn key_id(id: u8) -> String {
    format!("pk_{id}")
}

fn missing(what: &str) -> StoreFault {
    StoreFault::Missing(what.to_owned())
}

fn of_number(rows: Vec<VersionRow>, number: u32) -> Result<VersionRow, StoreFault> {
    rows.into_iter().find(|row| row.number == number).ok_or_else(|| missing("version"))
}

fn take(store: &Store, step: &Step) -> Result<(), StoreFault> {
    match step.clone() {
        Step::RotateKek => return store.rotate_kek(&actor()).map(drop),
        Step::Rewrap => return store.rewrap(&actor(), |_, _| {}).map(drop),
        _ => {}
    }
    change(store, |change| match step.clone() {
        Step::AddMerchant(id) => change.add_merchant(&merchant(&format!("mer_{id}"))),
        Step::SetMerchant(id, status) => {
            let row = change.merchant(&format!("mer_{id}"))?.ok_or_else(|| missing("merchant"))?;
            change.set_merchant(&MerchantRow { status, ..row })
        }
        Step::AddCredential(own, id) => {
            change.add_credential(&credential(&format!("mer_{own}"), &key_id(id)))
        }
        Step::Suspend(id, suspended) => {
            let row = change.credential(&key_id(id))?.ok_or_else(|| missing("credential"))?;
            change.set_credential(&CredentialRow { suspended, ..row })
        }
        Step::AddVersion { credential, number, state, secret: own } => {
            let row = version(&key_id(credential), Kind::Signing, number, state);
            change.add_version(&row, &secret(&format!("the secret of number {own}")))
        }
        Step::SetVersion { credential, number, state } => {
            let row = of_number(change.versions(&key_id(credential))?, number)?;
            change.set_version(&VersionRow { state, ..row })
        }
        Step::PutPolicy(id, overlap_secs) => {
            let name = format!("policy_{id}");
            let known = change.policies()?.into_iter().find(|known| known.name == name);
            let known = known.unwrap_or_else(|| policy(&name));
            change.put_policy(&PolicyRow { overlap_secs, ..known })
        }
        Step::RemovePolicy(id) => change.remove_policy(&format!("policy_{id}")),
        Step::RotateKek | Step::Rewrap | Step::Reopen => Ok(()),
    })
}

/// The store as the model would have it.
fn found(store: &Store) -> Model {
    let (held, faults) = everyone(store);
    assert!(faults.is_empty(), "{faults:?}");
    let mut model = Model::default();
    let number = |text: &str| text.rsplit('_').next().unwrap().parse::<u8>().unwrap();
    for holding in held {
        let id = number(&holding.merchant.id);
        model.merchants.insert(id, holding.merchant.status);
        for credential in holding.credentials {
            let own = number(&credential.row.key_id);
            model.credentials.insert(own, (id, credential.row.suspended));
            for (row, secret) in credential.versions {
                let secret = secret.map(|secret| {
                    let text = String::from_utf8(secret.expose().to_vec()).unwrap();
                    text.rsplit(' ').next().unwrap().parse().unwrap()
                });
                model.versions.insert((own, row.number), (row.state, secret.unwrap_or(u8::MAX)));
            }
        }
    }
    let policies = read(store, |view| view.policies());
    model.policies = policies.iter().map(|row| (number(&row.name), row.overlap_secs)).collect();
    model
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_store_is_what_was_done_to_it(steps in prop::collection::vec(step(), 1..50)) {
        let house = House::new();
        let mut store = house.open();
        let mut model = Model::default();
        for step in &steps {
            if matches!(step, Step::Reopen) {
                drop(store);
                store = house.open();
            }
            let expected = model.take(step);
            let taken = take(&store, step);
            prop_assert_eq!(taken.is_ok(), expected, "{:?}: {:?}", step, taken);
        }
        drop(store);
        let store = house.open();
        let trial = tried(&store);
        prop_assert!(trial.faults.is_empty(), "{:?}", trial.faults);
        // Secrets of what is out of use are not read.
        let unread = |(state, secret): ModelVersion| {
            (state, if state >= VersionState::Revoked { u8::MAX } else { secret })
        };
        let mut expected = model;
        let closed = |merchant: &u8| expected.merchants[merchant] == MerchantStatus::Closed;
        let closed: Vec<u8> = expected.merchants.keys().copied().filter(closed).collect();
        let credentials = expected.credentials.clone();
        for ((credential, _), version) in &mut expected.versions {
            *version = unread(*version);
            if closed.contains(&credentials[credential].0) {
                version.1 = u8::MAX;
            }
        }
        prop_assert_eq!(found(&store), expected);
    }
}
