//! Thousands of messages over a network that loses them, before two gates whose clocks are 30 s
//! apart: what must hold of `roll.v1` (I1, I2, I5, I9), against a model that knows the true time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign::client::roll::{Sealed, Wallet};
use countersign::clock::Timestamp;
use countersign::gateway::reply::{Form, ReplySlot};
use countersign::roll::next::Held;
use countersign::roll::session::PATH;
use countersign::roll::{
    ChainId, Chains, EpochSpec, Epochs, Material, Message, Party, Policy, Preset, Refusal, Roll,
};
use countersign::secret::Secret;
use http::Response;
use http::response::Parts;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use crate::kit::material;

const START: u64 = 1_764_000_000;
/// How far the clock of either gate is from the true time, in seconds.
const OFF: u64 = 15;
const TARGET: &str = "/v1/payments";

/// What happens to one message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Delivered,
    RequestLost,
    AnswerLost,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A client sends through one of the gates.
    Send {
        client: usize,
        gate: bool,
        fate: Fate,
    },
    /// Someone who kept every set that was ever handed out uses one of them.
    Steal {
        which: prop::sample::Index,
        gate: bool,
    },
    Wait(u64),
    /// All that is volatile is lost.
    Restart,
    /// The next epoch begins; those of two days before are destroyed.
    NextEpoch,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        5 => Just(Fate::Delivered),
        2 => Just(Fate::RequestLost),
        2 => Just(Fate::AnswerLost),
    ];
    prop_oneof![
        60 => (0..3_usize, any::<bool>(), fate)
            .prop_map(|(client, gate, fate)| Step::Send { client, gate, fate }),
        15 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(which, gate)| Step::Steal { which, gate }),
        20 => prop_oneof![0..3_u64, 0..90_u64, 0..1200_u64].prop_map(Step::Wait),
        1 => Just(Step::Restart),
        1 => Just(Step::NextEpoch),
    ]
}

struct World {
    policy: Policy,
    material: Material,
    key_id: Arc<str>,
    roll: Roll,
    epochs: Vec<EpochSpec>,
    /// The true time.
    now: u64,
    restarted_at: u64,
    clients: Vec<Wallet>,
    issued: Vec<Held>,
    /// By chain: generations that were used, with the true time of their first use.
    used: HashMap<ChainId, HashMap<u32, u64>>,
    killed: HashSet<ChainId>,
    /// What the service saw.
    seen: HashSet<(String, [u8; 16])>,
}

fn epoch(number: u32, from: u64) -> EpochSpec {
    let secret = Secret::new(vec![u8::try_from(number + 100).unwrap(); 32]).unwrap();
    let not_before = Timestamp::from_secs(from);
    EpochSpec { number, not_before, not_after: Timestamp::from_secs(from + 86_400), secret }
}

fn roll(epochs: &[EpochSpec], now: u64) -> Roll {
    let shared = Arc::new(Epochs::default());
    shared.replace(epochs.to_vec());
    Roll::new(shared, Chains::new(now * 1000), Box::new(|_| {}))
}

impl World {
    fn new(preset: Preset) -> Self {
        let epochs = vec![epoch(1, START - 100)];
        let material = material(3);
        let anchor = material.anchors[0].keys.clone();
        // Both gates lost what they knew long ago.
        let roll = roll(&epochs, START - 100);
        Self {
            policy: preset.policy(),
            material,
            key_id: Arc::from("pk_live_model"),
            roll,
            epochs,
            now: START,
            restarted_at: START - 100 - OFF,
            clients: vec![Wallet::new(1, anchor); 3],
            issued: Vec::new(),
            used: HashMap::new(),
            killed: HashSet::new(),
            seen: HashSet::new(),
        }
    }

    /// The time that a gate believes.
    fn clock(&self, gate: bool) -> Timestamp {
        Timestamp::from_secs(if gate { self.now + OFF } else { self.now - OFF })
    }

    /// A gate gets a message and answers it, sealed.
    fn serve(&mut self, sealed: &Sealed, at: Timestamp, gate: bool) -> Result<Answer, Refusal> {
        let now = self.clock(gate);
        let label = sealed.label().to_string();
        let session = label.starts_with("ak_");
        let target = if session { PATH } else { TARGET };
        let bytes = Some(sealed.bytes());
        let message =
            Message { label: &label, time: at, method: "POST", target, sealed: bytes, session };
        let party = Party { merchant: "mer", key_id: &self.key_id, material: &self.material };
        let opened = self.roll.open(&party, &self.policy, &message, now)?;
        let slot = ReplySlot::default();
        slot.fill(opened.reply, Form::Raw);
        let body = if session {
            let sets = self.roll.session(&party, &self.policy, &opened.text, now).unwrap();
            Bytes::from_owner(sets)
        } else {
            let p = sealed.bytes()[..16].try_into().unwrap();
            assert!(self.seen.insert((label, p)), "the service saw a message twice");
            Bytes::from_static(b"{\"ok\":true}")
        };
        let (mut head, ()) = Response::new(()).into_parts();
        let body = slot.seal(&mut head, body, false).unwrap();
        Ok((head, body))
    }

    /// A client's message, and a session call where it has no keys; the call is always delivered.
    fn send(&mut self, client: usize, gate: bool, fate: Fate) -> Result<(), Refusal> {
        if self.clients[client].needs_session(Timestamp::from_secs(self.now)) {
            self.begin(client, gate);
        }
        self.once(client, gate, fate)
    }

    fn begin(&mut self, client: usize, gate: bool) {
        let at = Timestamp::from_secs(self.now);
        if let Some(held) = self.clients[client].newest() {
            self.killed.insert(held.kid.chain);
        }
        let call = self.clients[client].seal_call(at, PATH).unwrap();
        let (head, body) = self.serve(&call, at, gate).expect("a session call is always good");
        self.clients[client].begin(&call, 200, &head.headers, &body).expect("fresh keys");
        self.keep(client);
    }

    fn once(&mut self, client: usize, gate: bool, fate: Fate) -> Result<(), Refusal> {
        let at = Timestamp::from_secs(self.now);
        let held = self.clients[client].newest().unwrap().clone();
        let sealed = self.clients[client].seal(at, "POST", TARGET, b"{}").unwrap().unwrap();
        if fate == Fate::RequestLost {
            return Ok(());
        }
        let answer = self.serve(&sealed, at, gate);
        if answer.is_ok() {
            self.note_use(&held);
        }
        if fate == Fate::AnswerLost {
            return Ok(());
        }
        let (head, body) = answer?;
        let text = self.clients[client].open(&sealed, 200, &head.headers, &body).expect("opens");
        assert_eq!(*text, *b"{\"ok\":true}");
        self.keep(client);
        Ok(())
    }

    fn keep(&mut self, client: usize) {
        self.issued.push(self.clients[client].newest().unwrap().clone());
    }

    fn note_use(&mut self, held: &Held) {
        let chain = self.used.entry(held.kid.chain).or_default();
        chain.entry(held.kid.generation).or_insert(self.now);
    }

    /// Seconds since a newer generation of the same chain was first used, if one was.
    fn outdated_for(&self, held: &Held) -> Option<u64> {
        let chain = self.used.get(&held.kid.chain)?;
        let newer = chain.iter().filter(|(generation, _)| **generation > held.kid.generation);
        newer.map(|(_, at)| self.now - at).max()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Wait(seconds) => self.now += seconds,
            Step::Restart => {
                self.restarted_at = self.now;
                // By the clock that is ahead, which none of the lost sets is later than.
                self.roll = roll(&self.epochs, self.now + OFF);
                for chain in &self.killed {
                    let until = Timestamp::from_secs(self.now + 100_000);
                    let key_id = Arc::clone(&self.key_id);
                    let at = Timestamp::from_secs(self.now);
                    self.roll.chains.kill(&countersign::roll::Kill {
                        key_id,
                        chain: *chain,
                        at,
                        until,
                    });
                }
                // No gate is back at once.
                self.now += 2;
            }
            Step::NextEpoch => {
                let number = self.epochs.last().unwrap().number + 1;
                self.epochs.push(epoch(number, self.now - OFF));
                if self.epochs.len() > 2 {
                    self.epochs.remove(0);
                }
                self.roll.epochs.replace(self.epochs.clone());
            }
            Step::Send { client, gate, fate } => self.send_and_recover(client, gate, fate),
            Step::Steal { which, gate } => self.steal(which, gate),
        }
    }

    fn send_and_recover(&mut self, client: usize, gate: bool, fate: Fate) {
        let before = self.clients[client].newest().cloned();
        let Err(refusal) = self.send(client, gate, fate) else { return };
        let held = before.expect("fresh keys are never refused");
        match refusal {
            Refusal::KeySuperseded => {
                // I2, I9: only the use of a newer set supersedes, and a lost memory does.
                let grace = self.policy.grace.as_secs();
                let outdated = self.outdated_for(&held).is_some_and(|by| by + 2 * OFF > grace);
                let lost = u64::from(held.kid.issued) <= self.restarted_at + OFF + 1;
                assert!(outdated || lost, "{held:?} superseded without a reason");
            }
            Refusal::KeyExpired => {
                let left = held.expiry.secs().saturating_sub(self.now);
                assert!(left <= OFF, "{left} s left");
            }
            Refusal::UnknownEpoch => {
                assert!(self.epochs.iter().all(|epoch| epoch.number != held.kid.epoch));
            }
            Refusal::KeyExhausted => {}
            other => panic!("{other:?} for {held:?}"),
        }
        // I1: one resync, and once the network delivers it ends in success.
        self.begin(client, gate);
        self.once(client, gate, Fate::Delivered).expect("success within one resync");
    }

    /// I5: what is accepted of a stolen set is nothing that has had its time.
    fn steal(&mut self, which: prop::sample::Index, gate: bool) {
        if self.issued.is_empty() {
            return;
        }
        let held = which.get(&self.issued).clone();
        let mut thief = Wallet::new(9, held.keys.clone());
        let state = [b"{\"set\":", &held.to_json()[..], b",\"uses\":0}"].concat();
        thief.resume(&state).unwrap();
        let at = Timestamp::from_secs(self.now);
        let sealed = thief.seal(at, "POST", TARGET, b"{}").unwrap().unwrap();
        let accepted = self.serve(&sealed, at, gate).is_ok();
        if !accepted {
            return;
        }
        let lag = 2 * OFF + self.policy.grace.as_secs() / 60 + 2;
        let outdated = self.outdated_for(&held);
        assert!(
            outdated.is_none_or(|by| by <= self.policy.grace.as_secs() + lag),
            "{held:?} outdated for {outdated:?} s"
        );
        assert!(!self.killed.contains(&held.kid.chain), "a killed chain lives");
        assert!(u64::from(held.kid.issued) > self.restarted_at + OFF);
        assert!(self.epochs.iter().any(|epoch| epoch.number == held.kid.epoch));
        assert!(held.expiry.saturating_add(Duration::from_secs(OFF)).secs() >= self.now);
        self.note_use(&held);
    }
}

type Answer = (Parts, Bytes);

proptest! {
    #![proptest_config(Config {
        cases: 60,
        rng_seed: RngSeed::Fixed(20_000),
        failure_persistence: None,
        ..Config::default()
    })]

    #[test]
    fn whatever_the_network_loses(
        preset in prop_oneof![
            Just(Preset::Compat), Just(Preset::Standard), Just(Preset::Strict)
        ],
        steps in proptest::collection::vec(step(), 600..601),
    ) {
        let mut world = World::new(preset);
        for one in steps {
            world.step(one);
        }
    }
}

/// I2 by itself: answers are lost a hundred times, and the set that was used stays good.
#[test]
fn lost_answers_supersede_nothing() {
    let mut world = World::new(Preset::Standard);
    assert_eq!(world.send(0, true, Fate::Delivered), Ok(()));
    for _ in 0..100 {
        assert_eq!(world.send(0, true, Fate::AnswerLost), Ok(()));
        world.now += 5;
    }
    assert_eq!(world.send(0, false, Fate::Delivered), Ok(()));
    let held = world.clients[0].newest().unwrap();
    assert_eq!(held.kid.generation, 3, "one after the session, one after the lost ones");
}
