//! What a source states takes the place of what its provider's profile states.

use crate::inbox::profile::{AnswerText, CallText, CheckText, InquiryText, PostBackText, Profile};

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn base() -> Profile {
    Profile {
        about: "a provider".into(),
        secret_is: Some("a key".into()),
        scheme: Some("github".into()),
        probes: Some(vec!["GET".into()]),
        lets: pairs(&[("a", "1"), ("b", "2")]),
        facts: pairs(&[("order", "{json:o}"), ("amount", "{json:a}")]),
        identity: Some(vec!["{json:id}".into()]),
        shape: vec![CheckText { name: "one".into(), ..CheckText::default() }],
        answers: vec![(
            "stored".into(),
            AnswerText { status: Some(303), location: Some("/".into()), ..AnswerText::default() },
        )],
        confirm: Some(InquiryText {
            call: CallText {
                url: "https://live.example/".into(),
                headers: pairs(&[("X-Key", "{cred:key}"), ("Accept", "*/*")]),
                body: Some("{order}".into()),
                ..CallText::default()
            },
            require: vec![["a".into(), "b".into()]],
            facts: pairs(&[("order", "{json:o}"), ("amount", "{json:a}")]),
            ..InquiryText::default()
        }),
        post_back: Some(PostBackText::default()),
        ..Profile::default()
    }
}

#[test]
fn nothing_stated_changes_nothing() {
    assert_eq!(base().overridden_by(&Profile::default()), base());
    assert_eq!(Profile::default().overridden_by(&base()), base());
}

#[test]
fn texts_go_by_name_and_lists_go_whole() {
    let own = Profile {
        lets: pairs(&[("b", "3"), ("c", "4")]),
        facts: pairs(&[("amount", ""), ("state", "{json:s}")]),
        identity: Some(Vec::new()),
        shape: vec![CheckText { name: "two".into(), ..CheckText::default() }],
        probes: Some(Vec::new()),
        ..Profile::default()
    };
    let both = base().overridden_by(&own);
    assert_eq!(both.lets, pairs(&[("a", "1"), ("b", "3"), ("c", "4")]));
    assert_eq!(both.facts, pairs(&[("order", "{json:o}"), ("state", "{json:s}")]));
    assert_eq!((both.identity, both.probes), (Some(Vec::new()), Some(Vec::new())));
    assert_eq!(both.shape.len(), 1);
    assert_eq!(both.shape[0].name, "two");
    assert_eq!(both.scheme, base().scheme);
}

#[test]
fn tables_go_by_their_members() {
    let location = Some("https://shop.example/thanks".to_owned());
    let own = Profile {
        answers: vec![
            ("stored".into(), AnswerText { location: location.clone(), ..AnswerText::default() }),
            ("refused".into(), AnswerText { status: Some(400), ..AnswerText::default() }),
        ],
        confirm: Some(InquiryText {
            call: CallText {
                url: "https://sandbox.example/".into(),
                headers: pairs(&[("x-key", "{cred:other}"), ("accept", "")]),
                body: Some(String::new()),
                ..CallText::default()
            },
            facts: pairs(&[("amount", "")]),
            ..InquiryText::default()
        }),
        ..Profile::default()
    };
    let both = base().overridden_by(&own);
    let [(_, stored), (_, refused)] = &both.answers[..] else { panic!("{:?}", both.answers) };
    assert_eq!((stored.status, &stored.location), (Some(303), &location));
    assert_eq!(refused.status, Some(400));
    let confirm = both.confirm.unwrap();
    assert_eq!(confirm.call.url, "https://sandbox.example/");
    assert_eq!(confirm.call.headers, pairs(&[("x-key", "{cred:other}")]));
    assert_eq!(confirm.call.body, None);
    assert_eq!(confirm.facts, pairs(&[("order", "{json:o}")]));
    assert_eq!(confirm.require, base().confirm.unwrap().require);
    assert_eq!(both.post_back, Some(PostBackText::default()));
}
