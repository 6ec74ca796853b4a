//! From a definition to a scheme: every key checked, every template compiled once a method, every
//! mistake with its place.

mod answer;

use smallvec::SmallVec;

use crate::recipe::{Mistake, Scope, Template, Type};

use super::algorithm::{Algorithm, COMPARISON, Method};
use super::claims::Claim;
use super::coverage::{self, Strength};
use super::definition::{Definition, Formula, SchemeMistake};
use super::encoding::{self, Encoding};
use super::plan::{Place, Plan};
use super::protocol::Protocol;
use super::time_unit::{self, TimeUnit};
use super::{Scheme, place_name, walk};

impl Scheme {
    /// Checks and compiles a definition, and tries its vector.
    ///
    /// # Errors
    /// All mistakes that it has; a vector that does not verify is one.
    pub fn compile(name: &str, definition: &Definition) -> Result<Self, Vec<SchemeMistake>> {
        let mut compiler =
            Compiler { definition, mistakes: Vec::new(), broken: Vec::new(), slots: 0 };
        let scheme = compiler.scheme(name);
        let mut mistakes = compiler.mistakes;
        match scheme {
            Some(scheme) if mistakes.is_empty() => {
                let Some(vector) = &definition.vector else { return Ok(scheme) };
                match vector.verify(&scheme) {
                    Ok(()) => Ok(scheme),
                    Err(refusal) => {
                        let problem = format!("the scheme does not hold its own vector: {refusal}");
                        Err(vec![SchemeMistake::of("vector", problem)])
                    }
                }
            }
            _ => {
                // A part that is for every method is compiled once for each.
                let mut kept: Vec<SchemeMistake> = Vec::new();
                mistakes.retain(|mistake| {
                    let new = !kept.contains(mistake);
                    kept.extend(new.then(|| mistake.clone()));
                    new
                });
                Err(mistakes)
            }
        }
    }
}

/// A scheme that is a protocol.
fn protocol_scheme(name: &str, definition: &Definition, protocol: Protocol) -> Scheme {
    Scheme {
        name: name.into(),
        definition: definition.clone(),
        time_unit: TimeUnit::Seconds,
        encoding: Encoding::Base64,
        nonce_length: None,
        coverage: protocol.coverage(),
        strength: protocol.strength(),
        open: protocol.open(),
        unfit: Vec::new(),
        facts: Protocol::facts(),
        plans: Vec::new(),
        rest: None,
        answer: None,
        protocol: Some(protocol),
    }
}

struct Compiler<'d> {
    definition: &'d Definition,
    mistakes: Vec<SchemeMistake>,
    /// Names whose values are at fault: who uses one of these is not told that it does not exist.
    broken: Vec<String>,
    slots: usize,
}

impl Compiler<'_> {
    fn scheme(&mut self, name: &str) -> Option<Scheme> {
        let definition = self.definition;
        match Protocol::of(definition) {
            Ok(Some(protocol)) => return Some(protocol_scheme(name, definition, protocol)),
            Ok(None) => {}
            Err(mistakes) => {
                self.mistakes.extend(mistakes);
                return None;
            }
        }
        let time_unit = self.time_unit();
        let encoding = self.encoding();
        let declared = self.strength();
        if definition.message.is_none() {
            self.missing("message", "what is signed: message = \"{body}\"");
        }
        if definition.signature.is_none() && definition.any.is_empty() {
            self.missing(
                "signature",
                "where the signature is: signature = \"{header:X-SIGNATURE}\"",
            );
        }
        if definition.mac.is_none() {
            self.missing("mac", "the algorithm: mac = \"hmac-sha256\"");
        }
        let mut plans = Vec::new();
        for method in self.methods() {
            plans.push((method.clone(), self.plan(&method)));
        }
        let rest = self.plan("*");
        let plans: Vec<(String, Plan)> =
            plans.into_iter().filter_map(|(method, plan)| Some((method, plan?))).collect();
        if rest.is_none() && plans.is_empty() || !self.mistakes.is_empty() {
            return None;
        }
        let all: Vec<&Plan> = plans.iter().map(|(_, plan)| plan).chain(&rest).collect();
        if all.iter().any(|plan| !plan.proves_the_secret()) {
            let problem = "a digest without the secret in it can be made by anybody";
            let hint = "put {secret} into the message, or take an HMAC such as hmac-sha256";
            self.mistakes.push(SchemeMistake::of("mac", problem).hint(hint));
            return None;
        }
        let found = coverage::of(&all);
        if let Some(declared) = declared
            && declared > found.strength
        {
            let problem = format!("the message binds less than that: it is {}", found.strength);
            let hint = format!("what it leaves open: {}", found.open.join("; "));
            self.mistakes.push(SchemeMistake::of("strength", problem).hint(hint));
        }
        let answer = answer::compile(definition, &all);
        let answer = answer.map_err(|mistakes| self.mistakes.extend(mistakes)).ok();
        let unfit = coverage::unfit(&all, &found, declared, definition);
        Some(Scheme {
            name: name.into(),
            definition: definition.clone(),
            time_unit: time_unit?,
            encoding: encoding?,
            nonce_length: definition.nonce_length,
            strength: declared.unwrap_or(found.strength).min(found.strength),
            coverage: found.coverage,
            open: found.open,
            unfit,
            facts: coverage::facts(&all),
            plans: plans.into_iter().map(|(method, plan)| (method.into(), plan)).collect(),
            rest,
            answer: answer?,
            protocol: None,
        })
    }

    fn missing(&mut self, key: &str, hint: &str) {
        let problem = format!("the key `{key}` is missing");
        self.mistakes.push(SchemeMistake::of(key, problem).hint(hint));
    }

    /// The methods that any key names.
    fn methods(&self) -> Vec<String> {
        let definition = self.definition;
        let single = [
            &definition.key_id,
            &definition.time,
            &definition.nonce,
            &definition.deadline,
            &definition.message,
            &definition.key,
            &definition.signature,
        ];
        let lets = definition.lets.iter().map(|(_, formula)| formula);
        let any =
            definition.any.iter().flat_map(|place| [Some(&place.signature), place.key.as_ref()]);
        let formulas = single.into_iter().flatten().chain(lets).chain(any.flatten());
        let mut methods: Vec<String> = formulas
            .flat_map(Formula::methods)
            .filter(|method| *method != "*")
            .map(str::to_owned)
            .collect();
        methods.sort();
        methods.dedup();
        methods
    }

    /// The scheme for one method, or for all others; none where it says nothing of them.
    fn plan(&mut self, method: &str) -> Option<Plan> {
        let definition = self.definition;
        let mut scope = Scope::default();
        for (name, formula) in &definition.lets {
            let key = format!("let.{name}");
            let Some(template) = self.template(formula, &key, method, &scope) else {
                formula.text(&key, method)?;
                self.broken.push(name.clone());
                continue;
            };
            if let Err(fault) = scope.define(name, template) {
                self.mistakes.push(SchemeMistake::of(key, format!("{name}: {fault}")));
            }
        }
        let message = self.template(definition.message.as_ref()?, "message", method, &scope);
        let mut claim = |formula: &Option<Formula>, key: &str| {
            let formula = formula.as_ref()?;
            self.claim(formula, key, method, &scope)
        };
        let key_id = claim(&definition.key_id, "key_id");
        let time = claim(&definition.time, "time");
        let nonce = claim(&definition.nonce, "nonce");
        let deadline = claim(&definition.deadline, "deadline");
        let algorithm = self.algorithm(&scope);
        let places = self.places(method, &scope, algorithm.as_ref());
        let require = self.require(&scope);
        let must_list = self.must_list(&scope);
        let message = message?;
        if !message.kind().is_scalar() && message.kind() != Type::Json {
            let problem =
                format!("what is signed is text or bytes, and this is {}", message.kind());
            let hint = "make it text with 'join'";
            self.mistakes.push(SchemeMistake::of("message", problem).hint(hint));
            return None;
        }
        Some(Plan {
            key_id,
            time,
            nonce,
            deadline,
            message,
            algorithm: algorithm?,
            places,
            require,
            must_list,
            scope,
        })
    }

    /// A template for a method. That a table says nothing of a method is a mistake, unless nothing
    /// is said of all others at all.
    fn template(
        &mut self,
        formula: &Formula,
        key: &str,
        method: &str,
        scope: &Scope,
    ) -> Option<Template> {
        let Some((text, key)) = formula.text(key, method) else {
            if method != "*" {
                let problem = format!("nothing is said of {method}");
                let hint = "add it, or \"*\" for all other methods";
                self.mistakes.push(SchemeMistake::of(key, problem).hint(hint));
            }
            return None;
        };
        self.compiled(text, &key, scope)
    }

    fn compiled(&mut self, text: &str, key: &str, scope: &Scope) -> Option<Template> {
        let placed = |mistake: Mistake| SchemeMistake {
            key: key.to_owned(),
            span: Some(mistake.span),
            problem: mistake.problem,
            hint: mistake.hint,
        };
        let broken = |mistake: &Mistake| {
            let word = text.get(mistake.span.clone()).unwrap_or_default();
            self.broken.iter().any(|name| word.strip_prefix('@').unwrap_or(word) == name)
        };
        Template::compile(text, scope)
            .map_err(|mut found| {
                found.retain(|mistake| !broken(mistake));
                self.mistakes.extend(found.into_iter().map(placed));
            })
            .ok()
    }

    fn claim(
        &mut self,
        formula: &Formula,
        key: &str,
        method: &str,
        scope: &Scope,
    ) -> Option<Claim> {
        let template = self.template(formula, key, method, scope)?;
        let (text, key) = formula.text(key, method)?;
        if template.is_secret() {
            let problem = "what a message says of itself is not secret";
            self.mistakes.push(SchemeMistake::of(key.clone(), problem));
        }
        let may_list = key.contains("signature");
        let kind = template.kind();
        if !(kind.is_scalar() || kind == Type::Json || kind == Type::List && may_list) {
            let problem = format!("one value belongs here, and this is {kind}");
            self.mistakes.push(SchemeMistake::of(key, problem));
            return None;
        }
        let shown = self.shown(&template, text);
        Some(Claim::new(template, shown))
    }

    /// What a refusal calls a claim: the name of its header as the definition spells it, or where
    /// else it is.
    fn shown(&self, template: &Template, text: &str) -> &'static str {
        use crate::recipe::Origin;
        let origins = template.origins();
        let read = origins.iter().find(|origin| **origin != Origin::Constant);
        let Some(Origin::Header(name)) = read else {
            return place_name(&read.map_or_else(|| text.to_owned(), ToString::to_string));
        };
        let lets = self.definition.lets.iter().flat_map(|(_, formula)| formula.texts());
        let spelt = std::iter::once(text).chain(lets).find_map(|text| {
            let at = text.to_ascii_lowercase().find(&format!("header:{}", name.0))?;
            text.get(at + "header:".len()..)?.get(..name.0.as_str().len())
        });
        place_name(spelt.unwrap_or(name.0.as_str()))
    }

    fn algorithm(&mut self, scope: &Scope) -> Option<Algorithm> {
        let text = self.definition.mac.as_deref()?;
        if let Some(method) = Method::named(text) {
            return Some(Algorithm::Fixed(method));
        }
        if !text.contains('{') {
            let problem = format!("there is no algorithm '{text}'");
            let hint = format!(
                "hmac- and a digest such as sha256, a digest alone where the secret stands in the \
                 message, ed25519, rsa-v1_5-sha256, ecdsa-p256-sha256, or {COMPARISON} for tokens"
            );
            self.mistakes.push(SchemeMistake::of("mac", problem).hint(hint));
            return None;
        }
        let template = self.compiled(text, "mac", scope)?;
        match walk::choices(&template) {
            Some(names) => {
                for name in names {
                    match Method::named(name) {
                        Some(Method::Mac(_)) => {}
                        _ => {
                            let problem = format!("'{name}' is no HMAC and no digest");
                            self.mistakes.push(SchemeMistake::of("mac", problem));
                        }
                    }
                }
            }
            None => {
                let problem = "a message chooses its algorithm only among those that 'map' lists";
                let hint = "end it with map('…', 'hmac-sha256', …)";
                self.mistakes.push(SchemeMistake::of("mac", problem).hint(hint));
            }
        }
        Some(Algorithm::Chosen(template))
    }

    fn places(
        &mut self,
        method: &str,
        scope: &Scope,
        algorithm: Option<&Algorithm>,
    ) -> SmallVec<[Place; 1]> {
        let definition = self.definition;
        let first = definition.signature.as_ref().map(|at| (at, None, "signature".to_owned()));
        let more = definition.any.iter().enumerate().map(|(n, place)| {
            (&place.signature, place.key.as_ref(), format!("any[{n}].signature"))
        });
        let mut places = SmallVec::new();
        for (at, key, name) in first.into_iter().chain(more) {
            let Some(signature) = self.claim(at, &name, method, scope) else { continue };
            let key_name = match key {
                Some(_) => name.replace("signature", "key"),
                None => "key".to_owned(),
            };
            let whole = Formula::Always("{secret}".to_owned());
            let key = key.or(definition.key.as_ref()).unwrap_or(&whole);
            let Some(key) = self.template(key, &key_name, method, scope) else { continue };
            let fixed = matches!(algorithm, Some(Algorithm::Fixed(_)));
            let slot = (fixed && coverage::is_of_credential(&key)).then(|| {
                self.slots += 1;
                self.slots - 1
            });
            places.push(Place { signature, key, slot });
        }
        places
    }

    fn require(&mut self, scope: &Scope) -> Vec<[Template; 2]> {
        let mut pairs = Vec::new();
        for (n, [left, right]) in self.definition.require.iter().enumerate() {
            let left = self.compiled(left, &format!("require[{n}][0]"), scope);
            let right = self.compiled(right, &format!("require[{n}][1]"), scope);
            pairs.extend(left.zip(right).map(|(left, right)| [left, right]));
        }
        pairs
    }

    fn must_list(&mut self, scope: &Scope) -> Vec<(Template, Vec<String>)> {
        let mut lists = Vec::new();
        for (n, must) in self.definition.must_list.iter().enumerate() {
            let key = format!("must_list[{n}].list");
            let Some(list) = self.compiled(&must.list, &key, scope) else { continue };
            if !matches!(list.kind(), Type::List | Type::Json) {
                let problem = format!("a list belongs here, and this is {}", list.kind());
                let hint = "make it a list with 'split'";
                self.mistakes.push(SchemeMistake::of(key, problem).hint(hint));
            }
            lists.push((list, must.names.clone()));
        }
        lists
    }

    fn time_unit(&mut self) -> Option<TimeUnit> {
        let name = self.definition.time_unit.as_deref().unwrap_or("s");
        let unit = TimeUnit::named(name);
        if unit.is_none() {
            let problem = format!("there is no unit '{name}'");
            let hint = format!("one of {}", time_unit::NAMES.join(", "));
            self.mistakes.push(SchemeMistake::of("time_unit", problem).hint(hint));
        }
        unit
    }

    fn encoding(&mut self) -> Option<Encoding> {
        let any_case = match self.definition.compare.as_deref() {
            None | Some("exact") => false,
            Some("ci") => true,
            Some(other) => {
                let problem = format!("expected exact or ci, found '{other}'");
                self.mistakes.push(SchemeMistake::of("compare", problem));
                false
            }
        };
        let name = self.definition.encode.as_deref().unwrap_or("hex");
        let encoding = Encoding::named(name, any_case);
        match encoding {
            None => {
                let problem = format!("there is no encoding '{name}'");
                let hint = format!("one of {}", encoding::NAMES.join(", "));
                self.mistakes.push(SchemeMistake::of("encode", problem).hint(hint));
            }
            Some(encoding) if any_case && !encoding.is_hex() => {
                let problem = "only hexadecimal can be compared without case";
                self.mistakes.push(SchemeMistake::of("compare", problem));
            }
            Some(_) => {}
        }
        encoding
    }

    fn strength(&mut self) -> Option<Strength> {
        let name = self.definition.strength.as_deref()?;
        let strength = Strength::named(name);
        if strength.is_none() {
            let problem = format!("expected full, partial, token or none, found '{name}'");
            self.mistakes.push(SchemeMistake::of("strength", problem));
        }
        strength
    }
}
