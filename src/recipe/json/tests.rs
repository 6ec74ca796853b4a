use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Json<'_> {
    Json::parse(text.as_bytes()).unwrap()
}

fn fault(text: &str) -> Fault {
    Json::parse(text.as_bytes()).unwrap_err()
}

#[test]
fn order_and_numbers_are_kept() {
    let text = r#"{"b":1.50,"a":-0,"n":[1e+05,100.00,12345678901234567890.10],"":null,"t":true}"#;
    assert_eq!(read(text).write(Style::COMPACT), text);
    let spaced = " {\t\"b\" :\r\n1.50 , \"a\":[ ] , \"c\": { } } ";
    assert_eq!(read(spaced).write(Style::COMPACT), r#"{"b":1.50,"a":[],"c":{}}"#);
}

#[test]
fn what_is_no_json_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "[",
        "\"",
        "[1,]",
        "{\"a\":1,}",
        "{a:1}",
        "{'a':1}",
        "[1 2]",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "0x1",
        "NaN",
        "Infinity",
        "nul",
        "truee",
        "1 1",
        "\u{feff}1",
        "[1]]",
        "\"\n\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "{\"a\"}",
        "// 1\n1",
        "\u{a0}1",
    ] {
        assert_eq!(fault(text), Fault::malformed(), "{text}");
    }
    assert_eq!(Json::parse(b"\"\xff\""), Err(Fault::not_text()));
}

/// Around the sixteen bytes that are looked at together.
#[test]
fn what_ends_plain_text_is_found_at_every_place() {
    let marks =
        ["\\/", "\\\"", "\\u00e9", "é", "\"", "\\", "\\x", "\u{1}", "\n", "\u{1f}", "\u{7f}"];
    for (before, mark) in ["", "\\/", "é"].iter().flat_map(|b| marks.map(|mark| (*b, mark))) {
        for (at, length) in (0..36).flat_map(|length| (0..=length).map(move |at| (at, length))) {
            let (front, rest) = ("x".repeat(at), "y".repeat(length - at));
            for end in ["\"", ""] {
                let text = format!("\"{before}{front}{mark}{rest}{end}");
                let expected: Option<String> = serde_json::from_str(&text).ok();
                let read = Json::parse(text.as_bytes()).ok();
                let read = read.map(|json| json.text().unwrap().into_owned());
                assert_eq!(read, expected, "{text}");
            }
        }
    }
}

#[test]
fn members_that_repeat_are_refused() {
    assert_eq!(fault(r#"{"a":1,"b":2,"a":1}"#), Fault::repeated());
    assert_eq!(fault(r#"[{"x":{"a":1,"\u0061":1}}]"#), Fault::repeated());
    let many: Vec<String> = (0..100).map(|n| format!("\"{n}\":0")).collect();
    read(&format!("{{{}}}", many.join(",")));
    assert_eq!(fault(&format!("{{{},\"57\":0}}", many.join(","))), Fault::repeated());
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    read(&nested(DEPTH_MAX));
    assert_eq!(fault(&nested(DEPTH_MAX + 1)), Fault::too_long());
    assert_eq!(fault(&"[".repeat(1_000_000)), Fault::too_long());
    let wide = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
    read(&wide(VALUES_MAX - 1));
    assert_eq!(fault(&wide(VALUES_MAX)), Fault::too_long());
}

#[test]
fn paths_lead_to_values() {
    let json = read(r#"{"a":{"b":[{"c":1},2],"0":3},"d.e":4}"#);
    let at = |path: &str| json.get(&Path::parse(path).unwrap()).map(|value| value.flat_text());
    assert_eq!(at("a.b.0.c").as_deref(), Some("1"));
    assert_eq!(at("a.b.1").as_deref(), Some("2"));
    assert_eq!(at("a.0").as_deref(), Some("3"));
    assert_eq!(at("\"d.e\"").as_deref(), Some("4"));
    assert_eq!(at("a.b").as_deref(), Some(r#"[{"c":1},2]"#));
    for path in ["x", "a.b.2", "a.b.c", "a.b.0.c.d", "a.b.\"0\""] {
        assert_eq!(at(path), None, "{path}");
    }
}

#[test]
fn values_become_text() {
    let json = read(r#"{"s":"é\n","n":1.0,"t":true,"f":false,"z":null,"o":{"a":[]}}"#);
    let pairs = json.pairs().unwrap();
    let texts: Vec<&str> = pairs.iter().map(|(_, text)| &**text).collect();
    assert_eq!(texts, ["é\n", "1.0", "true", "false", "", r#"{"a":[]}"#]);
    assert_eq!(Json::Null.text(), Err(Fault::absent()));
    assert_eq!(json.text(), Err(Fault::not_text()));
    assert_eq!(read("[1]").pairs(), Err(Fault::not_text()));
}

/// PHP: `echo json_encode(json_decode($text));` and Python: `json.dumps(json.loads(text))`, with
/// `json.dumps(…, ensure_ascii=False, separators=(",", ":"))` for the compact style.
/// Go 1.22: `json.Marshal` of the same string.
#[test]
fn styles_are_those_of_other_languages() {
    let text =
        "{\"u\":\"https://a/\\u00e9\\ud83d\\ude00\",\"c\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001<&>\"}";
    let in_style = |names: &[&str]| {
        let style = names.iter().fold(Style::COMPACT, |style, name| style.with(name));
        read(text).write(style)
    };
    assert_eq!(
        in_style(&[]),
        "{\"u\":\"https://a/é😀\",\"c\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001<&>\"}"
    );
    assert_eq!(
        in_style(&["php"]),
        "{\"u\":\"https:\\/\\/a\\/\\u00e9\\ud83d\\ude00\",\
         \"c\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001<&>\"}"
    );
    assert_eq!(
        in_style(&["python"]),
        "{\"u\": \"https://a/\\u00e9\\ud83d\\ude00\", \"c\": \"\\\"\\\\\\b\\f\\n\\r\\t\\u0001<&>\"}"
    );
    assert_eq!(
        in_style(&["go"]),
        "{\"u\":\"https://a/é😀\",\"c\":\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u003c\\u0026\\u003e\"}"
    );
    assert_eq!(in_style(&["slashes", "ascii"]), in_style(&["php"]));
}

/// The example of RFC 8785, section 3.2.3: `\ufb33` comes after the character beyond the BMP.
#[test]
fn members_are_sorted_by_their_utf16() {
    let text = r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7,
                   "in":{"b":[{"d":1,"c":2}],"a":0}}"#;
    let sorted = read(text).sorted().write(Style::COMPACT);
    let expected = "{\"\\r\":2,\"1\":4,\"in\":{\"a\":0,\"b\":[{\"c\":2,\"d\":1}]},\"\u{80}\":6,\
                    \"ö\":7,\"€\":1,\"😀\":5,\"\u{fb33}\":3}";
    assert_eq!(sorted, expected);
}

#[test]
fn wiped_values_hold_nothing_of_their_own() {
    let mut json = read(r#"{"a":["secret"]}"#).into_owned();
    json.wipe();
    assert_eq!(json.write(Style::COMPACT), r#"{"":[""]}"#);
    assert_eq!(format!("{json:?}"), "‹JSON›");
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(6, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::vec((any::<String>(), inner), 0..8)
                .prop_map(|members| members.into_iter().collect::<serde_json::Value>()),
        ]
    })
}

proptest! {
    /// What another writer writes is read, and written again byte for byte, compact or not.
    #[test]
    fn reads_what_serde_writes(value in any_json()) {
        let compact = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(&read(&compact).write(Style::COMPACT), &compact);
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(&read(&pretty).write(Style::COMPACT), &compact);
    }

    /// Another reader reads the same out of every style.
    #[test]
    fn serde_reads_every_style(value in any_json()) {
        let text = serde_json::to_string(&value).unwrap();
        for name in Style::NAMES {
            let written = read(&text).write(Style::COMPACT.with(name));
            let again: serde_json::Value = serde_json::from_str(&written).unwrap();
            prop_assert_eq!(&again, &serde_json::from_str::<serde_json::Value>(&text).unwrap());
        }
    }

    /// Broken text is refused by both, or read as the same by both. Only this reader refuses
    /// members that repeat, and only serde refuses numbers that no float can hold.
    #[test]
    fn agrees_with_serde_on_broken_text(value in any_json(), at in any::<prop::sample::Index>(),
                                        with in "[\\[\\]{}\",:0-9eE.+\\\\untrf -]{0,3}") {
        let mut text = serde_json::to_string(&value).unwrap();
        let mut at = at.index(text.len());
        while !text.is_char_boundary(at) { at -= 1; }
        text.insert_str(at, &with);
        let theirs = serde_json::from_str::<serde_json::Value>(&text);
        match (Json::parse(text.as_bytes()), theirs) {
            (Ok(ours), Ok(theirs)) => {
                let again = ours.write(Style::COMPACT);
                let again: serde_json::Value = serde_json::from_str(&again).unwrap();
                prop_assert_eq!(again, theirs);
            }
            (Err(fault), Ok(_)) => prop_assert_eq!(fault, Fault::repeated()),
            (Ok(_), Err(error)) => prop_assert!(error.to_string().contains("out of range")),
            (Err(_), Err(_)) => {}
        }
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Json::parse(&bytes);
    }
}
