//! Messages in: what is taken, what is refused, and what the provider gets to hear.

use super::kit::{Inbox, Plan, listed, signed};
use super::provider::{
    Fiuu, KWIK, PAYKUN, SHOP, STRIPE, STRIPE_OLD, hmac256, kwikpaisa, kwikpaisa_event, paykun, php,
    stripe, stripe_event,
};
use super::support::request::Request;

const STRIPE_PATH: &str = "/webhooks/stripe";
const FIUU_PATH: &str = "/webhooks/fiuu";

fn with_stripe() -> Inbox {
    Plan::new().stripe(&["stripe"], "").start()
}

#[test]
fn a_message_is_taken_once_and_delivered_as_it_came() {
    let inbox = with_stripe();
    let body = stripe_event("evt_1");
    let message = stripe(STRIPE_PATH, &body, inbox.now(), &[STRIPE]);
    inbox.takes(&message, "");
    let call = inbox.delivered(1).remove(0);
    assert_eq!((call.method.as_str(), call.target.as_str()), ("POST", "/webhooks"));
    assert_eq!(call.body, body.as_bytes());
    assert_eq!(call.value("content-type"), "application/json");
    assert!(call.value("stripe-signature").starts_with("t="));
    assert_eq!(call.value("countersign-source"), "stripe");
    assert!(call.value("countersign-verdict").contains("scheme=stripe; strength=full"));
    assert_eq!(call.value("countersign-confirmation"), "not-asked");
    signed(&call, &[SHOP]);
    // The same once more, and the same event signed anew at another time.
    inbox.takes(&message, "");
    inbox.takes(&stripe(STRIPE_PATH, &body, inbox.now() + 1, &[STRIPE]), "");
    inbox.delivers_nothing_more_than(1);
    assert_eq!((inbox.count("\"stored\""), inbox.count("\"duplicate\"")), (1.0, 2.0));
}

#[test]
fn the_same_over_http2() {
    let inbox = with_stripe();
    let message = stripe(STRIPE_PATH, &stripe_event("evt_1"), inbox.now(), &[STRIPE]);
    assert_eq!(inbox.gate.ask_h2(&message).status, 200);
    inbox.delivered(1);
}

#[test]
fn what_is_not_signed_well_is_not_taken() {
    let inbox = with_stripe();
    let (body, now) = (stripe_event("evt_1"), inbox.now());
    let good = || stripe(STRIPE_PATH, &body, now, &[STRIPE]);
    inbox.refuses(&good().body(stripe_event("evt_2").as_bytes()), 401, "invalid_signature");
    let wrong = stripe(STRIPE_PATH, &body, now, &["whsec_somebody_else"]);
    inbox.refuses(&wrong, 401, "invalid_signature");
    inbox.refuses(&good().without("Stripe-Signature"), 401, "missing_claim");
    let twice = good().header("Stripe-Signature", "t=1,v1=00");
    inbox.refuses(&twice, 401, "malformed_claim");
    let old = stripe(STRIPE_PATH, &body, now - 301, &[STRIPE]);
    inbox.refuses(&old, 401, "stale_timestamp");
    let ahead = stripe(STRIPE_PATH, &body, now + 31, &[STRIPE]);
    inbox.refuses(&ahead, 401, "stale_timestamp");
    // In milliseconds, ISO 8601, hexadecimal.
    for time in [format!("{now}000"), "2025-11-24T16:00:00Z".into(), format!("{now:x}")] {
        let header = format!("t={time},v1={}", "0".repeat(64));
        let request = good().set("Stripe-Signature", &header);
        let answer = inbox.ask(&request);
        assert_eq!(answer.status, 401, "{time}");
    }
    inbox.refuses(&good().method("PUT"), 405, "method");
    assert_eq!(inbox.count("\"stored\""), 0.0);
    // Nothing of the ones before is in the way of the good one.
    inbox.takes(&good(), "");
    inbox.delivered(1);
    inbox.delivers_nothing_more_than(1);
}

#[test]
fn windows_are_apart_and_inclusive() {
    let inbox = Plan::new().stripe(&["stripe"], "window = \"10m\"\nahead = \"5s\"").start();
    let now = inbox.now();
    for (number, at) in [now - 600, now + 5].into_iter().enumerate() {
        let body = stripe_event(&format!("evt_{number}"));
        inbox.takes(&stripe(STRIPE_PATH, &body, at, &[STRIPE]), "");
    }
    for at in [now - 601, now + 6] {
        let message = stripe(STRIPE_PATH, &stripe_event("evt_x"), at, &[STRIPE]);
        inbox.refuses(&message, 401, "stale_timestamp");
    }
}

#[test]
fn limits_hold_before_anything_is_verified() {
    let inbox = Plan::new().stripe(&["stripe"], "body = \"4KiB\"").start();
    let long = format!("{{\"id\":\"evt_1\",\"pad\":\"{}\"}}", "x".repeat(4096));
    let message = stripe(STRIPE_PATH, &long, inbox.now(), &[STRIPE]);
    inbox.refuses(&message, 413, "body_too_large");
    inbox.refuses(&message.chunks(512), 413, "body_too_large");
    // It may come again, shorter: nothing was remembered.
    inbox.takes(&stripe(STRIPE_PATH, "{\"id\":\"evt_1\"}", inbox.now(), &[STRIPE]), "");
}

#[test]
fn several_secrets_and_several_signatures_go_together() {
    let mut plan = Plan::new();
    plan.setup.named_secret("stripe-old", STRIPE_OLD);
    let inbox = plan.stripe(&["stripe", "stripe-old"], "").start();
    let now = inbox.now();
    let send = |id: &str, secrets: &[&str]| {
        inbox.takes(&stripe(STRIPE_PATH, &stripe_event(id), now, secrets), "");
    };
    send("evt_1", &[STRIPE_OLD]);
    send("evt_2", &[STRIPE]);
    send("evt_3", &["whsec_unknown", STRIPE]);
    // A repetition under the other secret is a repetition.
    send("evt_1", &[STRIPE]);
    inbox.delivered(3);
    inbox.delivers_nothing_more_than(3);
}

#[test]
fn secrets_have_windows() {
    let mut plan = Plan::new();
    plan.setup.named_secret("stripe-old", STRIPE_OLD);
    // The gate's time begins at 2025-11-24T16:00:00Z.
    let old = listed("stripe-old").replace('}', ", until = \"2025-11-24T17:00:00Z\" }");
    let new = listed("stripe").replace('}', ", from = \"2025-11-24T16:30:00Z\" }");
    let inbox = plan
        .table(format!(
            "[sources.stripe]\nprovider = \"stripe\"\npath = \"{STRIPE_PATH}\"\n\
             destination = \"shop\"\nsecrets = [{old}, {new}]\n"
        ))
        .start();
    let send = |secret: &str, id: &str| {
        inbox.ask(&stripe(STRIPE_PATH, &stripe_event(id), inbox.now(), &[secret])).status
    };
    assert_eq!((send(STRIPE_OLD, "1"), send(STRIPE, "2")), (200, 401));
    inbox.gate.advance(30 * 60);
    assert_eq!((send(STRIPE_OLD, "3"), send(STRIPE, "4")), (200, 200));
    inbox.gate.advance(31 * 60);
    assert_eq!((send(STRIPE_OLD, "5"), send(STRIPE, "6")), (401, 200));
    inbox.delivered(4);
}

#[test]
fn the_keyring_can_hold_the_secrets() {
    let mut plan = Plan::new();
    let stripe_secret = listed("stripe");
    plan.setup.merchants.push(format!(
        "[merchants.hooks]\nrate = {{ per_second = 10, burst = 10 }}\n\
         [merchants.hooks.credentials.stripe-live]\nenvironment = \"live\"\nscheme = \"stripe\"\n\
         scopes = [\"POST /never\"]\nsecrets = [{stripe_secret}]\n"
    ));
    let inbox = plan
        .table(format!(
            "[sources.stripe]\nprovider = \"stripe\"\npath = \"{STRIPE_PATH}\"\n\
             destination = \"shop\"\ncredential = \"stripe-live\"\n"
        ))
        .table(
            "[sources.other]\nprovider = \"stripe\"\npath = \"/webhooks/other\"\n\
             destination = \"shop\"\ncredential = \"nobody-yet\"\n",
        )
        .start();
    let body = stripe_event("evt_1");
    inbox.takes(&stripe(STRIPE_PATH, &body, inbox.now(), &[STRIPE]), "");
    inbox.delivered(1);
    let other = stripe("/webhooks/other", &body, inbox.now(), &[STRIPE]);
    inbox.refuses(&other, 503, "no_keys");
}

#[test]
fn fiuu_gets_the_words_that_it_waits_for() {
    let inbox = Plan::new().fiuu("").start();
    let mut notice = Fiuu::new("1001", "A17", "00");
    inbox.takes(&notice.request(FIUU_PATH), "OK");
    notice.nbcb = Some("1");
    let answer = inbox.takes(&notice.request(FIUU_PATH), "CBTOKEN:MPSTATOK");
    assert_eq!(answer.value("content-type"), Some("text/plain; charset=utf-8"));
    inbox.takes(&notice.request(FIUU_PATH), "CBTOKEN:MPSTATOK");
    assert_eq!((inbox.count("\"stored\""), inbox.count("\"duplicate\"")), (2.0, 1.0));
    // The portal's button.
    let probe = inbox.ask(&Request::get(FIUU_PATH));
    assert_eq!((probe.status, inbox.count("\"probe\"")), (200, 1.0));
    // An appcode may be empty.
    let mut failed = Fiuu::new("1002", "A18", "11");
    failed.appcode = String::new();
    inbox.takes(&failed.request(FIUU_PATH), "OK");
}

#[test]
fn fields_of_fiuu_cannot_be_moved_or_changed() {
    let inbox = Plan::new().fiuu("").start();
    let good = Fiuu::new("1001", "A17", "00");
    let with = |name: &str, value: &str| {
        let mut fields = good.fields();
        fields.retain(|(own, _)| *own != name);
        let text = super::provider::form(&fields);
        let text = format!("{text}&{name}={value}");
        Request::post(FIUU_PATH, text.as_bytes())
            .set("Content-Type", "application/x-www-form-urlencoded")
    };
    for (name, value) in [
        ("tranID", "1002"),
        ("orderid", "A18"),
        ("status", "11"),
        ("domain", "other_MY"),
        ("amount", "1.00"),
        ("currency", "IDR"),
        ("paydate", "2025-11-25 18:00:00"),
        ("appcode", "AP02"),
    ] {
        inbox.refuses(&with(name, value), 401, "invalid_signature");
    }
    // Out of the closed set that may stand in the key without being signed.
    inbox.refuses(&with("nbcb", "3"), 401, "misshapen");
    // The digest is good, and a letter has moved across the border of two fields.
    let mut moved = good.clone();
    (moved.transaction, moved.order) = ("1001A".into(), "17".into());
    assert_eq!(moved.skey(), good.skey());
    inbox.refuses(&moved.request(FIUU_PATH), 401, "misshapen");
    // Another merchant's, signed by a secret that two of them share.
    let mut foreign = good.clone();
    foreign.domain = "other_MY".into();
    inbox.refuses(&foreign.request(FIUU_PATH), 401, "misshapen");
    assert_eq!(inbox.count("\"stored\""), 0.0);
}

#[test]
fn nothing_that_others_read_differently_is_taken() {
    let inbox = Plan::new().fiuu("").start();
    let failed = Fiuu::new("1001", "A17", "11");
    let body = super::provider::form(&failed.fields());
    let form = "application/x-www-form-urlencoded";
    let send = |body: &str, kind: &str| {
        Request::post(FIUU_PATH, body.as_bytes()).set("Content-Type", kind)
    };
    // The signature covers the first, and PHP takes the last.
    for more in
        ["&status=00", "&statu%73=00", "&status[]=00", "&amount=9999.00", "&.status=00&+status=00"]
    {
        inbox.refuses(&send(&format!("{body}{more}"), form), 401, "misshapen");
    }
    // A form for us, another for whoever goes by the media type.
    let part = "--X\r\nContent-Disposition: form-data; name=\"status\"\r\n\r\n00\r\n--X--";
    let both = format!("{body}&x=\r\n{part}\r\n");
    inbox.refuses(&send(&both, "multipart/form-data; boundary=X"), 401, "misshapen");
    inbox.refuses(&send(&body, "application/json"), 401, "misshapen");
    let two = send(&body, form).header("Content-Type", "text/plain");
    inbox.refuses(&two, 400, "bad_request");
    for coding in ["gzip", "aes128gcm"] {
        let coded = send(&body, form).header("Content-Encoding", coding);
        inbox.refuses(&coded, 415, "unsupported_encoding");
    }
    inbox.takes(&send(&body, form), "OK");
}

#[test]
fn a_browser_comes_back_to_the_shop() {
    let table = format!(
        "[sources.fiuu-return]\nprovider = \"fiuu-return\"\npath = \"/return\"\n\
         destination = \"shop\"\nsecrets = [{}]\n\
         values = {{ verify_key = {}, domain = {} }}\nconfirm = true\n\
         answers.stored = {{ status = 303, \
         location = \"https://shop.example/thanks?order={{form:orderid | urlencode}}\" }}\n\
         answers.duplicate = {{ status = 303, location = \"https://shop.example/thanks\" }}\n",
        listed("fiuu"),
        listed("fiuu-verify"),
        listed("fiuu-domain"),
    );
    let inbox = Plan::new().table(table).start();
    let mut back = Fiuu::new("1001", "A 17", "00");
    back.nbcb = None;
    let answer = inbox.ask(&back.request("/return"));
    assert_eq!(answer.status, 303, "{}", answer.text());
    assert_eq!(answer.value("location"), Some("https://shop.example/thanks?order=A%2017"));
    assert_eq!(inbox.ask(&back.request("/return")).status, 303);
}

#[test]
fn php_agrees_about_fiuu_and_paykun() {
    let fiuu = Fiuu::new("1001", "A17", "00");
    let script = format!(
        "$k = md5('{}'.'{}'.'{}'.'{}'.'{}'.'{}'); echo md5('{}'.'{}'.$k.'{}'.'{}');",
        fiuu.transaction,
        fiuu.order,
        fiuu.status,
        fiuu.domain,
        fiuu.amount,
        fiuu.currency,
        fiuu.paydate,
        fiuu.domain,
        fiuu.appcode,
        fiuu.secret
    );
    assert_eq!(php(&script), fiuu.skey());
    // PHP makes the whole message: it walks the decoded transaction as PayKun's kit does.
    let script = format!(
        "$t = ['payment_id'=>'7001','merchant_id'=>'merchant0001','merchant_email'=>null,\
         'status'=>'Success','status_flag'=>'1',\
         'order'=>['order_id'=>'A17','product_name'=>'tea','gross_amount'=>'11.50'],\
         'customer'=>['name'=>'Zo\u{eb} & co']];\
         function w($v) {{ if (is_array($v)) {{ $s='';\
         foreach ($v as $x) $s .= w($x); return $s; }}\
         return ($v === null ? '' : $v).'|'; }}\
         $t['signature'] = hash_hmac('sha512', w($t).'#', '{PAYKUN}');\
         echo json_encode(['transaction'=>$t], JSON_UNESCAPED_UNICODE);"
    );
    let body = php(&script);
    let inbox = Plan::new().fiuu("").paykun("").start();
    inbox.takes(&fiuu.request(FIUU_PATH), "OK");
    let message =
        Request::post("/webhooks/paykun", body.as_bytes()).set("Content-Type", "application/json");
    inbox.takes(&message, "");
    let changed = message.body(body.replace("11.50", "1.50").as_bytes());
    inbox.refuses(&changed, 401, "invalid_signature");
}

#[test]
fn kwikpaisa_and_paykun_are_taken() {
    let inbox = Plan::new().kwikpaisa("").paykun("").start();
    let body = kwikpaisa_event("A17", "success");
    let path = "/webhooks/kwikpaisa";
    inbox.takes(&kwikpaisa(path, &body, inbox.now()), "");
    // The digits at the border of body and time: what is left of the body must be JSON.
    let (at, cut) = (inbox.now().to_string(), body.clone() + "17");
    let mac = hmac256(KWIK.as_bytes(), &[cut.as_bytes(), at.as_bytes()]);
    let moved = Request::post(path, cut.as_bytes())
        .header("X-TIMESTAMP", &at)
        .header("X-SIGNATURE", super::provider::hex(&mac));
    inbox.refuses(&moved, 401, "misshapen");
    inbox.takes(&paykun("/webhooks/paykun", "7001", "1", true), "");
    inbox.takes(&paykun("/webhooks/paykun", "7002", "1", false), "");
    let mut bad = paykun("/webhooks/paykun", "7003", "1", true);
    let text = String::from_utf8(bad.body.clone()).unwrap().replace("Success", "Failed");
    bad = bad.body(text.as_bytes());
    inbox.refuses(&bad, 401, "invalid_signature");
}

#[test]
fn unsigned_messages_are_few() {
    let inbox = Plan::new().paykun("").start();
    let send = |number: u32| {
        inbox.ask(&paykun("/webhooks/paykun", &number.to_string(), "1", false)).status
    };
    let statuses: Vec<u16> = (0..140).map(send).collect();
    assert!(statuses.iter().take(100).all(|status| *status == 200), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    // Signed ones go on.
    inbox.takes(&paykun("/webhooks/paykun", "9001", "1", true), "");
}

#[test]
fn answers_are_as_a_source_states_them() {
    let more = "answers.stored = { status = 202, content_type = \"text/plain\", \
                body = \"OK {json:id}\" }\nanswers.duplicate = { status = 208 }\n\
                answers.refused = { status = 400, body = \"no\" }";
    let inbox = Plan::new().stripe(&["stripe"], more).start();
    let message = stripe(STRIPE_PATH, &stripe_event("evt_1"), inbox.now(), &[STRIPE]);
    let answer = inbox.ask(&message);
    assert_eq!((answer.status, answer.text().as_str()), (202, "OK evt_1"));
    assert_eq!(inbox.ask(&message).status, 208);
    let answer = inbox.ask(&message.body(b"{}"));
    assert_eq!((answer.status, answer.text().as_str()), (400, "no"));
}

#[test]
fn what_no_source_takes_goes_to_the_routes() {
    let inbox = with_stripe();
    inbox.gate.refuses_h1(&Request::post("/webhooks/other", b"{}"), "no_route");
    let kwik = super::support::setup::kwik();
    inbox.gate.accepts(&kwik.sign(Request::post("/v1/orders", b"{}"), inbox.now()));
}
