//! Asking over real connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::clock::{Clock, Timestamp};
use crate::config::scheme::builtin;
use crate::inbox::inquiry::{Finding, Inquiry, Means};
use crate::inbox::profile::{CallText, InquiryText, Profile};
use crate::journal::{Delivery, Facts, Journal, Kept, Lane, NewDelivery, Verdict, Work};
use crate::outbound::{Caller, Reach};
use crate::secret::{NamedSecrets, Secret};
use crate::telemetry::GateMetrics;

use super::requests::NOW;

/// Somebody who reads a whole head and answers always the same, and counts.
async fn server(answer: String) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            counted.fetch_add(1, Ordering::SeqCst);
            let told = String::from_utf8(head).unwrap();
            assert!(told.starts_with("GET /payments/O%2F1?key=k1 HTTP/1.1\r\n"), "{told}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, count)
}

fn inquiry(port: u16) -> Inquiry {
    let texts = |name: &str, text: &str| vec![(name.to_owned(), text.to_owned())];
    let url = format!("http://127.0.0.1:{port}/payments/{{order | urlencode}}?key={{key}}");
    let call =
        CallText { url, lets: texts("key", "{cred:key | urlencode}"), ..CallText::default() };
    let confirm =
        InquiryText { call, facts: texts("order", "{json:order}"), ..InquiryText::default() };
    let profile = Profile {
        facts: texts("order", "{json:order}"),
        confirm: Some(confirm),
        ..Profile::default()
    };
    let compiled = profile.compile(&builtin("github").unwrap(), &|_| None).unwrap();
    compiled.confirm.unwrap()
}

/// A delivery as the journal gives it.
async fn delivery(facts: Facts) -> Arc<Delivery> {
    let metrics = GateMetrics::new().unwrap().inbox.journal;
    let (clock, _) = Clock::by_hand(NOW);
    let journal = Journal::in_memory(clock, metrics).unwrap();
    let verdict = Verdict {
        scheme: "github".into(),
        strength: "full".into(),
        secret_version: Some(1),
        stated: None,
        provider_id: None,
        must_confirm: Some("asked_for".into()),
    };
    let kept = journal.keep(NewDelivery {
        source: "github".into(),
        destination: "shop".into(),
        key: [1; 32],
        secret: None,
        key_until: Timestamp::MAX,
        received_millis: NOW.secs() * 1000,
        method: "POST".into(),
        target: "/webhooks".into(),
        headers: vec![("Host".into(), "gate.example".into())],
        body: Bytes::from_static(b"{\"order\":\"O/1\"}"),
        verdict,
        facts,
        order_key: None,
        first: Some(Work::Confirm),
        post_back: false,
    });
    assert!(matches!(kept.await, Ok(Kept::Stored(_))));
    let lane = Lane { work: Work::Confirm, name: "github".into() };
    let due = journal.due(&lane, NOW.secs() * 1000, false, 1, &Default::default()).unwrap();
    Arc::clone(&due[0].delivery)
}

async fn ask(inquiry: &Inquiry, facts: Facts) -> Finding {
    let reach = Reach { networks: vec!["127.0.0.0/8".parse().unwrap()], authorities: None };
    let caller = Caller::new(&reach).unwrap();
    let mut values = NamedSecrets::default();
    values.insert("key", b"k1".to_vec());
    let secret = Secret::of_any_length(b"It's a Secret to Everybody".to_vec());
    let key = builtin("github").unwrap().key(&secret, values.clone()).unwrap();
    let means = Means { key: &key, values: &values, now: NOW };
    let delivery = delivery(facts).await;
    let asked = inquiry.ask(&caller, &delivery, means);
    tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap()
}

fn run(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future);
}

fn order() -> Facts {
    Facts::from([("order".to_owned(), "O/1".to_owned())])
}

#[test]
fn answers_come_over_the_wire() {
    run(async {
        for (head, body, expected) in [
            ("200 OK", "{\"order\":\"O/1\"}", Finding::Agrees { state: None }),
            ("404 Not Found", "", Finding::Unknown),
            (
                "429 Slow
retry-after: 7",
                "",
                Finding::NoAnswer { code: "status", status: Some(429), retry_after: Some(7) },
            ),
        ] {
            let length = body.len();
            let (port, count) = server(format!(
                "HTTP/1.1 {head}
content-length: {length}
connection: close

{body}"
            ))
            .await;
            assert_eq!(ask(&inquiry(port), order()).await, expected);
            assert_eq!(count.load(Ordering::SeqCst), 1);
        }
    });
}

#[test]
fn nobody_there_is_no_answer() {
    run(async {
        let port = {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
            listener.local_addr().unwrap().port()
        };
        let finding = ask(&inquiry(port), order()).await;
        let expected = Finding::NoAnswer { code: "unreachable", status: None, retry_after: None };
        assert_eq!(finding, expected);
    });
}

#[test]
fn a_message_that_cannot_be_asked_about_differs() {
    run(async {
        let (port, count) = server(String::new()).await;
        let finding = ask(&inquiry(port), Facts::new()).await;
        let differences = vec!["the call cannot be made: order is absent".to_owned()];
        assert_eq!(finding, Finding::Differs { state: None, differences });
        assert_eq!(count.load(Ordering::SeqCst), 0);
    });
}
