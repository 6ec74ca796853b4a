//! What a profile cannot say, each with its key and place.

use std::sync::Arc;

use crate::config::scheme::builtin;
use crate::inbox::message::Identity;
use crate::inbox::profile::{
    AnswerText, CallText, CheckText, InquiryText, PostBackText, Profile, ProfileMistake,
};
use crate::scheme::Scheme;

fn schemes(name: &str) -> Option<Arc<Scheme>> {
    builtin(name)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn mistakes(scheme: &str, profile: &Profile) -> Vec<ProfileMistake> {
    let compiled = profile.compile(&builtin(scheme).unwrap(), &schemes);
    compiled.err().unwrap_or_default()
}

/// The keys of all mistakes.
#[track_caller]
fn check(scheme: &str, profile: &Profile, expected: &[&str]) {
    let found = mistakes(scheme, profile);
    let keys: Vec<&str> = found.iter().map(|mistake| mistake.key.as_str()).collect();
    assert_eq!(keys, expected, "{found:#?}");
}

fn identity(texts: &[&str]) -> Profile {
    let identity = texts.iter().map(|text| (*text).to_owned()).collect();
    Profile { identity: Some(identity), ..Profile::default() }
}

fn one_of(value: &str, texts: &[&str]) -> CheckText {
    let one_of = texts.iter().map(|text| (*text).to_owned()).collect();
    CheckText {
        name: "check".into(),
        value: value.into(),
        one_of: Some(one_of),
        ..CheckText::default()
    }
}

fn confirm(call: CallText) -> Profile {
    Profile {
        facts: pairs(&[("order", "{json:o}")]),
        confirm: Some(InquiryText {
            call,
            facts: pairs(&[("order", "{json:o}")]),
            ..InquiryText::default()
        }),
        ..Profile::default()
    }
}

fn call(url: &str) -> CallText {
    CallText { url: url.into(), ..CallText::default() }
}

#[test]
fn templates_have_the_place_of_their_mistake() {
    let profile = Profile {
        lets: pairs(&[("data", "{params.json | gte('data')}"), ("next", "{data | get('a')}")]),
        facts: pairs(&[
            ("order", "{data | get('order')}"),
            ("amuont", "{json:a}"),
            ("amount", "{params.form}"),
            ("state", "{jsn:a}"),
        ]),
        ..Profile::default()
    };
    // Who reads a name that is at fault hears nothing of it again.
    check("github", &profile, &["let.data", "facts.amuont", "facts.amount", "facts.state"]);
    let found = mistakes("github", &profile);
    assert_eq!(found[0].span, Some(15..18));
    assert!(found[1].hint.as_ref().unwrap().contains("order, transaction, amount"));
}

#[test]
fn names_of_facts_are_kept_for_them() {
    let profile = Profile { lets: pairs(&[("order", "{json:o}")]), ..Profile::default() };
    check("github", &profile, &["let.order"]);
}

#[test]
fn nothing_secret_is_kept_answered_or_compared_with_the_secret() {
    let body = AnswerText { body: Some("{cred:key}".into()), ..AnswerText::default() };
    let profile = Profile {
        lets: pairs(&[("hidden", "{secret | sha256 | hex}")]),
        facts: pairs(&[("order", "{hidden}"), ("id", "{cred:key}")]),
        answers: vec![("stored".into(), body)],
        shape: vec![one_of("{secret}", &["a"]), one_of("{cred:key}", &["a"])],
        identity: Some(vec!["{json:id}{cred:key}".into()]),
        ..Profile::default()
    };
    let keys = ["facts.order", "facts.id", "shape[0].value", "identity[0]", "answers.stored.body"];
    check("github", &profile, &keys);
}

#[test]
fn identities_are_signed_or_closed() {
    check("github", &identity(&["{json:id}"]), &[]);
    check("github", &identity(&["payment"]), &["identity[0]"]);
    let open = identity(&["{json:id}", "{header:X-GitHub-Delivery}"]);
    check("github", &open, &["identity[1]"]);
    let found = mistakes("github", &open);
    assert!(found[0].problem.starts_with("header:x-github-delivery: not signed by github"));
    assert!(found[0].hint.as_ref().unwrap().contains("leave `identity` out"));
    let nbcb = "{form:nbcb | default('')}";
    let values = |count: usize| (0..count).map(|number| number.to_string()).collect();
    let with = |count| Profile {
        closed: vec![(nbcb.into(), values(count))],
        ..identity(&["{form:tranID}", nbcb])
    };
    check("fiuu", &with(3), &[]);
    check("fiuu", &with(0), &["closed[0].one_of"]);
    check("fiuu", &with(17), &["closed[0].one_of"]);
    check("fiuu", &identity(&["{form:tranID}", nbcb]), &["identity[1]"]);
    check("xendit", &identity(&["{json:id}"]), &["identity[0]"]);
}

#[test]
fn where_none_is_stated_the_nonce_or_the_content_is_the_identity() {
    let found = |scheme: &str, profile: Profile| {
        profile.compile(&builtin(scheme).unwrap(), &schemes).unwrap().reading.identity
    };
    let composed = |scheme: &str, profile| matches!(found(scheme, profile), Identity::Composed(_));
    assert!(composed("standard-webhooks", Profile::default()));
    assert!(!composed("github", Profile::default()));
    // Its nonce is not signed.
    assert!(!composed("xendit", Profile::default()));
    assert!(!composed("standard-webhooks", identity(&[])));
}

#[test]
fn checks_say_one_thing() {
    let text = |text: &str| Some(text.to_owned());
    let value = CheckText { value: "{json:a}".into(), ..CheckText::default() };
    let profile = Profile {
        shape: vec![
            value.clone(),
            CheckText { matches: text("a"), ..one_of("{json:a}", &["a"]) },
            CheckText { matches: text("[a"), ..value.clone() },
            one_of("{json:a}", &[]),
            CheckText { equals: text("{secret}"), ..value.clone() },
            CheckText { matches: text("a"), value: "{cred:a}".into(), ..value.clone() },
            CheckText { matches: text("a"), ..CheckText::default() },
            CheckText { equals: text("{cred:a}"), ..value },
        ],
        ..Profile::default()
    };
    let keys = [
        "shape[0]",
        "shape[1]",
        "shape[2].matches",
        "shape[3].one_of",
        "shape[4].equals",
        "shape[5].matches",
        "shape[6].value",
    ];
    check("github", &profile, &keys);
}

#[test]
fn answers_are_ones_that_can_be_given() {
    let answer = |status, location: Option<&str>| AnswerText {
        status: Some(status),
        location: location.map(str::to_owned),
        ..AnswerText::default()
    };
    let with = |name: &str, answer| Profile {
        answers: vec![(name.to_owned(), answer)],
        ..Profile::default()
    };
    check("github", &with("stored", answer(303, Some("https://shop.example/a"))), &[]);
    check("github", &with("stored", answer(303, Some("/a?b={json:a | urlencode}"))), &[]);
    check("github", &with("stored", answer(303, None)), &["answers.stored.location"]);
    for elsewhere in
        ["{json:url}", "//{json:a | urlencode}", "https://{json:a | urlencode}/", "/{json:a}"]
    {
        let profile = with("stored", answer(303, Some(elsewhere)));
        check("github", &profile, &["answers.stored.location"]);
    }
    check("github", &with("stored", answer(500, None)), &["answers.stored.status"]);
    check("github", &with("duplicate", answer(404, None)), &["answers.duplicate.status"]);
    check("github", &with("refused", answer(200, None)), &["answers.refused.status"]);
    check("github", &with("stored", answer(100, None)), &["answers.stored.status"]);
    check("github", &with("storred", answer(200, None)), &["answers.storred"]);
}

#[test]
fn messages_never_choose_whom_the_gate_calls() {
    for url in [
        "https://api.example.com",
        "https://api.example.com:8443/a/{order | urlencode}?b={json:b | urlencode('form')}",
        "http://localhost/{order | sha256 | hex}",
        "https://api.example.com?order={order | urlencode}",
    ] {
        check("github", &confirm(call(url)), &[]);
    }
    for url in [
        "",
        "{json:url}",
        "{json:url | urlencode}/a",
        "https://{json:host | urlencode}/a",
        "https://api.example.com{json:path | urlencode}",
        "https://api.example.com:{json:port | urlencode}/",
        "https://user:pass@api.example.com/",
        "https:///a",
        "ftp://api.example.com/",
        "api.example.com/a",
        "https://api.example.com/a b",
        "https://api.example.com/#a",
        "https://api.example.com/{order}",
        "https://api.example.com/{order | urlencode | urldecode}",
    ] {
        let keys: Vec<String> =
            mistakes("github", &confirm(call(url))).into_iter().map(|one| one.key).collect();
        assert_eq!(keys, ["confirm.url"], "{url}");
    }
}

#[test]
fn what_is_named_and_encoded_stands_in_an_address() {
    let named = CallText {
        lets: pairs(&[("encoded", "{order | urlencode}"), ("raw", "{order}")]),
        ..call("https://api.example.com/{encoded}")
    };
    check("github", &confirm(named.clone()), &[]);
    let raw = CallText { url: "https://api.example.com/{raw}".into(), ..named };
    check("github", &confirm(raw), &["confirm.url"]);
}

#[test]
fn calls_state_what_is_theirs_to_state() {
    let url = "https://api.example.com/";
    let stated = CallText {
        method: Some("BREW".into()),
        headers: pairs(&[("Host", "a"), ("X Y", "a"), ("X-A", "{params.form}"), ("X-B", "{nope}")]),
        key_id: Some("{cred:id}".into()),
        ..call(url)
    };
    let keys = [
        "confirm.method",
        "confirm.headers.Host",
        "confirm.headers.X Y",
        "confirm.headers.X-A",
        "confirm.headers.X-B",
        "confirm.key_id",
    ];
    check("github", &confirm(stated), &keys);
    let got = CallText { method: Some("GET".into()), body: Some("a".into()), ..call(url) };
    check("github", &confirm(got), &["confirm.method"]);
    let signed = |name: &str| CallText { sign: Some(name.into()), ..call(url) };
    check("github", &confirm(signed("kwikpaisaa")), &["confirm.sign"]);
    check("github", &confirm(signed("kwikpaisa")), &["confirm.key_id"]);
    check("github", &confirm(signed("razorpay")), &[]);
}

#[test]
fn inquiries_compare_what_messages_say() {
    let compared = |facts: &[(&str, &str)]| {
        let mut profile = confirm(call("https://api.example.com/"));
        profile.confirm.as_mut().unwrap().facts = pairs(facts);
        profile
    };
    check("github", &compared(&[]), &["confirm.answer.facts"]);
    check("github", &compared(&[("amount", "{json:a}")]), &["confirm.answer.facts.amount"]);
    check("github", &compared(&[("odrer", "{json:a}")]), &["confirm.answer.facts.odrer"]);
    check("github", &compared(&[("order", "{secret}")]), &["confirm.answer.facts.order"]);
    let mut profile = compared(&[("order", "{json:o}")]);
    let inquiry = profile.confirm.as_mut().unwrap();
    inquiry.require = vec![["{order}".into(), "{nope}".into()]];
    inquiry.unknown = Some(vec![200]);
    inquiry.lets = pairs(&[("a", "{body | sha266}")]);
    let keys = ["confirm.answer.let.a", "confirm.answer.require[0][1]", "confirm.answer.unknown"];
    check("github", &profile, &keys);
}

#[test]
fn post_backs_are_calls_too() {
    let profile = Profile {
        post_back: Some(PostBackText {
            call: call("https://api.example.com{body}"),
            when: Some(one_of("{fomr:nbcb}", &["1"])),
        }),
        ..Profile::default()
    };
    check("github", &profile, &["post_back.url", "post_back.when.value"]);
}
