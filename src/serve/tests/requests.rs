//! What happens between requests: the number of them, refusals with unread bodies, panics.

use std::num::NonZeroUsize;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::kit::*;

#[tokio::test]
async fn the_last_request_of_a_connection_is_told_so() {
    let mut settings = settings();
    settings.requests_max = NonZeroUsize::new(3).unwrap();
    let served = Served::start(settings);
    let mut client = served.h1().await;
    for last in [false, false, true] {
        assert_eq!(ask(&mut client, "/").await.contains("connection: close"), last);
    }
    assert!(closes_after(&mut client, ms(0)).await.is_empty());
}

#[tokio::test]
async fn http2_is_told_to_go_after_its_last_request() {
    let mut settings = settings();
    settings.requests_max = NonZeroUsize::new(3).unwrap();
    let served = Served::start(settings);
    let mut client = served.h2(|_| {}).await;
    for _ in 0..3 {
        let answer = client.send_request(get("/")).await.unwrap();
        assert_eq!(body_of(answer).await, "ok");
    }
    served.metric_becomes("connections_open", "h2", 0.0).await;
    assert!(client.ready().await.is_err());
}

#[tokio::test]
async fn a_refusal_arrives_although_its_body_was_not_read() {
    let served = Served::start(settings());
    let mut client = served.h1().await;
    let head = b"POST /refuse HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 1048576\r\n\r\n";
    client.write_all(head).await.unwrap();
    // The answer is sent while these still come; whether all are taken does not matter.
    let _ = client.write_all(&vec![b'x'; 1 << 20]).await;
    let answer = answer(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    served.metric_becomes("connections_open", "h1", 0.0).await;
}

#[tokio::test]
async fn lingering_ends_though_the_client_stays() {
    let served = Served::start(settings());
    let mut client = served.h1().await;
    client
        .write_all(b"POST /refuse HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 99999\r\n\r\n")
        .await
        .unwrap();
    assert!(answer(&mut client).await.starts_with("HTTP/1.1 401"));
    served.metric_becomes("connections_open", "h1", 0.0).await;
}

#[tokio::test]
async fn a_head_beyond_all_limits_is_answered() {
    let served = Served::start(settings());
    let mut client = served.h1().await;
    let _ = client.write_all(b"GET / HTTP/1.1\r\nHost: gate.example\r\nX: ").await;
    let _ = client.write_all(&vec![b'x'; 200 * 1024]).await;
    let mut begin = [0; 12];
    client.read_exact(&mut begin).await.unwrap();
    assert_eq!(&begin, b"HTTP/1.1 431");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let served = Served::start(settings());
    let mut client = served.h1().await;
    let one = |path| format!("GET {path} HTTP/1.1\r\nHost: gate.example\r\n\r\n");
    client.write_all([one("/slow"), one("/"), one("/slow")].concat().as_bytes()).await.unwrap();
    for end in ["slow", "ok", "slow"] {
        assert!(answer(&mut client).await.ends_with(end));
    }
}

#[tokio::test]
async fn a_panic_ends_its_connection_and_nothing_else() {
    let served = Served::start(settings());
    let mut failing = served.h1().await;
    failing.write_all(b"GET /panic HTTP/1.1\r\nHost: gate.example\r\n\r\n").await.unwrap();
    closes_after(&mut failing, ms(0)).await;
    served.metric_becomes("connections_open", "h1", 0.0).await;
    let mut client = served.h1().await;
    assert!(ask(&mut client, "/").await.ends_with("ok"));
    assert_eq!(served.connections.open(), 1);
    let mut h2 = served.h2(|_| {}).await;
    assert!(h2.send_request(get("/panic")).await.is_err());
    assert!(h2.send_request(get("/")).await.is_ok());
}

#[tokio::test]
async fn many_requests_at_once_each_get_their_answer() {
    let served = Served::start(settings());
    let client = served.h2(|_| {}).await;
    let asked = (0..100).map(|n| {
        let mut client = client.clone();
        let path = if n % 2 == 0 { "/" } else { "/slow" };
        tokio::spawn(async move {
            let answer = client.send_request(get(path)).await.unwrap();
            assert_eq!(body_of(answer).await, if n % 2 == 0 { "ok" } else { "slow" });
        })
    });
    for asked in asked.collect::<Vec<_>>() {
        asked.await.unwrap();
    }
}
