//! The accept loop of one core: who is let in, and that no error ends it.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use super::arrival::Arrival;
use super::drain::{Roster, Stage};
use super::socket::Listening;
use super::{Door, Handler, Line, socket};
use crate::telemetry::connections::Origin;

/// How long accepting rests after errors such as a lack of file descriptors.
struct Backoff(Duration);

impl Backoff {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);

    /// The rest after this error: none if it only concerns one connection.
    fn after(&mut self, error: &io::Error) -> Option<Duration> {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
        if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | WouldBlock) {
            return None;
        }
        let rest = self.0;
        self.0 = (rest * 2).min(Self::LONGEST);
        Some(rest)
    }
}

/// The accept loop of one core.
pub(super) struct Front<H> {
    door: Rc<Door<H>>,
    roster: Rc<Roster>,
    line: Line,
}

impl<H: Handler> Front<H> {
    pub(super) fn new(door: Door<H>, line: Line) -> Self {
        Self { door: Rc::new(door), roster: Roster::new(), line }
    }

    /// Accepts and serves until the drain is over.
    pub(super) async fn run(self, listening: Listening) -> io::Result<usize> {
        socket::prepare(&listening.socket)?;
        let listener = TcpListener::from_std(listening.socket)?;
        self.accept_until_drain(&listener).await;
        self.roster.tell(Stage::Draining);
        match listening.handed_over {
            // Whoever comes next takes what waits.
            true => drop(listener),
            false => self.empty_backlog(listener.into_std()?),
        }
        tokio::select! {
            () = self.roster.emptied() => {}
            () = self.door.drain.reached(Stage::Cut) => {}
        }
        let cut = self.roster.len();
        self.roster.tell(Stage::Cut);
        self.roster.emptied().await;
        Ok(cut)
    }

    async fn accept_until_drain(&self, listener: &TcpListener) {
        let begun = self.door.drain.reached(Stage::Draining);
        let mut begun = pin!(begun);
        let mut backoff = Backoff(Backoff::SHORTEST);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut begun => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, address)) => {
                    backoff = Backoff(Backoff::SHORTEST);
                    self.welcome(tcp, address);
                }
                Err(error) => {
                    self.door.metrics.accept_error();
                    let Some(rest) = backoff.after(&error) else { continue };
                    tokio::select! {
                        () = &mut begun => return,
                        () = tokio::time::sleep(rest) => {}
                    }
                }
            }
        }
    }

    /// Takes what already waits, since closing the socket would reset it.
    fn empty_backlog(&self, listener: std::net::TcpListener) {
        for _ in 0..socket::BACKLOG {
            match listener.accept() {
                Ok((tcp, address)) => {
                    if tcp.set_nonblocking(true).is_ok()
                        && let Ok(tcp) = TcpStream::from_std(tcp)
                    {
                        self.welcome(tcp, address);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => return,
            }
        }
    }

    fn welcome(&self, tcp: TcpStream, address: SocketAddr) {
        let metrics = &self.door.metrics;
        metrics.accepted();
        let ip = address.ip().to_canonical();
        let settings = self.door.settings.load_full();
        let header_deadline = settings.origins.header_deadline(ip);
        let entered = match header_deadline {
            None => self.door.connections.enter(ip),
            Some(_) => self.door.connections.enter_unnamed(),
        };
        let slot = match entered {
            Ok(slot) => slot,
            Err(reason) => return metrics.refused(reason, Origin { peer: ip, via: None }),
        };
        let arrival = Arrival {
            door: Rc::clone(&self.door),
            settings,
            address,
            ip,
            socket: ip,
            begun: Instant::now(),
            slot,
            ticket: self.roster.enter(),
        };
        let task = match (header_deadline, self.line) {
            (None, Line::Tls) => tokio::task::spawn_local(arrival.shake_hands(tcp)),
            (Some(deadline), line) => {
                tokio::task::spawn_local(arrival.be_named(tcp, deadline, line))
            }
            (None, Line::Plain) => return arrival.serve_plain(tcp),
        };
        drop(task);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_descriptors_makes_accepting_rest_longer_and_longer() {
        let mut backoff = Backoff(Backoff::SHORTEST);
        let emfile = io::Error::from_raw_os_error(24);
        let rests: Vec<_> = (0..9).map(|_| backoff.after(&emfile).unwrap().as_millis()).collect();
        assert_eq!(rests, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
    }

    #[test]
    fn an_aborted_connection_makes_no_rest() {
        let mut backoff = Backoff(Backoff::SHORTEST);
        assert_eq!(backoff.after(&io::ErrorKind::ConnectionAborted.into()), None);
    }
}
