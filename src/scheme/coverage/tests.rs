//! What built-in schemes bind of templates that others wrote.

use crate::config::scheme::builtin;
use crate::recipe::{Credentials, Scope, Template, Type};
use crate::scheme::{Definition, Formula, Scheme};

fn binds(scheme: &Scheme, text: &str) -> bool {
    let scope = Scope::new(Credentials::Any);
    scheme.binds(&Template::compile(text, &scope).unwrap(), &scope)
}

#[track_caller]
fn check(scheme: &str, bound: &[&str], open: &[&str]) {
    let scheme = builtin(scheme).unwrap();
    for text in bound {
        assert!(binds(&scheme, text), "{} does not bind {text}", scheme.name());
    }
    for text in open {
        assert!(!binds(&scheme, text), "{} binds {text}", scheme.name());
    }
}

#[test]
fn signed_bodies_bind_all_that_is_read_of_them() {
    let read = ["{json:id}", "{params.json | get('a.b') | default('')}", "{form:a | lower}"];
    check("stripe", &read, &["{header:X-Id}", "{query:a}", "{method}", "{target}", "{path}"]);
    check("github", &read, &["{header:X-GitHub-Delivery}", "{json:id}{header:X-GitHub-Delivery}"]);
}

#[test]
fn signed_headers_bind_what_is_cut_of_them() {
    let cut = "{header:Stripe-Signature | pairs(',', '=') | get('t')}";
    let other = "{header:Stripe-Signature | pairs(',', '=') | get('v1')}";
    check("stripe", &[cut], &[other, "{header:Stripe-Signature}"]);
    check("standard-webhooks", &["{header:webhook-id}", "{header:webhook-id | lower}"], &[]);
    check("palomma-webhook", &["{header:X-Encoded-Data | base64_decode | json | get('a')}"], &[]);
}

#[test]
fn signed_fields_bind_themselves_and_no_others() {
    let nine = ["{form:tranID}", "{form:status}", "{form:appcode}", "{form:tranID}-{form:orderid}"];
    let open = ["{form:nbcb}", "{form:tranID}{form:nbcb | default('')}", "{body}", "{params.form}"];
    check("fiuu", &nine, &[&open[..], &["{form_all:tranID}", "{query:tranID}"]].concat());
    let item = "{params.json | get('notificationItems.0.NotificationRequestItem')";
    let (signed, other) = (format!("{item} | get('pspReference')}}"), format!("{item}}}"));
    check("adyen", &[&signed], &[&other, "{json:live}"]);
    check("midtrans", &["{json:order_id}"], &["{json:transaction_status}"]);
}

#[test]
fn values_that_are_signed_without_their_names_are_not_bound() {
    // Whoever sees a signed message can call the order's number the payment's.
    check("paykun", &[], &["{json:transaction.payment_id}", "{json:transaction.order.order_id}"]);
    check("secretpay-callback", &[], &["{json:status}"]);
}

#[test]
fn what_is_absent_in_one_way_is_not_absent_in_another() {
    // The item's reference counts as empty where there is none.
    let read = "{params.json | get('notificationItems.0.NotificationRequestItem') \
                | get('originalReference')";
    let same = format!("{read} | default('')}}");
    check("adyen", &[&same, &format!("{read}}}")], &[&format!("{read} | default('-')}}")]);
}

#[test]
fn forms_that_are_signed_as_their_fields_do_not_bind_their_spelling() {
    let open = ["{body}", "{form:x_signature}", "{params.form | items('{k}{v}') | join('')}"];
    check("billplz-callback", &["{form:id}", "{form:paid | default('-')}"], &open);
}

#[test]
fn tokens_bind_nothing() {
    check(
        "xendit",
        &[],
        &["{header:webhook-id}", "{json:id}", "{body}", "{header:x-callback-token}"],
    );
}

#[test]
fn what_is_no_part_of_a_message_is_not_bound() {
    check("stripe", &["{json:id}{cred:a}"], &["payment", "{cred:a}", "{secret}", "{url(public)}"]);
}

#[test]
fn names_of_another_scope_are_followed() {
    let mut scope = Scope::new(Credentials::Any);
    for (name, text) in [
        ("item", "{params.json | get('notificationItems.0.NotificationRequestItem')}"),
        ("document", "{params.json}"),
        ("delivery", "{header:X-GitHub-Delivery}"),
    ] {
        let template = Template::compile(text, &scope).unwrap();
        scope.define(name, template).unwrap();
    }
    scope.expect("given", Type::Text).unwrap();
    let binds = |scheme: &str, text: &str| {
        let template = Template::compile(text, &scope).unwrap();
        builtin(scheme).unwrap().binds(&template, &scope)
    };
    assert!(binds("adyen", "{item | get('pspReference')}"));
    // The whole item is not signed, and a member stands for it.
    assert!(!binds("adyen", "{item.pspReference}"));
    assert!(!binds("adyen", "{item | get('eventDate')}"));
    assert!(binds("github", "{document.id}"));
    assert!(!binds("github", "{delivery}"));
    assert!(!binds("github", "{document.id}{given}"));
    let open = Template::compile("{document.id}{delivery}", &scope).unwrap();
    let named = builtin("github").unwrap().unbound(&open, &scope);
    assert_eq!(named, ["header:x-github-delivery"]);
}

#[test]
fn what_is_not_there_is_not_signed_and_cannot_be_changed() {
    let always = |text: &str| Some(Formula::Always(text.to_owned()));
    let parts = |message: &str, time: Option<&str>, nonce: Option<&str>| {
        let definition = Definition {
            time: time.and_then(always),
            nonce: nonce.and_then(always),
            message: always(&format!("{{method}}{{target}}{{body}}{message}")),
            mac: Some("hmac-sha256".to_owned()),
            signature: always("{header:X-S}"),
            ..Definition::default()
        };
        let coverage = Scheme::compile("own", &definition).unwrap().coverage();
        (coverage.open_parts(), coverage.unsigned_parts())
    };
    let (time, nonce) = (Some("{header:X-T}"), Some("{header:X-N}"));
    let signed = "{header:X-T}{header:X-N}";
    assert_eq!(parts(signed, time, nonce), (vec![], vec![]));
    assert_eq!(parts(signed, None, None), (vec!["time", "nonce"], vec![]));
    assert_eq!(parts("", time, nonce), (vec!["time", "nonce"], vec!["time", "nonce"]));
    assert_eq!(parts("{header:X-T}", time, nonce), (vec!["nonce"], vec!["nonce"]));
    assert_eq!(parts("{header:X-T}", time, None), (vec!["nonce"], vec![]));
    // A protocol has it in the signature itself, or nowhere.
    let protocol = builtin("rfc9421").unwrap().coverage();
    assert!(!protocol.unsigned_parts().contains(&"nonce"), "{protocol:?}");
}

#[test]
fn every_method_counts() {
    let text = |text: &str| Some(Formula::Always(text.to_owned()));
    let by_method = [("GET", "{query}"), ("*", "{body}")];
    let by_method = by_method.map(|(method, text)| (method.to_owned(), text.to_owned()));
    let definition = Definition {
        message: Some(Formula::ByMethod(by_method.to_vec())),
        mac: Some("hmac-sha256".to_owned()),
        signature: text("{header:X-Signature}"),
        ..Definition::default()
    };
    let scheme = Scheme::compile("by-method", &definition).unwrap();
    assert!(!binds(&scheme, "{json:id}"));
    assert!(!binds(&scheme, "{query:id}"));
}

#[test]
fn protocols_bind_what_they_must_cover() {
    let covered = ["{json:id}", "{body}", "{query:a}", "{method}", "{path}"];
    check("rfc9421", &covered, &["{header:X-Id}", "{cookie:a}"]);
    let scheme = |covers: &[&str]| {
        let definition = Definition {
            protocol: Some("rfc9421".to_owned()),
            mac: Some("hmac-sha256".to_owned()),
            covers: Some(covers.iter().map(ToString::to_string).collect()),
            ..Definition::default()
        };
        Scheme::compile("own", &definition).unwrap()
    };
    let own = scheme(&["method", "x-id", "\"x-list\";key=\"a\""]);
    assert!(binds(&own, "{header:X-Id}"));
    assert!(binds(&own, "{method}"));
    for open in ["{header:X-List}", "{json:id}", "{target}"] {
        assert!(!binds(&own, open), "{open}");
    }
}
