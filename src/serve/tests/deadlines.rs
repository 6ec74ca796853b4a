//! Clients that keep silent, send too slowly or do not read.

use std::num::NonZeroU32;

use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use super::kit::*;
use crate::limit::MinimumPace;

#[tokio::test]
async fn a_silent_tcp_connection_ends_at_the_handshake_deadline() {
    let served = Served::start(settings());
    let mut tcp = served.tcp().await;
    closes_after(&mut tcp, ms(300)).await;
    served.metric_becomes("tls_handshake_failures_total", "timeout", 1.0).await;
    assert_eq!(served.connections.open(), 0);
}

#[tokio::test]
async fn half_a_client_hello_ends_at_the_handshake_deadline() {
    let served = Served::start(settings());
    let mut tcp = served.tcp().await;
    tcp.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap();
    closes_after(&mut tcp, ms(300)).await;
    served.metric_becomes("tls_handshake_failures_total", "timeout", 1.0).await;
}

#[tokio::test]
async fn a_silent_tls_connection_ends_when_it_has_been_idle() {
    let mut settings = settings();
    settings.deadlines.idle = ms(500);
    let served = Served::start(settings);
    let mut client = served.h1().await;
    assert!(closes_after(&mut client, ms(400)).await.is_empty());
    served.metric_becomes("connections_closed_by_deadline_total", "idle", 1.0).await;
    served.metric_becomes("connections_open", "h1", 0.0).await;
}

#[tokio::test]
async fn each_answer_begins_the_idle_time_anew() {
    let mut settings = settings();
    settings.deadlines.idle = ms(600);
    let served = Served::start(settings);
    let mut client = served.h1().await;
    for _ in 0..4 {
        assert!(ask(&mut client, "/").await.ends_with("ok"));
        tokio::time::sleep(ms(250)).await;
    }
    assert!(ask(&mut client, "/").await.ends_with("ok"));
    closes_after(&mut client, ms(500)).await;
}

#[tokio::test]
async fn a_slow_head_ends_at_the_head_deadline_however_it_drips() {
    let served = Served::start(settings());
    let mut client = served.h1().await;
    assert!(ask(&mut client, "/").await.ends_with("ok"));
    let begun = tokio::time::Instant::now();
    client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    loop {
        tokio::time::sleep(ms(50)).await;
        if client.write_all(b"X: y\r\n").await.is_err() {
            break;
        }
        assert!(begun.elapsed() < ms(5000));
    }
    assert!(begun.elapsed() >= ms(300));
    served.metric_becomes("connections_closed_by_deadline_total", "head", 1.0).await;
}

#[tokio::test]
async fn a_handler_may_take_longer_than_every_client_deadline() {
    let mut settings = settings();
    settings.deadlines.head = ms(100);
    settings.deadlines.idle = ms(150);
    settings.deadlines.stall = ms(100);
    let served = Served::start(settings);
    let mut client = served.h1().await;
    assert!(ask(&mut client, "/slow").await.ends_with("slow"));
    let mut client = served.h2(|_| {}).await;
    let answer = client.send_request(get("/slow")).await.unwrap();
    assert_eq!(body_of(answer).await, "slow");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let mut settings = settings();
    settings.deadlines.stall = ms(500);
    let served = Served::start(settings);
    let mut client = served.h1().await;
    client.write_all(b"GET /big HTTP/1.1\r\nHost: gate.example\r\n\r\n").await.unwrap();
    served.metric_becomes("connections_closed_by_deadline_total", "stall", 1.0).await;
    served.metric_becomes("connections_open", "h1", 0.0).await;
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_is_cut() {
    let mut settings = settings();
    settings.pace = MinimumPace { bytes_per_second: rate(8 << 20), grace: ms(300) };
    let served = Served::start(settings);
    let mut client = served.h1().await;
    client.write_all(b"GET /big HTTP/1.1\r\nHost: gate.example\r\n\r\n").await.unwrap();
    let mut some = vec![0; 16 * 1024];
    let begun = tokio::time::Instant::now();
    while served.metric("connections_closed_by_deadline_total", "pace") == 0.0 {
        let _ = client.read(&mut some).await;
        tokio::time::sleep(ms(20)).await;
        assert!(begun.elapsed() < LONG);
    }
}

#[tokio::test]
async fn a_client_that_reads_slowly_but_well_enough_gets_it_all() {
    let mut settings = settings();
    settings.deadlines.stall = ms(3000);
    settings.pace = MinimumPace { bytes_per_second: rate(1 << 20), grace: ms(300) };
    let served = Served::start(settings);
    let mut client = served.h1().await;
    let request = b"GET /big HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n";
    client.write_all(request).await.unwrap();
    let mut some = vec![0; 256 * 1024];
    let mut bytes = 0;
    loop {
        match client.read(&mut some).await.unwrap() {
            0 => break,
            more => bytes += more,
        }
        tokio::time::sleep(ms(1)).await;
    }
    assert!(bytes > 16 << 20);
}

/// However much of an answer the kernel has room for when its connection is to close.
#[tokio::test]
async fn a_client_that_pauses_gets_the_end_of_an_answer_after_which_its_connection_closes() {
    let served = Served::start(settings());
    let fetch = async |bytes: usize| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        let tcp = socket.connect(served.address).await.unwrap();
        let h1 = |c: &mut rustls::ClientConfig| c.alpn_protocols = vec![b"http/1.1".into()];
        let connector = TlsConnector::from(client_config(std::slice::from_ref(&served.first), h1));
        let name = ServerName::try_from("gate.example").unwrap();
        let mut client = connector.connect(name, tcp).await.unwrap();
        let head = "HTTP/1.1\r\nHost: gate.example\r\nConnection: close\r\n\r\n";
        client.write_all(format!("GET /bytes/{bytes} {head}").as_bytes()).await.unwrap();
        client.flush().await.unwrap();
        // Longer than a client has to end its side.
        tokio::time::sleep(ms(4000)).await;
        let mut all = Vec::new();
        let read = client.read_to_end(&mut all).await;
        let came = all.iter().filter(|byte| **byte == b'b').count();
        (read.is_ok() && came == bytes).then_some(()).ok_or((bytes, came))
    };
    let all = (20..100).map(|part| fetch(part * 1000));
    let cut: Vec<_> = join_all(all).await.into_iter().filter_map(Result::err).collect();
    assert!(cut.is_empty(), "{cut:?}");
}

#[tokio::test]
async fn an_http2_stream_that_is_not_read_is_caught_beside_one_that_is() {
    let mut settings = settings();
    settings.deadlines.stall = ms(600);
    let served = Served::start(settings);
    let small = |builder: &mut H2Builder| _ = builder.initial_stream_window_size(1024);
    let mut client = served.h2(small).await;
    let unread = client.send_request(get("/big")).await.unwrap();
    let begun = tokio::time::Instant::now();
    while client.send_request(get("/")).await.is_ok() {
        tokio::time::sleep(ms(30)).await;
        assert!(begun.elapsed() < LONG);
    }
    assert!(begun.elapsed() >= ms(500));
    assert!(unread.into_body().collect().await.is_err());
    served.metric_becomes("connections_closed_by_deadline_total", "stall", 1.0).await;
}

#[tokio::test]
async fn an_http2_answer_that_waits_for_its_source_is_not_a_stall() {
    let mut settings = settings();
    settings.deadlines.stall = ms(200);
    settings.deadlines.idle = ms(200);
    let served = Served::start(settings);
    let mut client = served.h2(|_| {}).await;
    let mut endless = client.send_request(get("/endless")).await.unwrap().into_body();
    assert!(endless.frame().await.unwrap().is_ok());
    tokio::time::sleep(ms(900)).await;
    assert!(client.send_request(get("/")).await.is_ok());
    assert_eq!(served.metric("connections_closed_by_deadline_total", "stall"), 0.0);
}

#[tokio::test]
async fn an_idle_http2_connection_is_told_to_go() {
    let mut settings = settings();
    settings.deadlines.idle = ms(400);
    let served = Served::start(settings);
    let mut client = served.h2(|_| {}).await;
    assert!(client.send_request(get("/")).await.is_ok());
    served.metric_becomes("connections_closed_by_deadline_total", "idle", 1.0).await;
    assert!(client.ready().await.is_err());
}

#[tokio::test]
async fn an_http2_connection_without_a_word_ends_when_it_has_been_idle() {
    let mut settings = settings();
    settings.deadlines.idle = ms(300);
    let served = Served::start(settings);
    let roots = [served.first.clone()];
    let h2 = |c: &mut rustls::ClientConfig| c.alpn_protocols = vec![b"h2".into()];
    let mut client = served.tls_client("gate.example", &roots, h2).await.unwrap();
    closes_after(&mut client, ms(200)).await;
    served.metric_becomes("connections_closed_by_deadline_total", "idle", 1.0).await;
}

#[tokio::test]
async fn the_last_piece_of_an_http2_answer_does_not_wait_for_ever() {
    let mut settings = settings();
    settings.deadlines.idle = ms(300);
    settings.deadlines.stall = ms(300);
    let served = Served::start(settings);
    let tiny = |builder: &mut H2Builder| _ = builder.initial_stream_window_size(1);
    let mut client = served.h2(tiny).await;
    let _unread = client.send_request(get("/")).await.unwrap();
    served.metric_becomes("connections_open", "h2", 1.0).await;
    served.metric_becomes("connections_open", "h2", 0.0).await;
}

fn rate(bytes: u32) -> NonZeroU32 {
    NonZeroU32::new(bytes).unwrap()
}
