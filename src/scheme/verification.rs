//! A message under every key that is given, step by step, and whether one of them signed it.
//!
//! Every key is tried to the end, whichever of them matches. What a message and its checks read of
//! the secret is read of every key's.

use bytes::Bytes;
use smallvec::SmallVec;

use crate::crypto::digest::Tag;
use crate::crypto::{DigestInProgress, equal_bytes};
use crate::recipe::{DigestSteps, Evaluation, Fault, FeedSteps, Subject, Template, Value};

use super::algorithm::{Algorithm, InProgress, Key, Method};
use super::plan::{Place, Plan};
use super::protocol::ProtocolVerification;
use super::{Claims, Scheme, VerifyingKey};

/// Bytes of a message that one step takes in, all keys together, before others get their turn.
const STEP_BYTES: usize = 64 * 1024;
/// Keys that find room without an allocation.
const KEYS: usize = 4;

/// What came of trying the keys.
#[derive(Debug)]
pub struct Verdict {
    /// Which of the keys signed the message.
    pub matched: Option<usize>,
    /// What there is only one of: the MAC that the message has under that key, or where many
    /// signatures of one message are good, the digest of what is signed.
    pub proof: Tag,
}

/// A verification in progress.
pub struct Verification<'a> {
    plan: Option<&'a Plan>,
    claims: &'a Claims,
    keys: SmallVec<[&'a VerifyingKey; KEYS]>,
    /// One for all keys where the message holds no secret; else one a key. They are large, and stay
    /// where they are while the verification moves.
    runs: Vec<Run<'a>>,
    current: usize,
    /// In place of runs, where the scheme is a protocol and no recipe. Boxed: it is large, and what
    /// most schemes have no use for would be moved about with the rest.
    protocol: Option<Box<ProtocolVerification<'a>>>,
}

/// The message once, on its way to some keys.
struct Run<'a> {
    message: Evaluation<'a>,
    digests: DigestSteps,
    fed: FeedSteps,
    streams: SmallVec<[Stream; 1]>,
    /// What is signed, where signatures say nothing of it.
    own_digest: Option<Box<DigestInProgress>>,
    failed: bool,
}

/// The message under one key.
struct Stream {
    key: usize,
    place: usize,
    state: InProgress,
}

impl Scheme {
    /// Begins to verify a message against keys, of which at most one is expected to match.
    pub fn verify<'a>(
        &'a self,
        keys: &[&'a VerifyingKey],
        claims: &'a Claims,
        subject: Subject<'a>,
    ) -> Verification<'a> {
        let plan = self.plan(subject.method);
        let keys = SmallVec::from_slice(keys);
        let protocol = self.protocol.as_ref().zip(claims.protocol.as_deref());
        let protocol =
            protocol.map(|(protocol, claims)| Box::new(protocol.verify(&keys, claims, &subject)));
        let begun = plan.map(|plan| begin(plan, &keys, claims, &subject));
        let runs = begun.unwrap_or_default();
        Verification { plan, claims, keys, runs, current: 0, protocol }
    }
}

/// The message on its way to every key; none where it chooses no algorithm that is known.
fn begin<'a>(
    plan: &'a Plan,
    keys: &[&'a VerifyingKey],
    claims: &Claims,
    subject: &Subject<'a>,
) -> Vec<Run<'a>> {
    // Which algorithm a message chooses depends on no key, so this is the same for all.
    let method = match &plan.algorithm {
        Algorithm::Fixed(method) => *method,
        Algorithm::Chosen(_) => {
            let message = Evaluation::new(*subject, &plan.scope);
            let Ok(method) = plan.algorithm.of(&message) else { return Vec::new() };
            method
        }
    };
    let apart = plan.holds_secret();
    let mut runs: Vec<Run<'a>> = Vec::with_capacity(if apart { keys.len() } else { 1 });
    for (index, key) in keys.iter().enumerate() {
        if apart || runs.is_empty() {
            let subject = if apart { key.subject(subject) } else { *subject };
            runs.push(Run::new(subject, plan, method));
        }
        let Some(run) = runs.last_mut() else { break };
        for (place, at) in plan.places.iter().enumerate() {
            if !claims.signatures.iter().any(|candidate| candidate.place == place) {
                continue;
            }
            let ready = at.slot.and_then(|slot| key.ready.get(slot));
            let state = match ready {
                Some(ready) => ready.begin(),
                None => match made_ready(key, at, method, plan, subject) {
                    Some(made) => made.begin(),
                    None => continue,
                },
            };
            run.streams.push(Stream { key: index, place, state });
        }
    }
    runs
}

/// A key that depends on the message; none where it cannot be had.
fn made_ready(
    key: &VerifyingKey,
    at: &Place,
    method: Method,
    plan: &Plan,
    subject: &Subject<'_>,
) -> Option<Key> {
    let message = Evaluation::new(key.subject(subject), &plan.scope);
    let bytes = message.secret_bytes(&at.key).ok()?;
    Key::new(method, &bytes).ok()
}

impl Verification<'_> {
    /// Takes in some of the message and says whether more is left.
    pub fn step(&mut self) -> bool {
        if let Some(protocol) = &mut self.protocol {
            return protocol.step();
        }
        let (Some(plan), Some(run)) = (self.plan, self.runs.get_mut(self.current)) else {
            return false;
        };
        if run.step(&plan.message) {
            return true;
        }
        self.current += 1;
        self.current < self.runs.len()
    }

    /// Ends the message and compares, in constant time over all keys.
    pub fn finish(mut self) -> Verdict {
        if let Some(protocol) = self.protocol {
            return protocol.finish();
        }
        while self.step() {}
        let mut verdict = Verdict { matched: None, proof: Tag::new(&[]) };
        let Some(plan) = self.plan else { return verdict };
        let checked: Option<SmallVec<[bool; KEYS]>> = (!plan.checks_nothing()).then(|| {
            let holds = |key: &&VerifyingKey| self.checks(key, plan).is_ok_and(|holds| holds);
            self.keys.iter().map(holds).collect()
        });
        let holds = |key| checked.as_ref().is_none_or(|all| all.get(key) == Some(&true));
        for run in &mut self.runs {
            let digest = run.own_digest.take().map(|mut digest| digest.finish());
            for stream in run.streams.drain(..) {
                let proof = stream.state.finish();
                let own = self.claims.signatures.iter().filter(|one| one.place == stream.place);
                let good = own.fold(false, |good, candidate| proof.is(&candidate.bytes) | good);
                if good && holds(stream.key) && !run.failed {
                    let proof = match &digest {
                        Some(digest) => Tag::new(digest),
                        None => proof.into_tag(),
                    };
                    verdict = Verdict { matched: Some(stream.key), proof };
                }
            }
        }
        verdict
    }

    /// Whether everything that the scheme requires of a message holds.
    fn checks(&self, key: &VerifyingKey, plan: &Plan) -> Result<bool, Fault> {
        let Some(run) = self.runs.first() else { return Ok(false) };
        let message = Evaluation::new(key.subject(run.message.subject()), &plan.scope);
        let mut holds = true;
        for [left, right] in &plan.require {
            let (left, right) = (message.secret_bytes(left)?, message.secret_bytes(right)?);
            holds &= equal_bytes(&left, &right);
        }
        for (list, names) in &plan.must_list {
            let items = match message.value(list)? {
                Value::List(items) => items,
                Value::Json(json) => json.list()?,
                _ => return Ok(false),
            };
            holds &= names.iter().all(|name| items.iter().any(|item| **item == **name));
        }
        Ok(holds)
    }
}

impl<'a> Run<'a> {
    fn new(subject: Subject<'a>, plan: &'a Plan, method: Method) -> Self {
        let mut message = Evaluation::new(subject, &plan.scope);
        let digests = message.begin_digests(&[&plan.message]);
        Self {
            message,
            digests,
            fed: FeedSteps::default(),
            streams: SmallVec::new(),
            own_digest: matches!(method, Method::Public(_)).then(Box::default),
            failed: false,
        }
    }

    fn step(&mut self, template: &Template) -> bool {
        if self.message.digest_step(&mut self.digests, STEP_BYTES) {
            return true;
        }
        let (streams, own_digest) = (&mut self.streams, &mut self.own_digest);
        let room = STEP_BYTES / streams.len().max(1);
        let bytes: usize = self.message.subject().body.iter().map(Bytes::len).sum();
        let room = if bytes <= room { usize::MAX } else { room };
        let mut sink = |bytes: &[u8]| {
            streams.iter_mut().for_each(|stream| stream.state.update(bytes));
            if let Some(digest) = own_digest {
                digest.update(bytes);
            }
        };
        let more = self.message.feed_step(template, &mut self.fed, room, &mut sink);
        more.unwrap_or_else(|_| {
            self.failed = true;
            false
        })
    }
}
