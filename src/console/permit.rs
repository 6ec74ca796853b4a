//! What an operator may do: by the token's role, and to whom, where it is for one merchant.
//!
//! A token for one merchant reaches that merchant and its credentials. Everything that concerns
//! others or all is closed to it, what is not known to concern one merchant included.

use serde_json::{Map, Value};

use crate::administration::token::RoleWord;
use crate::administration::{Code, Office, Problem, Verb};
use crate::store::StoreFault;

use super::operator::Operator;
use super::refusal::Refusal;

/// Merchants as such: their ids here are of merchants that are not there yet.
const MERCHANTS: &str = "/admin/v1/merchants";

/// What of an input says whom a verb is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// `merchant`, in the path.
    Merchant,
    /// `key_id`, in the path: a credential that is there.
    Credential,
    /// `merchant`, which may be left out.
    Narrowed,
    /// It concerns all.
    All,
}

impl Reach {
    fn of(verb: &Verb) -> Self {
        let in_path = |name: &str| verb.path_members().any(|own| own == name);
        let schema = verb.input_schema();
        let named = schema.get("properties").and_then(|all| all.get("merchant")).is_some();
        match () {
            () if in_path("key_id") => Self::Credential,
            () if in_path("merchant") => Self::Merchant,
            () if named && verb.path != MERCHANTS => Self::Narrowed,
            () => Self::All,
        }
    }
}

/// Whether the role is enough.
pub(super) fn role(verb: &Verb, operator: &Operator) -> Result<(), Refusal> {
    if operator.role >= verb.role {
        return Ok(());
    }
    let (needed, own) = (RoleWord(verb.role), RoleWord(operator.role));
    Err(Refusal::Forbidden(format!("{} needs the role {needed}, and this is {own}", verb.name)))
}

/// Whether the verb is about the operator's merchant; where the input does not say whom it is
/// about, it is about that one.
pub(super) fn merchant(
    office: &Office,
    verb: &Verb,
    operator: &Operator,
    input: &mut Map<String, Value>,
) -> Result<(), Refusal> {
    let Some(own) = &operator.merchant else { return Ok(()) };
    let forbidden = |what: &str| Err(Refusal::Forbidden(format!("the token is for {own}, {what}")));
    let text = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match Reach::of(verb) {
        Reach::Merchant if text("merchant") == *own => Ok(()),
        Reach::Merchant => forbidden("and this is another"),
        Reach::Narrowed if input.get("merchant").is_none_or(Value::is_null) => {
            input.insert("merchant".to_owned(), own.as_str().into());
            Ok(())
        }
        Reach::Narrowed if text("merchant") == *own => Ok(()),
        Reach::Narrowed => forbidden("and this is another"),
        Reach::Credential => {
            let key_id = text("key_id");
            let found = office.store()?.read(|view| view.credential(&key_id));
            let found: Option<_> = found.map_err(|fault: StoreFault| Refusal::from(fault))?;
            if found.is_some_and(|row| row.merchant == *own) {
                return Ok(());
            }
            // As for one that is not there: whose it is concerns nobody else.
            let detail = format!("there is no credential {key_id}");
            Err(Problem::new(Code::NotFound, detail).into())
        }
        Reach::All => forbidden("and this concerns all"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::administration::{verb, verbs};
    use crate::store::row::Role;

    fn reach(name: &str) -> Reach {
        Reach::of(verb(name).unwrap())
    }

    #[test]
    fn a_role_may_what_those_below_it_may() {
        let operator = |role| Operator { id: "tok_1".into(), role, merchant: None };
        for verb in verbs() {
            assert!(role(verb, &operator(Role::Owner)).is_ok(), "{}", verb.name);
            let allowed = role(verb, &operator(Role::Auditor)).is_ok();
            assert_eq!(allowed, verb.role == Role::Auditor, "{}", verb.name);
        }
    }

    #[test]
    fn whom_a_verb_is_about_is_read_from_its_input() {
        assert_eq!(reach("merchant show"), Reach::Merchant);
        assert_eq!(reach("credential rotate"), Reach::Credential);
        assert_eq!(reach("secret revoke"), Reach::Credential);
        assert_eq!(reach("credential list"), Reach::Narrowed);
        assert_eq!(reach("credential create"), Reach::Narrowed);
        for all in ["merchant create", "merchant list", "policy list", "audit list", "token list"] {
            assert_eq!(reach(all), Reach::All, "{all}");
        }
    }

    /// What changes nothing but one merchant's things names it, so nobody else's can be meant.
    #[test]
    fn what_a_token_for_one_merchant_reaches_is_listed() {
        let mut open: Vec<_> = verbs().filter(|verb| Reach::of(verb) != Reach::All).collect();
        open.retain(|verb| verb.role < Role::Owner);
        let first = |path: &str| path.split('/').nth(3).unwrap_or_default().to_owned();
        for verb in open {
            let first = first(verb.path);
            let known = ["credentials", "merchants", "inventory"].contains(&first.as_str());
            assert!(known, "{} is open to tokens for one merchant: is that right?", verb.name);
        }
    }
}
