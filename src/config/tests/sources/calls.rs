//! Whom a source asks and what it posts back: what must be asked, and whom a call may reach.

use super::*;

const CONFIRM: &str = "[sources.fiuu.confirm]\nca = \"ca.pem\"";
const POST_BACK: &str = "[sources.fiuu.post_back]\nca = \"ca.pem\"";
const ORDER: &str = "[sources.fiuu.order]\nurl = \"https://shop.example/{order | urlencode}\"\n\
                     ca = \"ca.pem\"\nanswer = { facts = { amount = \"{json:amount}\" } }";

fn with_confirm(confirm: &str) -> Folder {
    folder(&change(WEBHOOKS, CONFIRM, confirm))
}

/// With keys in the table of the source itself.
fn with_keys(keys: &str) -> Folder {
    let webhooks = change(WEBHOOKS, CONFIRM, "");
    let webhooks = change(&webhooks, POST_BACK, "post_back = false");
    folder(&change(&webhooks, "post_back = false", &format!("post_back = false\n{keys}")))
}

#[test]
fn what_proves_too_little_is_confirmed() {
    let (config, _) = loaded(&with_confirm(CONFIRM));
    assert!(config.sources[0].confirm.as_ref().unwrap().provider.is_some());
    check(&with_keys("confirm = false"), "fiuu", ".confirm", "must be confirmed");
    let both = change(WEBHOOKS, CONFIRM, &format!("{CONFIRM}\n{ORDER}"));
    let (config, _) = loaded(&folder(&both));
    let confirm = config.sources[0].confirm.as_ref().unwrap();
    assert!(confirm.provider.is_some() && confirm.order.is_some());
    let webhooks = change(WEBHOOKS, CONFIRM, ORDER);
    let alone =
        change(&webhooks, "destination = \"shop\"", "destination = \"shop\"\nconfirm = false")
            .replace("verify_key = { file = \"verify.txt\" }, ", "");
    let (config, _) = loaded(&folder(&alone));
    let confirm = config.sources[0].confirm.as_ref().unwrap();
    assert!(confirm.provider.is_none() && confirm.order.is_some());
    // A token proves nothing, and nothing says how anybody is asked.
    let token = OWN.replace("\"github\"", "\"xendit\"");
    check(&folder(&token), "own", ".confirm", "must be confirmed");
    let unsigned = OWN.replace("\"github\"", "\"github\"\nunsigned = \"confirm\"");
    check(&folder(&unsigned), "own", ".confirm", "must be confirmed");
}

#[test]
fn what_proves_all_is_confirmed_where_that_is_asked_for() {
    let (config, _) = loaded(&folder(OWN));
    assert!(config.sources[0].confirm.is_none());
    check_own("confirm = true", ".confirm", "nothing says how the provider is asked");
    check_own("post_back = true", ".post_back", "nothing says how fields are posted back");
    check_own("confirm = 3", ".confirm", "expected true, false or a table");
    let asked = "facts.state = \"{json:state}\"\n\
                 [sources.own.confirm]\nurl = \"https://api.example/x\"\nca = \"ca.pem\"\n\
                 every = \"5s\"\npending_for = \"1h\"\n\
                 answer = { facts = { state = \"{json:state}\" } }\n";
    let (config, _) = loaded(&folder(&format!("{OWN}{asked}")));
    let confirm = config.sources[0].confirm.as_ref().unwrap();
    assert!(confirm.provider.is_some());
    assert_eq!(confirm.every, Duration::from_secs(5));
    assert_eq!(confirm.pending_for, Duration::from_secs(3600));
    for (from, to, key, words) in [
        ("every = \"5s\"", "every = \"2h\"", ".confirm.every", "from 10ms to 1h"),
        ("\"1h\"", "\"91d\"", ".confirm.pending_for", "from 1s to 90d"),
        ("https://api.example/x", "ftp://api.example/x", ".confirm.url", "https://"),
        ("https://api.example/x", "https://10.0.0.1/x", ".confirm", "none of the networks"),
        ("https://api.example/x", "http://api.example/x", ".confirm", "plain http goes to named"),
        ("url = \"https://api.example/x\"\n", "", ".confirm.url", "nobody is named"),
        ("{json:state}\" } }", "{json:state\" } }", ".confirm.answer.facts.state", "main.toml"),
        ("ca = \"ca.pem\"\nevery", "ca = \"fiuu.txt\"\nevery", ".confirm.ca", "no certificate"),
        ("answer = {", "require = []\nanswer = {", ".confirm.require", "unknown key"),
        ("answer = {", "answer = { unknown = [200],", ".confirm.answer.unknown", "400 to 599"),
        (
            "answer = {",
            "answer = { require = [[\"{json:a}\"]],",
            ".confirm.answer.require[0]",
            "two templates",
        ),
    ] {
        let changed = format!("{OWN}{}", change(asked, from, to));
        check(&folder(&changed), "own", key, words);
    }
}

#[test]
fn one_key_takes_the_place_of_one_key() {
    let sandbox = format!("{CONFIRM}\nurl = \"http://127.0.0.1:1/x\"\nnetworks = [\"127.0.0.1\"]");
    let (config, notes) = loaded(&with_confirm(&sandbox));
    assert!(config.sources[0].confirm.as_ref().unwrap().provider.is_some());
    assert!(notes.contains("sources.fiuu.confirm.networks: its calls may reach 127.0.0.1/32"));
    let misspelt = format!("{CONFIRM}\nlet.skey = \"{{transaktion}}\"");
    check(&with_confirm(&misspelt), "fiuu", ".confirm.let.skey", "transaktion");
}

#[test]
fn a_post_back_is_as_the_profile_says() {
    let none = change(WEBHOOKS, POST_BACK, "")
        .replace("destination = \"shop\"", "destination = \"shop\"\npost_back = false");
    assert!(loaded(&folder(&none)).0.sources[0].post_back.is_none());
    let always = format!("{POST_BACK}\nwhen = {{ value = \"{{form:nbcb}}\", one_of = [] }}");
    let folder = folder(&change(WEBHOOKS, POST_BACK, &always));
    check(&folder, "fiuu", ".post_back.when.one_of", "among none");
}

#[test]
fn a_secret_in_a_header_of_a_call_is_not_written_out() {
    for (name, good) in [
        ("Authorization", "Bearer {cred:shop}"),
        ("X-Api-Key", "{cred:shop}"),
        ("AccessToken", "{cred:shop}"),
    ] {
        let with = |text: &str| {
            let order =
                change(ORDER, "ca =", &format!("headers = {{ {name} = \"{text}\" }}\nca ="));
            let webhooks = change(WEBHOOKS, CONFIRM, &format!("{CONFIRM}\n{order}"));
            let values = "values = { shop = { file = \"verify.txt\" }, ";
            folder(&change(&webhooks, "values = { ", values))
        };
        assert!(with(good).load().is_ok(), "{}", with(good).faults());
        let literal = with("Bearer hunter2-0123456789");
        let faults = literal.faults();
        let key = format!("sources.fiuu.order.headers.{name}");
        assert!(faults.iter().any(|fault| fault.key == key), "{faults}");
        assert!(!faults.to_string().contains("hunter2"), "{faults}");
    }
    let plain = change(ORDER, "ca =", "headers = { Accept = \"application/json\" }\nca =");
    let webhooks = change(WEBHOOKS, CONFIRM, &format!("{CONFIRM}\n{plain}"));
    assert!(folder(&webhooks).load().is_ok());
}

#[test]
fn no_message_shows_a_secret_of_webhooks() {
    const MARKER: &str = "PLANTED-hunter2-0123456789";
    for literal in [
        format!("secrets = [\"{MARKER}\"]"),
        format!("secrets = {{ value = \"{MARKER}\" }}"),
        format!("secrets = [{{ value = \"{MARKER}\" }}]"),
        format!("secrets = [{{ file = \"fiuu.txt\", from = 1 }}, \"{MARKER}\"]"),
        format!("secret = \"{MARKER}\"\nsecrets = [{{ file = \"fiuu.txt\" }}]"),
        format!("secrets = [{{ file = \"fiuu.txt\" }}]\nvalues = {{ x = \"{MARKER}\" }}"),
        format!("secrets = [{{ file = \"fiuu.txt\" }}]\nvalues = \"{MARKER}\""),
        format!("secrets = [{{ env = \"{MARKER}\" }}]"),
        format!("secrets = [\"{MARKER}"),
        format!("secrets = [{MARKER}]"),
        format!("secrets = [\"{MARKER}\"]\nsecrets = [\"{MARKER}\"]"),
        format!("secrets = [{{ file = \"fiuu.txt\" }}]\nconfirm = \"{MARKER}\""),
        format!("secrets =\n{MARKER} = 1"),
    ] {
        let own = change(OWN, "secrets = [{ file = \"fiuu.txt\" }]", &literal);
        let faults = folder(&own).faults();
        let shown = format!("{faults}\n{faults:?}\n{}", serde_json::to_string(&faults).unwrap());
        assert!(!shown.contains("hunter2"), "{literal} gave\n{shown}");
        let shop = change(OWN, "secrets = [{ file = \"shop.whsec\" }]", &literal);
        let shown = format!("{:?}", folder(&shop).faults());
        assert!(!shown.contains("hunter2"), "{literal} gave\n{shown}");
    }
}
