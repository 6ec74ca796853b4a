//! Confirmation: nothing that proves too little is delivered before its provider says the same.

use std::collections::BTreeMap;

use super::kit::{Inbox, LOOPBACK, Plan, all_of, json, listed, signed, status};
use super::provider::{
    FIUU, FIUU_VERIFY, Fiuu, KWIK, PAYKUN, SHOP, hex, hmac256, kwikpaisa, kwikpaisa_event, md5,
    paykun, unform,
};
use super::support::request::Request;
use super::support::upstream::{Recorded, Step, Upstream, answer};
use super::support::wait_until;

const FIUU_PATH: &str = "/webhooks/fiuu";

/// What Fiuu's gate-query says of the transaction that it is asked about, with its own proof.
fn gate_query(asked: &Recorded, state: &str, amount: &str, order: &str, secret: &str) -> String {
    let id = fields_of(asked).remove("txID").expect("a transaction");
    let proof = md5(&format!("{amount}{secret}shop_MY{id}{state}"));
    format!(
        "{{\"StatCode\":\"{state}\",\"StatName\":\"captured\",\"TranID\":\"{id}\",\
         \"Amount\":\"{amount}\",\"Domain\":\"shop_MY\",\"OrderID\":\"{order}\",\
         \"Currency\":\"MYR\",\"VrfKey\":\"{proof}\"}}"
    )
}

fn answered(asked: &Recorded, state: &str, amount: &str, order: &str) -> Vec<Step> {
    json(&gate_query(asked, state, amount, order, FIUU))
}

/// What is asked, in the query or in a form.
fn fields_of(asked: &Recorded) -> BTreeMap<String, String> {
    let query = asked.target.split_once('?').map_or("", |(_, query)| query);
    let body = String::from_utf8(asked.body.clone()).unwrap();
    let texts = [query, &body].into_iter().filter(|text| !text.is_empty());
    texts.flat_map(unform).collect()
}

fn stuck(inbox: &Inbox, reason: &str) -> f64 {
    let text = inbox.gate.operation("/metrics").text();
    let lines = text.lines().filter(|line| line.starts_with("countersign_webhook_stuck{"));
    let of = lines.filter(|line| line.contains(reason));
    of.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

#[test]
fn fiuu_is_asked_and_agrees() {
    let inbox = Plan::new().fiuu("").start();
    inbox.api.answer_with(|asked| answered(asked, "00", "10.00", "A17"));
    inbox.takes(&Fiuu::new("1001", "A17", "00").request(FIUU_PATH), "OK");
    let call = inbox.delivered(1).remove(0);
    signed(&call, &[SHOP]);
    assert!(call.value("countersign-verdict").contains("strength=partial"), "{call:?}");
    let confirmed = call.value("countersign-confirmation");
    assert!(confirmed.starts_with("agreed; asked=provider; state=succeeded"), "{confirmed}");
    // How the provider was asked.
    let asked = all_of(&inbox.api, 1).remove(0);
    let fields = fields_of(&asked);
    let skey = md5(&format!("1001shop_MY{FIUU_VERIFY}10.00"));
    assert_eq!(fields["txID"], "1001");
    assert_eq!(fields["domain"], "shop_MY");
    assert_eq!(fields["amount"], "10.00");
    assert_eq!(fields["skey"], skey);
    assert_eq!(fields["type"], "2");
}

#[test]
fn a_disagreement_is_seen_and_never_delivered() {
    for (state, amount, order) in
        [("11", "10.00", "A17"), ("00", "1.00", "A17"), ("00", "10.00", "A18")]
    {
        let inbox = Plan::new().fiuu("").start();
        inbox.api.answer_with(move |asked| answered(asked, state, amount, order));
        inbox.takes(&Fiuu::new("1001", "A17", "00").request(FIUU_PATH), "OK");
        inbox.wait_for_log(&["delivery_disagreed", "fiuu"]);
        assert_eq!(stuck(&inbox, "disagreed"), 1.0);
        inbox.gate.advance(86_400);
        inbox.delivers_nothing();
    }
}

#[test]
fn what_was_disagreed_about_may_be_true_when_it_comes_again() {
    let inbox = Plan::new().fiuu("").start();
    inbox.api.answer_with(|asked| answered(asked, "11", "10.00", "A17"));
    let message = Fiuu::new("1001", "A17", "00").request(FIUU_PATH);
    inbox.takes(&message, "OK");
    inbox.wait_for_log(&["delivery_disagreed", "fiuu"]);
    inbox.api.answer_with(|asked| answered(asked, "00", "10.00", "A17"));
    // At once it is a repetition: nobody has the provider asked as often as he likes.
    inbox.takes(&message, "OK");
    inbox.delivers_nothing();
    assert_eq!(inbox.api.count(), 1);
    inbox.gate.advance(61);
    inbox.takes(&message, "OK");
    inbox.delivered(1);
    inbox.takes(&message, "OK");
    inbox.delivers_nothing_more_than(1);
}

#[test]
fn a_token_is_neither_kept_nor_handed_on() {
    let token = "xendit-callback-token-0123456789";
    let mut plan = Plan::new();
    plan.setup.named_secret("xendit", token);
    let url = format!(
        "http://localhost:{}/v2/invoices/{{transaction | urlencode}}",
        plan.api.address.port()
    );
    let table = format!(
        "[sources.xendit]\nscheme = \"xendit\"\npath = \"/webhooks/xendit\"\n\
         destination = \"shop\"\nsecrets = [{}]\nfacts.transaction = \"{{json:id}}\"\n\
         confirm.url = \"{url}\"\nconfirm.{LOOPBACK}\n\
         confirm.answer.facts.transaction = \"{{json:id}}\"\n",
        listed("xendit")
    );
    let inbox = plan.table(table).start_on_disk();
    inbox.api.answer_with(|_| json("{\"id\":\"inv_1\"}"));
    let message = Request::post("/webhooks/xendit", b"{\"id\":\"inv_1\"}")
        .header("x-callback-token", token)
        .header("webhook-id", "w1");
    inbox.takes(&message, "");
    let call = inbox.delivered(1).remove(0);
    assert!(!String::from_utf8_lossy(&call.head).contains(token), "{call:?}");
    inbox.refuses(&message.set("x-callback-token", "another"), 401, "invalid_signature");
    for file in ["inbox.db", "inbox.db-wal"] {
        let bytes = std::fs::read(inbox.gate.folder.path().join("state").join(file)).unwrap();
        let found = bytes.windows(token.len()).any(|part| part == token.as_bytes());
        assert!(!found, "{file} holds the token");
    }
    assert!(!inbox.log().contains(token));
}

#[test]
fn an_answer_without_proof_is_no_answer() {
    let inbox = Plan::new().fiuu("").start();
    inbox.api.answer_with(|request| match request.number {
        1 => json(&gate_query(request, "00", "10.00", "A17", "another-secret")),
        2 => json(&gate_query(request, "00", "10.00", "A17", FIUU).replace("10.00", "11.00")),
        3 => status("500 Internal Server Error"),
        4 => vec![Step::Close],
        5 => json("<html>maintenance</html>"),
        6 => vec![Step::Send(answer("429 Too Many Requests", &[("Retry-After", "60")], b""))],
        _ => answered(request, "00", "10.00", "A17"),
    });
    inbox.takes(&Fiuu::new("1001", "A17", "00").request(FIUU_PATH), "OK");
    let calls = inbox.advance_until_delivered(1800, 1);
    assert_eq!(calls.len(), 1);
    assert!(inbox.api.count() >= 7, "{}", inbox.api.count());
}

#[test]
fn pending_is_asked_again_until_it_is_settled() {
    let inbox = Plan::new().fiuu("").start();
    inbox.api.answer_with(|request| match request.number {
        1..=3 => answered(request, "22", "10.00", "A17"),
        _ => answered(request, "00", "10.00", "A17"),
    });
    inbox.takes(&Fiuu::new("1001", "A17", "00").request(FIUU_PATH), "OK");
    inbox.advance_until_delivered(600, 1);
    assert_eq!(inbox.api.count(), 4);
    // What says itself that it is pending is true while the provider says so, and after.
    inbox.api.answer_with(|asked| answered(asked, "22", "10.00", "A17"));
    inbox.takes(&Fiuu::new("1001", "A17", "22").request(FIUU_PATH), "OK");
    let call = inbox.delivered(2).remove(1);
    assert!(call.value("countersign-confirmation").contains("state=pending"), "{call:?}");
}

#[test]
fn what_stays_pending_is_a_disagreement_in_the_end() {
    let inbox = Plan::new().fiuu("confirm.pending_for = \"1h\"").start();
    inbox.api.answer_with(|asked| answered(asked, "22", "10.00", "A17"));
    inbox.takes(&Fiuu::new("1001", "A17", "00").request(FIUU_PATH), "OK");
    wait_until("the end of patience", || {
        inbox.gate.advance(300);
        stuck(&inbox, "disagreed") == 1.0
    });
    assert_eq!(inbox.shop.count(), 0);
}

#[test]
fn an_outage_of_the_provider_delays_and_never_drops() {
    let inbox = Plan::new().fiuu("").start();
    inbox.api.answer_with(|_| vec![Step::Reset]);
    for number in 0..20 {
        let order = format!("A{number}");
        let transaction = (2000 + number).to_string();
        inbox.takes(&Fiuu::new(&transaction, &order, "00").request(FIUU_PATH), "OK");
    }
    wait_until("some attempts", || inbox.api.connections() > 3);
    // Two days.
    for _ in 0..48 {
        inbox.gate.advance(3600);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(inbox.shop.count(), 0);
    // Everything was another order, says the provider, but one.
    inbox.api.answer_with(|asked| answered(asked, "00", "10.00", "A3"));
    let calls = inbox.advance_until_delivered(1800, 1);
    assert!(String::from_utf8_lossy(&calls[0].body).contains("orderid=A3"));
    wait_until("all others to be disagreed about", || {
        inbox.gate.advance(1800);
        stuck(&inbox, "disagreed") == 19.0
    });
    assert_eq!(inbox.shop.count(), 1);
}

#[test]
fn the_shop_is_asked_what_was_ordered() {
    let orders = Upstream::start();
    orders.answer_with(|request| match request.target.as_str() {
        "/orders/A17" => json(
            "{\"id\":\"A17\",\"total\":10,\"currency\":\"myr\",\
             \"created\":\"2025-11-24T09:00:00Z\"}",
        ),
        "/orders/A18" => json(
            "{\"id\":\"A18\",\"total\":99.00,\"currency\":\"MYR\",\
             \"created\":\"2025-11-24T09:00:00Z\"}",
        ),
        _ => status("404 Not Found"),
    });
    let port = orders.address.port();
    let more = format!(
        "[sources.fiuu.order]\nurl = \"http://localhost:{port}/orders/{{order | urlencode}}\"\n\
         {LOOPBACK}\n[sources.fiuu.order.answer.facts]\norder = \"{{json:id}}\"\n\
         amount = \"{{json:total}}\"\ncurrency = \"{{json:currency}}\"\n\
         date = \"{{json:created}}\"\n"
    );
    let inbox = Plan::new().fiuu(&more).start();
    inbox.api.answer_with(|asked| answered(asked, "00", "10.00", "A17"));
    inbox.takes(&Fiuu::new("1001", "A17", "00").request(FIUU_PATH), "OK");
    let call = inbox.delivered(1).remove(0);
    let confirmed = call.value("countersign-confirmation");
    assert!(confirmed.contains("provider") && confirmed.contains("merchant"), "{confirmed}");
    // The provider agrees, the shop knows another amount.
    inbox.api.answer_with(|asked| answered(asked, "00", "10.00", "A18"));
    inbox.takes(&Fiuu::new("1002", "A18", "00").request(FIUU_PATH), "OK");
    inbox.wait_for_log(&["delivery_disagreed"]);
    assert_eq!(inbox.shop.count(), 1);
}

#[test]
fn kwikpaisa_is_asked_by_a_signed_request() {
    let inbox = Plan::new().kwikpaisa("").start();
    inbox.api.answer_with(|_| {
        json(
            "{\"code\":\"200\",\"status\":\"success\",\"return_data\":{\"order_id\":\"A17\",\
             \"order_status\":\"PAID\",\"order_amount\":\"10.00\",\"currency\":\"INR\",\
             \"transaction_id\":\"T1\"}}",
        )
    });
    let body = kwikpaisa_event("A17", "success");
    inbox.takes(&kwikpaisa("/webhooks/kwikpaisa", &body, inbox.now()), "");
    let call = inbox.delivered(1).remove(0);
    assert!(call.value("countersign-confirmation").starts_with("agreed"), "{call:?}");
    let asked = all_of(&inbox.api, 1).remove(0);
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/api/v3/pg/order/status"));
    assert_eq!(asked.body, b"{\"order_id\":\"A17\"}");
    assert_eq!(asked.value("x-api-key"), "pk_live_shop0001");
    let at = asked.value("x-timestamp");
    let mac = hmac256(KWIK.as_bytes(), &[&asked.body, at.as_bytes()]);
    assert_eq!(asked.value("x-signature"), hex(&mac));
}

#[test]
fn paykun_is_asked_whether_signed_or_not() {
    let inbox = Plan::new().paykun("").start();
    let said = |request: &Recorded| {
        let payment = request.target.trim_matches('/').rsplit('/').next().unwrap().to_owned();
        assert_eq!(request.value("merchantid"), "merchant0001");
        assert_eq!(request.value("accesstoken"), "token0123456789abcd");
        match payment.as_str() {
            "7003" => status("404 Not Found"),
            _ => json(&format!(
                "{{\"status\":true,\"data\":{{\"transaction\":{{\"payment_id\":\"{payment}\",\
                 \"status\":\"Success\",\"status_flag\":\"1\",\"order\":{{\"order_id\":\"A17\",\
                 \"gross_amount\":11.5}}}}}}}}"
            )),
        }
    };
    inbox.api.answer_with(said);
    inbox.takes(&paykun("/webhooks/paykun", "7001", "1", true), "");
    inbox.takes(&paykun("/webhooks/paykun", "7002", "1", false), "");
    let calls = inbox.delivered(2);
    let unsigned = calls.iter().find(|call| String::from_utf8_lossy(&call.body).contains("7002"));
    let verdict = unsigned.unwrap().value("countersign-verdict");
    assert!(verdict.starts_with("unsigned"), "{verdict}");
    assert!(!verdict.contains(PAYKUN));
    // Nobody knows of these: a lie, and a success that was none.
    inbox.takes(&paykun("/webhooks/paykun", "7003", "1", false), "");
    inbox.takes(&paykun("/webhooks/paykun", "7004", "0", false), "");
    inbox.wait_for_log(&["delivery_disagreed"]);
    inbox.gate.advance(3600);
    inbox.delivers_nothing_more_than(2);
}

#[test]
fn fields_are_posted_back_to_fiuu() {
    let back = Upstream::start();
    back.answer_with(|request| match request.number {
        1 => status("503 Service Unavailable"),
        _ => status("200 OK"),
    });
    let url = format!("http://localhost:{}/RMS/API/chkstat/returnipn.php", back.address.port());
    let inbox =
        Plan::new().fiuu(&format!("post_back.url = \"{url}\"\npost_back.{LOOPBACK}\n")).start();
    inbox.api.answer_with(|asked| answered(asked, "00", "10.00", "A17"));
    let notice = Fiuu::new("1001", "A17", "00");
    inbox.takes(&notice.request(FIUU_PATH), "OK");
    inbox.delivered(1);
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while back.count() < 2 {
        assert!(std::time::Instant::now() < until);
        inbox.gate.advance(10);
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    let posted = all_of(&back, 2).remove(1);
    let mut fields: Vec<(String, String)> =
        notice.fields().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    fields.push(("treq".into(), "1".into()));
    let mut given = unform(&String::from_utf8(posted.body.clone()).unwrap());
    fields.sort();
    given.sort();
    assert_eq!(given, fields);
    assert_eq!(posted.value("content-type"), "application/x-www-form-urlencoded");
    // A callback is acknowledged by its words, not by a post-back.
    let mut callback = notice;
    callback.nbcb = Some("1");
    inbox.takes(&callback.request(FIUU_PATH), "CBTOKEN:MPSTATOK");
    inbox.delivered(2);
    inbox.gate.advance(3600);
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(back.count(), 2);
}
