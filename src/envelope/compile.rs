//! From a definition to an envelope: every word looked up, every template compiled, every mistake
//! told.

use super::check::{Check, Over};
use super::cipher::{Cipher, Mode};
use super::cover::covers;
use super::definition::{Definition, EnvelopeMistake, Reading};
use super::inside::Inside;
use super::jwe::{Content, Jwe, Management};
use super::names::{Named, Names, Way, is_settled};
use super::padding::Padding;
use super::sealing::Sealing;
use super::wrap::Wrap;
use super::{Choice, Envelope, Method, Part, Unwrap};
use crate::crypto::{digest, mac};
use crate::recipe::Template;
use crate::recipe::mistake::Mistake;
use crate::recipe::origin::{Origin, Origins};
use crate::recipe::path::Path;
use crate::recipe::value::Type;

/// Keys that mean something at the top of an envelope.
const KNOWN: [&str; 21] = [
    "about",
    "after",
    "aad",
    "alg",
    "authenticated",
    "before",
    "cipher",
    "content_type",
    "data",
    "each",
    "enc",
    "fit_key",
    "inside",
    "iv",
    "key",
    "keys",
    "padding",
    "seal",
    "tag",
    "unwrap",
    "wrapped",
];
/// Keys that mean something below others.
const BELOW: [&str; 22] = [
    "mac", "digest", "one_of", "over", "sorted", "equals", "value", "key", "by", "wrap", "parts",
    "fresh", "body", "headers", "query", "inside", "random", "letters", "time", "header", "rs",
    "key_id",
];

/// Values that are handed in when a message is opened: the unwrapped key, the text inside, that
/// text once it is taken out of what it was put into, and one member of `each`.
pub(super) const HANDED: [(&str, Type); 4] = [
    ("unwrapped", Type::Bytes),
    ("opened", Type::Bytes),
    ("plain", Type::Bytes),
    ("item", Type::Text),
];

/// A role's template as opening reads it, and as it was written.
pub(super) struct Read {
    pub(super) part: Part,
    /// Compiled with every name followed: it knows what is read in the end.
    pub(super) whole: Template,
}

/// A definition half way to an envelope.
pub(super) struct Compiler<'d> {
    pub(super) reading: Reading<'d>,
    pub(super) own: Vec<(&'d str, &'d str)>,
    /// Every name as its template.
    pub(super) written: Names,
    /// Names that depend on secrets alone are settled.
    opening: Names,
    /// Templates to settle after the names: roles that depend on secrets alone.
    hoisted: Vec<Template>,
    /// Names that are settled, each with its template in `written`.
    settled_names: Vec<(&'d str, Template)>,
}

impl<'d> Compiler<'d> {
    fn new(definition: &'d Definition) -> Self {
        let reading = Reading::new(definition);
        let own = reading.own_names(&KNOWN);
        let named = Self::named(&own);
        let handed =
            |name: &str| HANDED.iter().find(|(own, _)| *own == name).map(|(_, kind)| *kind);
        let written = Names::build(
            &named,
            |name| handed(name).map_or(Way::Template, Way::Given),
            |name, mistake| reading.report(name, mistake),
        );
        let mut compiler = Self {
            reading,
            own,
            written,
            opening: Names::default(),
            hoisted: Vec::new(),
            settled_names: Vec::new(),
        };
        for (name, _) in &compiler.own {
            let template = Template::compile(&format!("{{{name}}}"), &compiler.written.scope).ok();
            if let Some(template) = template.filter(is_settled) {
                compiler.settled_names.push((name, template));
            }
        }
        compiler.opening = compiler.names_with(&[], |_| None);
        compiler
    }

    fn named(own: &[(&'d str, &'d str)]) -> Vec<Named<'d>> {
        let handed = HANDED.iter().map(|(name, _)| Named { name, text: "" });
        handed.chain(own.iter().map(|(name, text)| Named { name, text })).collect()
    }

    /// The names as opening reads them, with more of them handed in.
    pub(super) fn names_with(&self, extra: &[&str], way: impl Fn(&str) -> Option<Way>) -> Names {
        let more = extra.iter().map(|name| Named { name, text: "" });
        let own = self.own.iter().filter(|(name, _)| !extra.contains(name));
        let own = own.map(|(name, text)| Named { name, text });
        let handed = HANDED.iter().filter(|(name, _)| !extra.contains(name));
        let handed = handed.map(|(name, _)| Named { name, text: "" });
        let named: Vec<Named<'_>> = handed.chain(more).chain(own).collect();
        let kind = |name: &str| HANDED.iter().find(|(own, _)| *own == name).map(|(_, kind)| *kind);
        let at = |name: &str| self.settled_names.iter().position(|(own, _)| *own == name);
        let usual = |name: &str| match (kind(name), at(name)) {
            (Some(kind), _) => Way::Given(kind),
            (None, Some(at)) => Way::Settled(at),
            (None, None) => Way::Template,
        };
        Names::build(&named, |name| way(name).unwrap_or_else(|| usual(name)), |_, _| {})
    }

    /// As [`Compiler::opening`], for a text that stands in no key of its own.
    pub(super) fn opening_text(&self, key: &str, text: &str) -> Option<Template> {
        self.template(key, text, &self.opening)
    }

    /// Compiles the template of a key in some scope; its mistakes are told.
    pub(super) fn template(&self, key: &str, text: &str, names: &Names) -> Option<Template> {
        let compiled = Template::compile(text, &names.scope);
        let report = |mistakes: Vec<Mistake>| {
            mistakes.into_iter().for_each(|mistake| self.reading.report(key, mistake));
        };
        compiled.map_err(report).ok()
    }

    /// A template that opening reads.
    fn opening(&self, key: &str) -> Option<Template> {
        let text = self.reading.text(key)?;
        self.template(key, text, &self.opening)
    }

    /// As [`Compiler::opening`], with a mistake where the key is missing.
    fn required(&self, key: &str) -> Option<Template> {
        if !self.reading.has(key) {
            return self.reading.refuse(key, format!("{key} is missing"), None);
        }
        self.opening(key)
    }

    /// A role, settled once for a key if it depends on secrets alone.
    fn role(&mut self, key: &str) -> Option<Read> {
        let text = self.reading.text(key)?;
        let whole = self.template(key, text, &self.written)?;
        let part = if is_settled(&whole) {
            self.hoisted.push(whole.clone());
            Part::Settled(self.settled_names.len() + self.hoisted.len() - 1)
        } else {
            Part::Message(Template::compile(text, &self.opening.scope).ok()?)
        };
        Some(Read { part, whole })
    }

    /// The same, for a role that must be settled.
    fn settled_role(&mut self, key: &str) -> Option<Part> {
        match self.role(key)?.part {
            Part::Message(_) => {
                self.reading.refuse(key, "this must not depend on the message", None)
            }
            settled => Some(settled),
        }
    }

    fn method(&mut self) -> Option<Method> {
        if self.reading.has("cipher.by") {
            let by = self.opening("cipher.by")?;
            let words = self.reading.below("cipher").into_iter().filter(|word| *word != "by");
            let choices: Vec<(String, Choice)> = words
                .filter_map(|word| Some((word.to_owned(), self.choice(&format!("cipher.{word}"))?)))
                .collect();
            let lengths: Vec<usize> = choices.iter().map(|(_, c)| c.cipher.key_bytes()).collect();
            if lengths.windows(2).any(|pair| pair.first() != pair.last()) || choices.is_empty() {
                return self.reading.refuse("cipher", "all choices take keys of one length", None);
            }
            return Some(Method::Chosen { by, choices });
        }
        match self.reading.text("cipher") {
            Some("jwe") => {
                let alg = self.reading.choice("alg", &Management::NAMES, Management::named);
                let enc = self.reading.choice("enc", &Content::NAMES, Content::named);
                for key in ["alg", "enc"] {
                    if !self.reading.has(key) {
                        let why = "JWE needs its algorithm written: a token must not choose it";
                        self.reading.refuse::<()>(key, why, None);
                    }
                }
                Some(Method::Jwe(Jwe { management: alg?, content: enc? }))
            }
            Some("aes128gcm") => Some(Method::Records),
            Some(_) => self.choice("cipher").map(Method::Block),
            None if self.reading.has("cipher") => None,
            None => self.reading.refuse("cipher", "cipher is missing", None),
        }
    }

    fn choice(&self, key: &str) -> Option<Choice> {
        let mut words = Cipher::NAMES.to_vec();
        words.extend(["jwe", "aes128gcm"]);
        let cipher = self.reading.choice(key, &words, Cipher::named)?;
        let block = cipher.block_bytes();
        let named = |name: &str| Padding::named(name, block);
        let padding = self.reading.choice("padding", &Padding::NAMES, named);
        let padding = padding.unwrap_or(match cipher.mode() {
            Mode::Gcm => Padding::None,
            Mode::Cbc | Mode::Ecb => Padding::Pkcs7(block),
        });
        Some(Choice { cipher, padding })
    }

    fn check(&mut self, at: &str) -> Option<Check> {
        let key = |name: &str| format!("{at}.{name}");
        if self.reading.has(&key("mac")) {
            // A plain digest takes no key: it belongs to `digest`.
            let named = mac::Algorithm::all().map(mac::Algorithm::name);
            let known: Vec<String> = named.filter(|name| name.starts_with("hmac-")).collect();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let algorithm = self.reading.choice(&key("mac"), &known, |name| {
                known.contains(&name).then(|| mac::Algorithm::find(name)).flatten()
            });
            let secret = match self.reading.has(&key("key")) {
                true => self.role(&key("key")).map(|read| read.part),
                false => self.reading.refuse(&key("key"), "a MAC has a key", None),
            };
            let (over, equals) = (self.required(&key("over")), self.required(&key("equals")));
            return Some(Check::Mac {
                algorithm: algorithm?,
                key: secret?,
                over: over?,
                equals: equals?,
            });
        }
        if self.reading.has(&key("digest")) {
            let known: Vec<&str> = digest::Algorithm::ALL.iter().map(|one| one.name()).collect();
            let algorithm = self.reading.choice(&key("digest"), &known, digest::Algorithm::find);
            let over = if self.reading.has(&key("sorted")) {
                let texts = self.reading.list(&key("sorted"));
                let compiled =
                    texts.iter().filter_map(|(key, text)| self.template(key, text, &self.opening));
                Some(Over::Sorted(compiled.collect()))
            } else {
                self.required(&key("over")).map(Over::One)
            };
            let equals = self.required(&key("equals"));
            return Some(Check::Digest { algorithm: algorithm?, over: over?, equals: equals? });
        }
        let value = self.required(&key("value"));
        if self.reading.has(&key("one_of")) {
            let words = self.reading.list(&key("one_of"));
            let words = words.iter().map(|(_, word)| (*word).to_owned()).collect();
            return Some(Check::OneOf { words, value: value? });
        }
        let equals = self.required(&key("equals"));
        Some(Check::Equal { value: value?, equals: equals? })
    }

    fn checks(&mut self, when: &str) -> Vec<Check> {
        let positions = self.reading.below(when).into_iter();
        positions.filter_map(|at| self.check(&format!("{when}.{at}"))).collect()
    }

    /// What each check with a secret in it is made over, as written.
    fn covered(&self, when: &str) -> Vec<Vec<&str>> {
        let mut found = Vec::new();
        for at in self.reading.below(when) {
            let at = format!("{when}.{at}");
            let key = self.reading.text(&format!("{at}.key"));
            let sorted = self.reading.list(&format!("{at}.sorted"));
            let mut over: Vec<&str> = sorted.into_iter().map(|(_, text)| text).collect();
            over.extend(self.reading.text(&format!("{at}.over")));
            let secret = over.iter().copied().chain(key).any(|text| {
                Template::compile(text, &self.written.scope).is_ok_and(|one| one.is_secret())
            });
            if secret {
                found.push(over);
            }
        }
        found
    }

    /// Whether any altered message is noticed by what is written here.
    fn authenticates(&self, method: &Method) -> bool {
        let sealed = match method {
            Method::Jwe(_) | Method::Records => true,
            Method::Block(choice) => choice.cipher.mode() == Mode::Gcm,
            Method::Chosen { choices, .. } => {
                choices.iter().all(|(_, choice)| choice.cipher.mode() == Mode::Gcm)
            }
        };
        let parts = ["data", "iv"].into_iter().filter_map(|part| self.reading.text(part));
        let parts: Vec<&str> = parts.collect();
        let before = self.covered("before");
        let after = self.covered("after");
        sealed
            || before.iter().any(|over| covers(&self.own, over, &parts))
            || after.iter().any(|over| covers(&self.own, over, &["{plain}"]))
    }
}

impl Envelope {
    /// Compiles an envelope.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn compile(name: &str, definition: &Definition) -> Result<Self, Vec<EnvelopeMistake>> {
        let mut compiler = Compiler::new(definition);
        let envelope = compiler.envelope(name);
        let mistakes = compiler.reading.finish(&[&KNOWN[..], &BELOW[..]].concat());
        match envelope {
            Some(envelope) if mistakes.is_empty() => Ok(envelope),
            _ => Err(mistakes),
        }
    }
}

impl Compiler<'_> {
    fn envelope(&mut self, name: &str) -> Option<Envelope> {
        let method = self.method();
        let unwrap = self.wrapping();
        let key = self.role("key");
        let keys = self.key_ids();
        let [iv, tag, aad] = ["iv", "tag", "aad"].map(|role| self.role(role));
        let data = self.role("data");
        if !self.reading.has("data") {
            self.reading.refuse::<()>("data", "data is missing: the place of the ciphertext", None);
        }
        let needs_key = unwrap.is_none() && keys.is_empty();
        if needs_key && !self.reading.has("key") {
            self.reading.refuse::<()>("key", "key is missing", None);
        }
        let each = self.each();
        let (before, after) = (self.checks("before"), self.checks("after"));
        let inside = Inside::compile(self);
        let about = self.reading.text("about").unwrap_or_default().to_owned();
        let content_type = self.reading.text("content_type").unwrap_or("application/json");
        let content_type = http::HeaderValue::from_str(content_type)
            .ok()
            .or_else(|| self.reading.refuse("content_type", "no header can say this", None));
        let fit_key = self.reading.flag("fit_key", false);
        self.refuse_unused();
        let authenticated = method.as_ref().is_some_and(|method| self.authenticates(method));
        self.opt_in(authenticated || method.is_none());
        let method = method?;
        let sealing = Sealing::compile(self, &method);
        let secrets = self.secrets();
        let settled_scope = std::mem::take(&mut self.written);
        let data = data?;
        Some(Envelope {
            name: name.to_owned(),
            about,
            content_type: content_type?,
            authenticated,
            method,
            fit_key,
            unwrap,
            key: key.map(|read| read.part),
            keys,
            iv: iv.map(|read| read.part),
            tag: tag.map(|read| read.part),
            aad: aad.map(|read| read.part),
            reads: data.whole.origins().clone(),
            data: data.part,
            each,
            before,
            after,
            inside: inside?,
            sealing,
            names: std::mem::take(&mut self.opening),
            written: settled_scope,
            settled_names: std::mem::take(&mut self.settled_names)
                .into_iter()
                .map(|(_, t)| t)
                .collect(),
            hoisted: std::mem::take(&mut self.hoisted),
            secrets,
            derives: self.reading.texts().any(|text| text.contains("pbkdf2(")),
        })
    }

    fn wrapping(&mut self) -> Option<Unwrap> {
        if !self.reading.has("wrapped") && !self.reading.has("unwrap") {
            return None;
        }
        let way = self.reading.choice("unwrap.wrap", &Wrap::NAMES, Wrap::named);
        let key = self.settled_role("unwrap.key");
        let wrapped = self.required("wrapped");
        Some(Unwrap { way: way?, key: key?, wrapped: wrapped? })
    }

    fn key_ids(&mut self) -> Vec<(String, Part)> {
        let ids = self.reading.below("keys").into_iter();
        ids.filter_map(|id| Some((id.to_owned(), self.settled_role(&format!("keys.{id}"))?)))
            .collect()
    }

    fn each(&self) -> Vec<Path> {
        let texts = self.reading.list("each");
        let path = |(key, text): &(String, &str)| {
            let refuse = |problem| self.reading.report(key, Mistake::new(0..text.len(), problem));
            Path::parse(text).map_err(refuse).ok()
        };
        texts.iter().filter_map(path).collect()
    }

    /// Every secret that any template of opening reads.
    fn secrets(&self) -> Vec<Origin> {
        let mut found = Origins::default();
        for text in self.reading.texts() {
            if let Ok(template) = Template::compile(text, &self.written.scope) {
                let secret = template.origins().iter().filter(|origin| origin.is_secret());
                secret.for_each(|origin| found.insert(origin.clone()));
            }
        }
        found.iter().cloned().collect()
    }

    /// What does not notice an altered message says so.
    fn opt_in(&self, authenticated: bool) {
        let told = self.reading.flag("authenticated", true);
        if told && !authenticated {
            self.reading.refuse::<()>(
                "authenticated",
                "nothing here notices an altered message",
                Some(
                    "check a MAC in `before`, or write `authenticated = false`: the route's \
                      scheme must then sign the body",
                ),
            );
        }
    }

    /// A name that nothing reads is a misspelt key, most likely.
    fn refuse_unused(&self) {
        for (name, text) in &self.own {
            if !self.reading.reads_name(name) {
                let problem = "nothing reads this name, and it is no key of an envelope";
                let mistake = Mistake::new(0..text.len(), problem);
                self.reading.report(name, mistake.suggest(name, KNOWN));
            }
        }
    }
}
