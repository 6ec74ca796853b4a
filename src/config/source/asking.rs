//! Whom a source asks before it believes a message, and what it posts back: its keys `confirm`,
//! `order` and `post_back`.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::node::{Mismatch, Node};
use crate::config::provider::call;
use crate::config::provider::table::Places;
use crate::config::reach::{self, Callers};
use crate::config::reader::Table;
use crate::config::value;
use crate::inbox::inquiry::{Call, Inquiry};
use crate::inbox::message::Check;
use crate::inbox::profile::{InquiryText, PostBackText, Profile};
use crate::inbox::source::{Asked, Confirm, PostBack};
use crate::outbound::{Caller, Reach};
use crate::scheme::{Scheme, Strength};

use super::pending_for;

/// The least time between two calls for one source.
const EVERY: Duration = Duration::from_secs(1);
const EVERY_BOUNDS: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(3600);
/// For how long a transaction may be pending.
const PENDING_FOR: Duration = Duration::from_secs(3 * 24 * 3600);

/// What a source says of one of its calls.
pub(super) struct Said<T> {
    /// Whether it is made; none: that is not said.
    on: Option<bool>,
    /// What it states in place of its provider's profile.
    own: Option<T>,
    /// Whom it may reach; none where that is at fault.
    reach: Option<Reach>,
}

/// All that a source says of its calls.
pub(super) struct Asking {
    pub(super) confirm: Said<InquiryText>,
    pub(super) order: Said<InquiryText>,
    pub(super) post_back: Said<PostBackText>,
    every: Option<Duration>,
    pending_for: Option<Duration>,
}

/// What the compiled profile makes calls of.
pub(super) type Compiled = (Option<Inquiry>, Option<Inquiry>, Option<(Call, Option<Check>)>);

impl<T> Said<T> {
    fn nothing() -> Self {
        Self { on: None, own: None, reach: Some(Reach::default()) }
    }

    /// The networks beside the public ones that it may reach.
    pub(super) fn networks(&self) -> Vec<String> {
        let networks = self.reach.iter().flat_map(|reach| &reach.networks);
        networks.map(ToString::to_string).collect()
    }
}

impl Asking {
    /// Reads the three keys.
    pub(super) fn read<'n>(
        table: &mut Table<'n>,
        places: &mut Places<'n>,
        callers: &mut Callers,
    ) -> Self {
        let (mut pace, mut pending) = (None, None);
        let confirm = said(table, "confirm", places, |table, places| {
            pace = table.optional("every", every);
            pending = table.optional("pending_for", pending_for);
            let own = call::inquiry(table, "confirm.", places);
            (own, callers.reach(table))
        });
        let order = said(table, "order", places, |table, places| {
            let own = call::inquiry(table, "order.", places);
            (own, callers.reach(table))
        });
        let post_back = said(table, "post_back", places, |table, places| {
            let own = call::post_back(table, "post_back.", places);
            (own, callers.reach(table))
        });
        Self { confirm, order, post_back, every: pace, pending_for: pending }
    }

    /// What is written of a source's messages: its own keys in place of its provider's, with the
    /// calls that are made and no others.
    pub(super) fn profile(
        &self,
        provider: Option<&Profile>,
        own: Profile,
        scheme: Option<&Scheme>,
    ) -> Profile {
        let own = Profile {
            confirm: self.confirm.own.clone(),
            order: self.order.own.clone(),
            post_back: self.post_back.own.clone(),
            ..own
        };
        let mut profile = provider.map_or_else(|| own.clone(), |base| base.overridden_by(&own));
        profile.unsigned = profile.unsigned.filter(|what| what == "confirm");
        let strength = scheme.map(Scheme::strength);
        let weak = profile.unsigned.is_some() || strength.is_some_and(|one| one < Strength::Full);
        if !self.confirm.on.unwrap_or(weak) {
            profile.confirm = None;
        }
        if !self.order.on.unwrap_or(true) {
            profile.order = None;
        }
        if !self.post_back.on.unwrap_or(true) {
            profile.post_back = None;
        }
        profile
    }

    /// The calls with their connections. Nothing where something is at fault, which was told.
    pub(super) fn callers(
        &self,
        table: &Table<'_>,
        (confirm, order, post_back): Compiled,
        weak: bool,
        profile: &Profile,
        callers: &mut Callers,
    ) -> Option<(Option<Confirm>, Option<PostBack>)> {
        let there = (confirm.is_some(), order.is_some(), post_back.is_some());
        let mut good = self.is_enough(table, weak, there);
        let texts = [
            ("confirm", profile.confirm.as_ref().map(|one| &one.call), &self.confirm.reach),
            ("order", profile.order.as_ref().map(|one| &one.call), &self.order.reach),
            ("post_back", profile.post_back.as_ref().map(|one| &one.call), &self.post_back.reach),
        ];
        for (key, call, reach) in texts {
            let (Some(call), Some(reach)) = (call, reach) else { continue };
            good &= is_reachable(table, key, &call.url, reach);
        }
        let mut caller =
            |said: &Option<Reach>| -> Option<Caller> { callers.caller(table, said.as_ref()?) };
        let provider = match confirm {
            Some(inquiry) => Some(Asked { inquiry, caller: caller(&self.confirm.reach)? }),
            None => None,
        };
        let order = match order {
            Some(inquiry) => Some(Asked { inquiry, caller: caller(&self.order.reach)? }),
            None => None,
        };
        let post_back = match post_back {
            Some((call, when)) => {
                Some(PostBack { call, caller: caller(&self.post_back.reach)?, when })
            }
            None => None,
        };
        let confirm = (provider.is_some() || order.is_some()).then(|| Confirm {
            provider,
            order,
            every: self.every.unwrap_or(EVERY),
            pending_for: self.pending_for.unwrap_or(PENDING_FOR),
        });
        good.then_some((confirm, post_back))
    }

    /// Refuses what is asked for and cannot be done, and what proves too little and is not
    /// confirmed.
    fn is_enough(
        &self,
        table: &Table<'_>,
        weak: bool,
        (confirm, order, post_back): (bool, bool, bool),
    ) -> bool {
        let mut good = true;
        let mut refuse = |key: &str, problem: &str, hint: &str| {
            table.refuse(key, problem, Some(hint.to_owned()));
            good = false;
        };
        let how = "say it in a table: confirm = { url = \"https://…\", answer = { … } }";
        let told = self.confirm.reach.is_none() || self.order.reach.is_none();
        if told {
            // What is at fault itself may have said it.
        } else if self.confirm.on == Some(true) && !confirm {
            refuse("confirm", "nothing says how the provider is asked", how);
        } else if weak && !confirm && !order {
            let problem = "a good signature proves too little here, so that what a message says \
                           must be confirmed";
            let hint = match self.confirm.on {
                Some(false) => "leave confirm = false out, or ask your own service: order = { … }",
                _ => "ask the provider: confirm = { … }, or your own service: order = { … }",
            };
            refuse("confirm", problem, hint);
        }
        if !told && self.order.on == Some(true) && !order {
            let how = "order = { url = \"https://…\", answer = { … } }";
            refuse("order", "nothing says how your service is asked", how);
        }
        let told = self.post_back.reach.is_none();
        if !told && self.post_back.on == Some(true) && !post_back {
            let how = "say it in a table: post_back = { url = \"https://…\", body = \"…\" }";
            refuse("post_back", "nothing says how fields are posted back", how);
        }
        good
    }
}

/// Reads a key that is true, false or a table.
fn said<'n, T>(
    table: &mut Table<'n>,
    key: &'static str,
    places: &mut Places<'n>,
    read: impl FnOnce(&mut Table<'n>, &mut Places<'n>) -> (Option<T>, Option<Reach>),
) -> Said<T> {
    let Some(node) = table.node(key) else { return Said::nothing() };
    places.add(key.to_owned(), node);
    if let Some(on) = node.value().as_bool() {
        return Said { on: Some(on), ..Said::nothing() };
    }
    let expected = "true, false or a table";
    let read = Table::of(&node, table.path_of(key), expected, |table| read(table, places));
    let (own, reach) = read.unwrap_or((None, None));
    Said { on: Some(true), own, reach }
}

/// Whether a URL with a literal host can be reached; a fault where not.
fn is_reachable(table: &Table<'_>, key: &str, url: &str, reach: &Reach) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return true };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let end = host.rfind(':').filter(|at| !host.get(*at..).is_some_and(|rest| rest.contains(']')));
    let host = end.and_then(|at| host.get(..at)).unwrap_or(host);
    match reach::check(scheme == "https", host, reach) {
        Ok(()) => true,
        Err(fault) => {
            table.refuse(key, format!("{url}: {}", fault.problem), Some(fault.hint));
            false
        }
    }
}

fn every(node: &Node<'_>) -> Result<Duration, Mismatch> {
    let every = value::duration(node)?;
    if EVERY_BOUNDS.contains(&every) {
        return Ok(every);
    }
    Err(Mismatch::text("a duration from 10ms to 1h, such as \"1s\"", node.str("")?))
}
