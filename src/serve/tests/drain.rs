//! Stopping: requests end, connections close, and nothing is lost on the way.

use http_body_util::BodyExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsConnector;

use super::kit::*;
use crate::limit::ConnectionLimits;

#[tokio::test]
async fn requests_in_progress_are_answered_and_told_to_close() {
    let served = Served::start(settings());
    let mut h1 = served.h1().await;
    h1.write_all(b"GET /slow HTTP/1.1\r\nHost: gate.example\r\n\r\n").await.unwrap();
    let mut h2 = served.h2(|_| {}).await;
    let pending = tokio::spawn(h2.send_request(get("/slow")));
    tokio::time::sleep(ms(100)).await;
    served.drain.begin();
    let answer = answer(&mut h1).await;
    assert!(answer.contains("connection: close") && answer.ends_with("slow"), "{answer}");
    assert!(closes_after(&mut h1, ms(0)).await.is_empty());
    assert_eq!(body_of(pending.await.unwrap().unwrap()).await, "slow");
    let address = served.address;
    assert_eq!(served.ended().await, 0);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn an_idle_connection_may_send_one_more_request() {
    let served = Served::start(settings());
    let mut client = served.h1().await;
    assert!(!ask(&mut client, "/").await.contains("connection: close"));
    served.drain.begin();
    tokio::time::sleep(ms(200)).await;
    assert!(ask(&mut client, "/").await.contains("connection: close"));
    assert!(closes_after(&mut client, ms(0)).await.is_empty());
    assert_eq!(served.ended().await, 0);
}

#[tokio::test]
async fn idle_connections_close_after_a_second_and_none_is_cut() {
    let served = Served::start(settings());
    let mut used = served.h1().await;
    assert!(ask(&mut used, "/").await.ends_with("ok"));
    let mut fresh = served.h1().await;
    let mut h2 = served.h2(|_| {}).await;
    assert!(h2.send_request(get("/")).await.is_ok());
    served.drain.begin();
    let (used, fresh) =
        tokio::join!(closes_after(&mut used, ms(900)), closes_after(&mut fresh, ms(900)));
    assert!(used.is_empty() && fresh.is_empty());
    assert_eq!(served.ended().await, 0);
}

#[tokio::test]
async fn what_is_left_is_cut_and_counted() {
    let served = Served::start(settings());
    let mut h2 = served.h2(|_| {}).await;
    let endless = h2.send_request(get("/endless")).await.unwrap();
    let mut h1 = served.h1().await;
    h1.write_all(b"GET /endless HTTP/1.1\r\nHost: gate.example\r\n\r\n").await.unwrap();
    let _silent = served.tcp().await;
    tokio::time::sleep(ms(100)).await;
    served.drain.begin();
    tokio::time::sleep(ms(100)).await;
    served.drain.cut();
    assert!(endless.into_body().collect().await.is_err());
    assert_eq!(served.ended().await, 3);
}

#[tokio::test]
async fn a_drain_ends_even_with_a_client_that_never_ends_its_head() {
    let served = Served::start(settings());
    let mut client = served.h1().await;
    client.write_all(b"GET / HT").await.unwrap();
    tokio::time::sleep(ms(50)).await;
    served.drain.begin();
    closes_after(&mut client, ms(200)).await;
    assert_eq!(served.ended().await, 0);
}

#[tokio::test]
async fn what_waits_in_the_backlog_when_the_drain_begins_is_served() {
    let mut waiting = None;
    let served = Served::start_late(
        settings(),
        ConnectionLimits::default(),
        |dir| vec![pair(dir, "first", &["gate.example"], &ecdsa())],
        |address, drain| {
            waiting = Some(std::net::TcpStream::connect(address).unwrap());
            drain.begin();
        },
    );
    let waiting = waiting.unwrap();
    waiting.set_nonblocking(true).unwrap();
    let tcp = tokio::net::TcpStream::from_std(waiting).unwrap();
    let config = client_config(std::slice::from_ref(&served.first), |_| {});
    let name = "gate.example".try_into().unwrap();
    let mut client = TlsConnector::from(config).connect(name, tcp).await.unwrap();
    let answer = ask(&mut client, "/").await;
    assert!(answer.contains("connection: close") && answer.ends_with("ok"), "{answer}");
    drop(client);
    assert_eq!(served.ended().await, 0);
}
