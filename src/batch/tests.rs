use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::select;
use tokio::task::yield_now;
use tokio::time::timeout;

use super::*;

async fn pair() -> (Batched, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    near.set_nodelay(true).unwrap();
    (Batched::new(near), listener.accept().await.unwrap().0)
}

/// Bytes that have come to the other end, without waiting for any.
async fn come(far: &TcpStream) -> Vec<u8> {
    let mut all = vec![0; 64 * KIB];
    // The runtime learns meanwhile what has come.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let bytes = far.try_read(&mut all).unwrap_or(0);
    all.truncate(bytes);
    all
}

/// Does something while there is a task that sends.
async fn batched<T>(deed: impl Future<Output = T>) -> T {
    let deed = async {
        // First it is polled, which is when it begins.
        yield_now().await;
        deed.await
    };
    select! { biased; _ = send() => unreachable!(), done = deed => done }
}

fn waiting() -> usize {
    BATCH.with_borrow(|batch| batch.writes.len())
}

#[tokio::test]
async fn what_is_written_in_a_turn_leaves_at_its_end_in_order() {
    let ((mut one, one_far), (mut other, other_far)) = (pair().await, pair().await);
    batched(async {
        for (to_one, text) in [(true, "a"), (false, "b"), (true, "cd")] {
            let connection = if to_one { &mut one } else { &mut other };
            connection.write_all(text.as_bytes()).await.unwrap();
            connection.flush().await.unwrap();
        }
        assert_eq!((waiting(), one_far.try_read(&mut [0]).is_err()), (3, true));
        assert_eq!((come(&one_far).await, come(&other_far).await), ("acd".into(), "b".into()));
        assert_eq!(waiting(), 0);
        assert!(BATCH.with_borrow(|batch| batch.bytes.iter().all(|byte| *byte == 0)));
    })
    .await;
}

#[tokio::test]
async fn a_write_that_does_not_wait_leaves_after_those_that_do() {
    let (mut near, mut far) = pair().await;
    let long = vec![b'l'; WRITE_BYTES_MAX + 1];
    batched(async {
        near.write_all(b"short").await.unwrap();
        near.write_all(&long).await.unwrap();
        assert_eq!(waiting(), 0);
        near.write_all(b"end").await.unwrap();
        near.shutdown().await.unwrap();
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, [b"short", &*long, b"end"].concat());
    })
    .await;
}

#[tokio::test]
async fn only_so_many_wait() {
    let (mut near, far) = pair().await;
    batched(async {
        for each in [1, WRITE_BYTES_MAX] {
            let mut waited = 0;
            for _ in 0..2 * WRITES_MAX {
                near.write_all(&vec![b'w'; each]).await.unwrap();
                waited = waiting().max(waited);
            }
            assert_eq!(waited, WRITES_MAX.min(BATCH_BYTES_MAX / each));
            while !come(&far).await.is_empty() {}
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_task_that_sends_nothing_waits() {
    let (mut near, far) = pair().await;
    near.write_all(b"before").await.unwrap();
    assert_eq!((waiting(), come(&far).await), (0, b"before".to_vec()));
    batched(async { near.write_all(b"left").await.unwrap() }).await;
    near.write_all(b", after").await.unwrap();
    assert_eq!((waiting(), come(&far).await), (0, b"left, after".to_vec()));
}

#[tokio::test]
async fn a_reader_that_is_slow_loses_nothing_and_is_waited_for() {
    let (mut near, mut far) = pair().await;
    let piece = |number: usize| vec![u8::try_from(number % 251).unwrap(); 5000];
    batched(async {
        let mut taken = 0;
        let full = loop {
            let piece = piece(taken);
            let written = timeout(Duration::from_millis(50), near.write_all(&piece));
            match written.await {
                Ok(written) => written.unwrap(),
                Err(_) => break taken,
            }
            taken += 1;
            assert!(taken < 10_000, "the kernel takes no end");
            yield_now().await;
        };
        let flushed = timeout(Duration::from_millis(50), near.flush()).await;
        assert!(flushed.is_err(), "it says that it has sent what it has not");
        let mut all = vec![0; full * 5000];
        let (read, flushed) = tokio::join!(far.read_exact(&mut all), near.flush());
        read.unwrap();
        flushed.unwrap();
        assert_eq!(near.take_sent(), full * 5000, "what left late is told as well");
        let pieces: Vec<u8> = (0..full).flat_map(piece).collect();
        assert!(all == pieces, "of {full} pieces");
    })
    .await;
}

#[tokio::test]
async fn what_is_unsent_leaves_also_where_nobody_does_more_than_read() {
    let (mut near, mut far) = pair().await;
    batched(async {
        let mut written = 0;
        while !near.socket.has_unsent() {
            near.write_all(&[7; WRITE_BYTES_MAX]).await.unwrap();
            written += WRITE_BYTES_MAX;
            yield_now().await;
        }
        let mut all = vec![0; written];
        let read = async {
            far.read_exact(&mut all).await.unwrap();
            far.write_all(b"got it").await.unwrap();
        };
        let mut told = [0; 6];
        let both = async { tokio::join!(read, near.read_exact(&mut told)) };
        let ((), told_all) = timeout(Duration::from_secs(5), both).await.unwrap();
        told_all.unwrap();
    })
    .await;
}

#[tokio::test]
async fn who_wrote_is_told_of_a_fault() {
    let (mut near, far) = pair().await;
    batched(async {
        SockRef::from(&far).set_linger(Some(Duration::ZERO)).unwrap();
        drop(far);
        let fault = async {
            loop {
                if let Err(fault) = near.write_all(b"lost").await {
                    return fault;
                }
                yield_now().await;
            }
        };
        let fault = timeout(Duration::from_secs(5), fault).await.unwrap();
        let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(kinds.contains(&fault.kind()), "{fault}");
        assert!(near.flush().await.is_err(), "and again");
    })
    .await;
}

#[tokio::test]
async fn one_who_waits_for_the_kernel_is_woken() {
    let (near, mut far) = pair().await;
    let near = Rc::new(RefCell::new(near));
    batched(async {
        let flush = |cx: &mut Context<'_>| Pin::new(&mut *near.borrow_mut()).poll_flush(cx);
        let write = |cx: &mut Context<'_>| {
            Pin::new(&mut *near.borrow_mut()).poll_write(cx, &[7; WRITE_BYTES_MAX])
        };
        // Writes that are taken, until one is not sent: nobody asks after it.
        let mut written = 0;
        poll_fn(|cx| {
            let unsent = !near.borrow().socket.unsent.borrow().bytes.is_empty();
            if !unsent && let Poll::Ready(bytes) = write(cx) {
                written += bytes.unwrap();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        let mut all = vec![0; written];
        let (read, ()) = tokio::join!(
            far.read_exact(&mut all),
            poll_fn(|cx| flush(cx).map(|flushed| flushed.unwrap()))
        );
        read.unwrap();
    })
    .await;
}
