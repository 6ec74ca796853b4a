//! A real gate over TLS: exchanges, refusals in their order, and what must never pass.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use countersign::client::roll::Wallet;
use countersign::clock::Timestamp;
use countersign::roll::keys::Source;
use countersign::roll::next::to_json;
use countersign::roll::session::PATH;
use countersign::roll::{ChainId, EpochSpec, Kid, Material, Preset};
use countersign::secret::Secret;

use crate::kit::{Partner, Site, first_epoch, material, other, put_up, setup};
use crate::support::gateway::START;
use crate::support::request::Request;
use crate::support::setup::GENEROUS;
use crate::support::upstream::{Step, Upstream, answer};

const TEXT: &[u8] = b"{\"amount\":1000}";

#[test]
fn a_request_is_opened_and_its_answer_brings_the_next_keys() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    for generation in 1..5 {
        assert_eq!(partner.generation(), generation);
        partner.pays();
    }
    let came = site.gateway.upstream.last();
    assert_eq!(came.body, TEXT);
    assert_eq!(came.value("content-type"), "application/json");
    assert_eq!(came.value("content-length"), TEXT.len().to_string());
    assert_eq!(came.value("x-countersign-opened"), "roll.v1");
    assert_eq!(came.value("x-countersign-credential"), "pk_live_globex");
    assert!(!came.headers.iter().any(|(name, _)| name.starts_with("x-seal-")), "{came:?}");
    let log = site.gateway.log();
    assert!(!log.contains("amount") && !log.contains("rk1_"), "{log}");
}

#[test]
fn every_form_of_a_message_is_taken() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    // Without a body.
    let answer = partner.sends("GET", "/v2/payments/7?full=1", b"");
    assert_eq!(answer, Ok((200, b"{\"ok\":true}".to_vec())));
    let came = site.gateway.upstream.last();
    assert_eq!((came.method.as_str(), came.target.as_str()), ("GET", "/v2/payments/7?full=1"));
    assert!(came.body.is_empty() && !came.has("content-length") && !came.has("content-type"));
    // As JSON, answered as JSON.
    let (_, sealed) = partner.seal("POST", "/v2/payments", TEXT);
    let body = format!("{{\"sealed\":\"{}\"}}", sealed.text());
    let request = Request::post("/v2/payments", body.as_bytes());
    let request = request.header("X-SEAL-KID", sealed.label().to_string());
    let answer = site.ask(&partner.sign(request));
    assert_eq!(answer.value("content-type"), Some("application/json"));
    assert_eq!(partner.opens(&sealed, &answer), Ok((200, b"{\"ok\":true}".to_vec())));
    assert_eq!(site.gateway.upstream.last().body, TEXT);
    // A sealed body that is empty inside.
    let sealed = partner.wallet.seal(site.now(), "POST", "/v2/payments", b"").unwrap().unwrap();
    let request = put_up("POST", "/v2/payments", &sealed, true);
    let answer = site.ask(&partner.sign(request));
    assert_eq!(partner.opens(&sealed, &answer), Ok((200, b"{\"ok\":true}".to_vec())));
    assert_eq!(site.gateway.upstream.last().value("content-length"), "0");
    // Over HTTP/2.
    let (request, sealed) = partner.seal("POST", "/v2/payments", TEXT);
    let answer = site.gateway.ask_h2(&partner.sign(request));
    assert_eq!(partner.opens(&sealed, &answer), Ok((200, b"{\"ok\":true}".to_vec())));
    // What is no text of JSON is not said to be.
    let answer = partner.sends("POST", "/v2/payments", b"\xff\xfe");
    assert_eq!(answer.unwrap().0, 200);
    assert_eq!(site.gateway.upstream.last().value("content-type"), "application/octet-stream");
}

#[test]
fn answers_are_sealed_whatever_they_are() {
    let site = Site::with(setup("standard", "answer_bytes_max = \"1KiB\""));
    let mut partner = site.partner();
    let upstream = &site.gateway.upstream;
    let mut says = |bytes: &[u8]| {
        upstream.answer(bytes);
        partner.sends("POST", "/v2/payments", TEXT).map(|(status, text)| {
            let json = serde_json::from_slice::<serde_json::Value>(&text).unwrap_or_default();
            (status, json["code"].as_str().unwrap_or_default().to_owned(), text)
        })
    };
    let (status, _, text) = says(&answer("422 No", &[], b"{\"why\":\"funds\"}")).unwrap();
    assert_eq!((status, &*text), (422, &b"{\"why\":\"funds\"}"[..]));
    let none = says(b"HTTP/1.1 204 No Content\r\nX-Seal-Next: forged\r\n\r\n").unwrap();
    assert_eq!((none.0, none.2.len()), (204, 0));
    assert_eq!(says(&answer("200 OK", &[], b"")).unwrap().0, 200);
    let coded = answer("200 OK", &[("Content-Encoding", "gzip")], b"xx");
    let (status, code, _) = says(&coded).unwrap();
    assert_eq!((status, &*code), (502, "upstream_broke"));
    let (status, code, _) = says(&answer("200 OK", &[], &[b'x'; 2000])).unwrap();
    assert_eq!((status, &*code), (502, "answer_too_large"));
    let (status, code, _) = says(b"nonsense\r\n\r\n").unwrap();
    assert_eq!((status, &*code), (502, "upstream_broke"));
    assert_eq!(partner.generation(), 7, "each of them brought the next keys");
    // To HEAD, which is told no body and no length of one.
    let sealed = partner.wallet.seal(site.now(), "HEAD", "/v2/payments", b"").unwrap().unwrap();
    let request = partner.sign(put_up("HEAD", "/v2/payments", &sealed, false));
    upstream.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n");
    let answer = site.ask(&request);
    assert_eq!(partner.opens(&sealed, &answer), Ok((200, Vec::new())));
}

#[test]
fn an_upstream_that_is_slow_or_away_is_told_of_under_seal() {
    let slow = setup("standard", "").service("deadlines.response = \"200ms\"");
    let site = Site::with(slow);
    let mut partner = site.partner();
    site.gateway.upstream.answer_with(|_| vec![Step::Hold]);
    let (status, text) = partner.sends("POST", "/v2/payments", TEXT).unwrap();
    let code =
        |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap()["code"].clone();
    assert_eq!((status, code(&text)), (504, "upstream_timed_out".into()));
    let away = setup("standard", "upstream = \"away\"");
    let mut away = away;
    away.upstreams.push("[upstreams.away]\nurl = \"http://127.0.0.1:1\"\n".into());
    let site = Site::with(away);
    let mut partner = site.partner();
    let (status, text) = partner.sends("POST", "/v2/payments", TEXT).unwrap();
    assert_eq!((status, code(&text)), (502, "upstream_unreachable".into()));
    assert_eq!(partner.generation(), 2);
}

/// I2.
#[test]
fn lost_answers_cost_nothing() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    for _ in 0..20 {
        let (request, _) = partner.seal("POST", "/v2/payments", TEXT);
        assert_eq!(site.ask(&partner.sign(request)).status, 200);
        site.gateway.advance(10);
    }
    assert_eq!(partner.generation(), 1);
    partner.pays();
    assert_eq!(partner.generation(), 2);
}

#[test]
fn keys_end_and_a_session_call_brings_new_ones() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    partner.pays();
    site.gateway.advance(15 * 60 + 2);
    partner.is_refused("key_expired");
    partner.begin();
    partner.pays();
    // A chain ends, however young its last key is.
    for _ in 0..6 {
        site.gateway.advance(600);
        let answer = partner.sends("GET", "/v2/payments/7", b"");
        assert!(matches!(answer, Ok((200, _))), "{answer:?}");
    }
    site.gateway.advance(30);
    partner.is_refused("key_expired");
}

#[test]
fn older_keys_are_good_for_the_grace_after_the_use_of_a_newer_one() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    let mut older = partner.clone();
    partner.pays();
    site.gateway.advance(600);
    older.pays();
    partner.pays(); // generation 2 is used here
    let mut late = site.partner();
    late.wallet.resume(&partner_state(1, &partner)).unwrap();
    site.gateway.advance(60);
    let mut other = late.clone();
    other.pays();
    site.gateway.advance(1);
    late.is_refused("key_superseded");
}

/// A set of the partner's chain, derived as the gate does.
fn partner_state(generation: u32, partner: &Partner<'_>) -> Vec<u8> {
    let newest = partner.wallet.newest().unwrap().kid;
    // The first sets of all chains here are of one second.
    let issued = u32::try_from(newest.chain.start().secs() + 1).unwrap();
    state(Kid { epoch: 1, generation, issued, ..newest }, &first_epoch(), &material(1))
}

fn state(kid: Kid, epoch: &EpochSpec, material: &Material) -> Vec<u8> {
    let source = Source::extract(&epoch.secret, &material.root.secret);
    let keys = source.key_set("globex", "pk_live_globex", kid);
    let set = to_json(kid, &keys, Timestamp::from_secs(START * 2), 1000);
    [b"{\"set\":", &set[..], b",\"uses\":0}"].concat()
}

fn kid(site: &Site, started_before: u64, issued_before: u64) -> Kid {
    let ago = |seconds| site.gateway.now() - seconds;
    Kid {
        epoch: 1,
        chain: ChainId::starting(Timestamp::from_secs(ago(started_before)), [7; 4]),
        generation: 1,
        issued: ago(issued_before).try_into().unwrap(),
    }
}

#[test]
fn keys_from_before_the_start_and_from_the_future_are_refused() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    site.gateway.advance(100);
    let mut with = |kid: Kid| {
        partner.wallet.resume(&state(kid, &first_epoch(), &material(1))).unwrap();
        partner.sends("POST", "/v2/payments", TEXT).map(|_| ())
    };
    assert_eq!(with(kid(&site, 100, 100)), Err("key_superseded".into()), "the gate began then");
    assert_eq!(with(kid(&site, 200, 99)), Ok(()), "after it");
    assert_eq!(with(kid(&site, 3601, 10)), Err("key_expired".into()), "the chain ended");
    let ahead =
        |by: u64| Kid { issued: (site.gateway.now() + by).try_into().unwrap(), ..kid(&site, 1, 1) };
    assert_eq!(with(ahead(30)), Ok(()));
    assert_eq!(with(ahead(31)), Err("key_expired".into()));
}

#[test]
fn strict_keys_seal_three_messages() {
    let site = Site::start("strict");
    let mut partner = site.partner();
    let mut again = partner.clone();
    for _ in 0..3 {
        let mut before = again.clone();
        before.pays();
    }
    again.is_refused("key_exhausted");
    partner.begin();
    partner.pays();
    site.gateway.advance(3);
    partner.pays();
}

#[test]
fn a_replaced_chain_is_dead_and_its_use_an_alarm() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    partner.pays();
    let mut old = partner.clone();
    let chain = old.wallet.newest().unwrap().kid.chain;
    partner.begin();
    old.is_refused("chain_revoked");
    partner.pays();
    let told = ["key_session", "chain_killed", "killed_chain_used"].map(|event| site.told(event));
    assert_eq!(told, [2.0, 1.0, 1.0]);
    site.gateway.take().stop();
    let log = site.gateway.log();
    let lines_of = |event: &str| {
        let event = format!("\"{event}\"");
        log.lines().filter(move |line| line.contains(&event)).collect::<Vec<_>>()
    };
    assert_eq!(lines_of("key_session").len(), 2, "{log}");
    for event in ["chain_killed", "killed_chain_used"] {
        let [line] = lines_of(event)[..] else { panic!("{event}: {log}") };
        assert!(line.contains(&chain.to_string()), "{line}");
    }
}

/// Another root ends every chain that is older than it.
#[test]
fn a_new_root_kills_every_chain() {
    let alter = |mut material: Material| {
        material.root.since = Timestamp::from_secs(START + 5);
        material
    };
    let site = Site::behind(setup("standard", ""), Upstream::start(), alter);
    site.gateway.advance(20);
    let mut partner = site.partner();
    let fresh = partner.clone();
    partner.wallet.resume(&state(kid(&site, 15, 15), &first_epoch(), &material(1))).unwrap();
    partner.is_refused("chain_revoked");
    partner.wallet = fresh.wallet;
    partner.pays();
}

/// I6, and a day that ends under way.
#[test]
fn with_its_epoch_destroyed_no_key_opens() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    site.gateway.advance(60);
    let second = EpochSpec {
        number: 2,
        not_before: site.now(),
        not_after: Timestamp::from_secs(START + 200_000),
        secret: Secret::new(vec![0xe2; 32]).unwrap(),
    };
    site.epochs.replace(vec![first_epoch(), second.clone()]);
    partner.pays();
    assert_eq!(partner.wallet.newest().unwrap().kid.epoch, 2, "next is of the current epoch");
    let mut old = site.partner();
    old.wallet.resume(&partner_state(1, &partner)).unwrap();
    old.clone().pays();
    site.epochs.replace(vec![second]);
    old.is_refused("unknown_epoch");
    partner.pays();
    // Without any epoch there are no next keys, so nothing is begun.
    site.epochs.replace(Vec::new());
    partner.is_refused("unknown_epoch");
    let call = partner.wallet.seal_call(site.now(), PATH).unwrap();
    let answer = site.ask(&partner.sign(put_up("POST", PATH, &call, true)));
    assert_eq!(answer.refusal().code, "busy");
}

/// I3.
#[test]
fn what_was_sealed_passes_once_however_it_is_signed() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    let (request, _) = partner.seal("POST", "/v2/payments", TEXT);
    let first = partner.sign(request.clone());
    assert_eq!(site.ask(&first).status, 200);
    let before = site.gateway.upstream.bytes();
    assert_eq!(site.ask(&first).refusal().code, "replayed");
    let again = partner.sign(request.clone());
    assert_ne!(again.value("X-SIGNATURE"), first.value("X-SIGNATURE"), "signed anew");
    assert_eq!(site.ask(&again).refusal().code, "replayed");
    // As JSON: the same bytes in other clothes.
    let body = format!("{{\"sealed\":\"{}\"}}", BASE64_URL_SAFE_NO_PAD.encode(&request.body));
    let kid = request.value("X-SEAL-KID");
    let json = Request::post("/v2/payments", body.as_bytes()).header("X-SEAL-KID", kid);
    assert_eq!(site.ask(&partner.sign(json)).refusal().code, "replayed");
    // At another time it is another claim, and the seal binds the time.
    site.gateway.advance(1);
    assert_eq!(site.ask(&partner.sign(request)).refusal().code, "cannot_open");
    assert_eq!(site.gateway.upstream.bytes(), before);
}

/// I7.
#[test]
fn next_keys_and_answers_cannot_be_moved_to_another_request() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    let (first, sealed_first) = partner.seal("POST", "/v2/payments", TEXT);
    let (second, sealed_second) = partner.seal("POST", "/v2/payments", TEXT);
    let first = site.ask(&partner.sign(first));
    let second = site.ask(&partner.sign(second));
    let mut moved = first.clone();
    let next = second.value("x-seal-next").unwrap().to_owned();
    moved.headers.retain(|(name, _)| name != "x-seal-next");
    moved.headers.push(("x-seal-next".into(), next));
    assert_eq!(partner.opens(&sealed_first, &moved), Err("unproved".into()));
    assert_eq!(partner.opens(&sealed_first, &second), Err("unproved".into()));
    let mut other_status = first.clone();
    other_status.status = 201;
    assert_eq!(partner.opens(&sealed_first, &other_status), Err("unproved".into()));
    assert_eq!(partner.generation(), 1, "nothing was taken up");
    assert!(partner.opens(&sealed_first, &first).is_ok());
    assert!(partner.opens(&sealed_second, &second).is_ok());
}

#[test]
fn a_seal_binds_method_target_time_and_name() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    let refused = |partner: &mut Partner<'_>, change: &dyn Fn(Request) -> Request| {
        let (request, _) = partner.seal("POST", "/v2/payments?a=1", TEXT);
        let answer = site.ask(&partner.sign(change(request)));
        assert_eq!(answer.refusal().code, "cannot_open");
    };
    let mut sibling = site.partner();
    let (sibling, _) = sibling.seal("GET", "/v2/payments", b"");
    refused(&mut partner, &|request| request.method("PUT"));
    refused(&mut partner, &|request| request.target("/v2/payments?a=2"));
    refused(&mut partner, &|request| request.target("/v2/payments"));
    refused(&mut partner, &|request| request.set("X-SEAL-KID", sibling.value("X-SEAL-KID")));
    refused(&mut partner, &|request| request.body(b"short"));
    refused(&mut partner, &|request| request.set("Content-Type", "application/json"));
    refused(&mut partner, &|request| request.header("X-SEAL-PROOF", "AAAA"));
    refused(&mut partner, &|mut request| {
        request.body[20] ^= 1;
        request
    });
    // A proof that brings a body.
    let sealed = partner.wallet.seal(site.now(), "GET", "/v2/payments", b"body").unwrap().unwrap();
    let request = put_up("GET", "/v2/payments", &sealed, false);
    let answer = site.ask(&partner.sign(request));
    assert_eq!(partner.opens(&sealed, &answer).unwrap().0, 400, "it opened, so this is sealed");
    partner.pays();
}

/// I8.
#[test]
fn keys_of_one_merchant_open_nothing_of_another() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    let (request, _) = partner.seal("POST", "/v2/payments", TEXT);
    let answer = site.ask(&other().sign(request, site.gateway.now()));
    assert_eq!(answer.refusal().code, "cannot_open");
    let anchor = partner.wallet.seal_call(site.now(), PATH).unwrap();
    let request = other().sign(put_up("POST", PATH, &anchor, true), site.gateway.now());
    assert_eq!(site.ask(&request).refusal().code, "cannot_open");
    let mut own = Partner {
        site: &site,
        signer: other(),
        wallet: Wallet::new(1, material(2).anchors[0].keys.clone()),
    };
    own.begin();
    own.pays();
    // Its chains are not those of the other: to replace a name that it has seen kills nothing.
    let chain = String::from_utf8(partner.wallet.to_state().unwrap().to_vec()).unwrap();
    own.wallet.resume(chain.as_bytes()).unwrap();
    own.begin();
    partner.pays();
}

#[test]
fn the_anchor_seals_only_the_session_call() {
    let site = Site::start("standard");
    let partner = site.stranger();
    let mut anchored = site.stranger();
    let call = partner.wallet.seal_call(site.now(), "/v2/payments").unwrap();
    let answer = site.ask(&partner.sign(put_up("POST", "/v2/payments", &call, true)));
    assert_eq!(answer.refusal().code, "anchor_not_allowed");
    // A rolled key does not seal one.
    anchored.begin();
    let sealed = anchored.wallet.seal(site.now(), "POST", PATH, b"{\"lanes\":1}").unwrap();
    let request = put_up("POST", PATH, &sealed.unwrap(), true);
    let answer = site.ask(&anchored.sign(request));
    assert_eq!(answer.refusal().code, "unsupported_kid");
    // Another version of the anchor is none.
    let stranger = Wallet::new(2, material(1).anchors[0].keys.clone());
    let call = stranger.seal_call(site.now(), PATH).unwrap();
    let answer = site.ask(&partner.sign(put_up("POST", PATH, &call, true)));
    assert_eq!(answer.refusal().code, "unsupported_kid");
}

#[test]
fn in_compat_the_anchor_alone_is_enough() {
    let site = Site::start("compat");
    let mut partner = site.stranger();
    for _ in 0..3 {
        // The call's text stands for any body.
        let sealed = partner.wallet.seal_call(site.now(), "/v2/payments").unwrap();
        let answer = site.ask(&partner.sign(put_up("POST", "/v2/payments", &sealed, true)));
        assert_eq!(partner.opens(&sealed, &answer).unwrap().0, 200);
        assert_eq!(site.gateway.upstream.last().body, b"{\"lanes\":1,\"replaces\":[]}");
        site.gateway.advance(1);
    }
    partner.begin();
    partner.pays();
    site.gateway.advance(23 * 60 * 60);
    partner.pays();
}

#[test]
fn session_calls_are_checked_and_answered_under_seal() {
    let site = Site::start("standard");
    let mut partner = site.stranger();
    let anchor = Preset::Compat;
    assert_eq!(anchor.policy().uses_max, 65_536);
    let mut says = |text: &[u8]| {
        // A wallet whose newest keys are the anchor's seals any text by them.
        let sealed = partner.seal_by_anchor(PATH, text);
        let answer = site.ask(&partner.sign(put_up("POST", PATH, &sealed, true)));
        partner.opens(&sealed, &answer)
    };
    let (status, text) = says(b"{\"lanes\":16}").unwrap();
    let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((status, json["sets"].as_array().unwrap().len()), (200, 16));
    for bad in [
        &b"{\"lanes\":0}"[..],
        b"{\"lanes\":17}",
        b"{}",
        b"[1,[]]",
        b"",
        b"{\"lanes\":1,\"replaces\":[\"ak_1\"]}",
        b"{\"lanes\":1,\"replaces\":\"x\"}",
        b"{\"lanes\":1,\"more\":1}",
    ] {
        let (status, text) = says(bad).unwrap();
        let code = serde_json::from_slice::<serde_json::Value>(&text).unwrap()["code"].clone();
        assert_eq!(
            (status, code),
            (400, "bad_request".into()),
            "{:?}",
            String::from_utf8_lossy(bad)
        );
    }
    let many = vec![format!("\"{}\"", kid(&site, 1, 1)); 65].join(",");
    let many = format!("{{\"lanes\":1,\"replaces\":[{many}]}}");
    assert_eq!(says(many.as_bytes()).unwrap().0, 400);
    assert_eq!(site.gateway.upstream.bytes(), 0, "the gate answers these itself");
}

#[test]
fn session_calls_have_a_limit_of_their_own() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    let mut codes = Vec::new();
    for _ in 0..560 {
        let call = partner.wallet.seal_call(site.now(), PATH).unwrap();
        let answer = site.ask(&partner.sign(put_up("POST", PATH, &call, true)));
        if answer.status != 200 {
            assert!(answer.value("retry-after").is_some());
            codes.push(answer.refusal().code);
        }
    }
    assert!(!codes.is_empty() && codes.iter().all(|code| code == "rate_limited"), "{codes:?}");
    partner.wallet = site_wallet(&site);
    partner.pays();
}

/// A wallet with a chain of its own, without a call.
fn site_wallet(site: &Site) -> Wallet {
    site.gateway.advance(5);
    let mut wallet = Wallet::new(1, material(1).anchors[0].keys.clone());
    wallet.resume(&state(kid(site, 1, 1), &first_epoch(), &material(1))).unwrap();
    wallet
}

/// Over its limit a message gives both of its claims back.
#[test]
fn what_a_limit_refused_may_come_again() {
    let mut setup = setup("standard", "");
    let table = setup.merchants.last_mut().unwrap();
    *table = table.replace(GENEROUS, "rate = { per_second = 1, burst = 2 }");
    let site = Site::with(setup);
    let wallet = Wallet::new(1, material(2).anchors[0].keys.clone());
    let mut partner = Partner { site: &site, signer: other(), wallet };
    partner.begin();
    partner.pays();
    let (request, sealed) = partner.seal("POST", "/v2/payments", TEXT);
    let request = partner.sign(request);
    assert_eq!(site.ask(&request).refusal().code, "rate_limited");
    std::thread::sleep(Duration::from_millis(1100));
    let answer = site.ask(&request);
    assert_eq!(partner.opens(&sealed, &answer).unwrap().0, 200);
    assert_eq!(site.ask(&request).refusal().code, "replayed");
}

/// A good message over other forms of HTTP, and forms that nobody should send.
#[test]
fn odd_wrappings_are_refused_and_never_forwarded() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    let before = site.gateway.upstream.bytes();
    let refused = |partner: &mut Partner<'_>, body: &dyn Fn(&str) -> String| {
        let (_, sealed) = partner.seal("POST", "/v2/payments", TEXT);
        let request = Request::post("/v2/payments", body(&sealed.text()).as_bytes());
        let request = request.header("X-SEAL-KID", sealed.label().to_string());
        site.ask(&partner.sign(request)).refusal().code
    };
    for body in [
        &(|text: &str| format!("{{\"sealed\":\"{text}=\"}}")) as &dyn Fn(&str) -> String,
        &|text| format!("{{\"sealed\":\"{text}\",\"sealed\":\"{text}\"}}"),
        &|text| format!("{{\"sealed\":\"{text}\",\"amount\":1}}"),
        &|text| format!("[\"{text}\"]"),
        &|text| {
            let (first, rest) = text.split_at(1);
            format!("{{\"sealed\":\"\\u00{:02x}{rest}\"}}", first.as_bytes()[0])
        },
        &|text| text.to_owned(),
        &|_| "{\"sealed\":\"\"}".to_owned(),
        &|_| "{\"amount\":1}".to_owned(),
    ] {
        assert_eq!(refused(&mut partner, body), "cannot_open");
    }
    let (request, sealed) = partner.seal("POST", "/v2/payments", TEXT);
    let odd = request.clone().set("X-SEAL-KID", b"rk1_\xff\xfe");
    assert_eq!(site.ask(&partner.sign(odd)).refusal().code, "unsupported_kid");
    assert_eq!(site.gateway.upstream.bytes(), before);
    // Chunks are transport, parameters of the type are no other type.
    let good = request.set("Content-Type", "Application/VND.countersign.Sealed; a=b").chunks(7);
    let answer = site.ask(&partner.sign(good));
    assert_eq!(partner.opens(&sealed, &answer).unwrap().0, 200);
}

#[test]
fn refusals_come_in_the_order_of_the_checks() {
    let site = Site::start("standard");
    let mut partner = site.partner();
    let base = kid(&site, 5000, 5000);
    let code = |label: &str, partner: &mut Partner<'_>| {
        let (request, _) = partner.seal("POST", "/v2/payments", TEXT);
        let request = request.set("X-SEAL-KID", label).body(b"nothing that opens");
        site.ask(&partner.sign(request)).refusal().code
    };
    assert_eq!(code("rk1_nonsense", &mut partner), "unsupported_kid");
    assert_eq!(code("ak_7", &mut partner), "unsupported_kid");
    let unknown = Kid { epoch: 9, ..base };
    assert_eq!(code(&unknown.to_string(), &mut partner), "unknown_epoch");
    assert_eq!(code(&base.to_string(), &mut partner), "key_expired");
    let before = kid(&site, 10, 10);
    assert_eq!(code(&before.to_string(), &mut partner), "key_superseded");
    assert_eq!(code("ak_1", &mut partner), "anchor_not_allowed");
    let newest = partner.wallet.newest().unwrap().kid;
    assert_eq!(code(&newest.to_string(), &mut partner), "cannot_open");
    // What must be there, and once.
    let (request, _) = partner.seal("POST", "/v2/payments", TEXT);
    let none = site.ask(&partner.sign(request.clone().without("X-SEAL-KID")));
    assert_eq!(none.refusal().code, "missing_header");
    assert_eq!(none.json()["header"], "X-SEAL-KID");
    let twice = site.ask(&partner.sign(request.clone().header("X-SEAL-KID", "ak_1")));
    assert_eq!(twice.refusal().code, "malformed_header");
    let bare = Request::get("/v2/payments").header("X-SEAL-KID", newest.to_string());
    assert_eq!(site.ask(&partner.sign(bare)).refusal().code, "missing_header");
    // A good signature comes first of all.
    let unsigned = partner.sign(request).set("X-SIGNATURE", "0".repeat(64));
    assert_eq!(site.ask(&unsigned).refusal().code, "invalid_signature");
}

#[test]
fn where_keys_do_not_roll_nothing_changes() {
    let site = Site::start("standard");
    let request = Request::post("/v1/orders", b"{}").header("X-SEAL-KID", "mine");
    let kwik = crate::support::setup::kwik();
    let answer = site.ask(&kwik.sign(request, site.gateway.now()));
    assert_eq!(answer.status, 200);
    assert!(answer.value("x-seal-next").is_none());
    assert_eq!(site.gateway.upstream.last().value("x-seal-kid"), "mine");
    // A credential without rolling keys opens nothing where they roll.
    let site = Site::behind(setup("standard", ""), Upstream::start(), |material| material);
    site.gateway.advance(Duration::from_secs(1).as_secs());
}
