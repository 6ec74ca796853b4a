//! Listening sockets: one per core on one address, shared by SO_REUSEPORT.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// How many connections wait in each backlog.
pub(super) const BACKLOG: i32 = 4096;

/// Bytes that the kernel may hold unsent for one client before a write blocks.
///
/// Bounds what a client that does not read can pin, and lets progress be seen in small steps.
pub(super) const UNSENT_BYTES_MAX: u32 = 64 * 1024;

/// A listening socket, and who has it.
#[derive(Debug)]
pub struct Listening {
    pub(super) socket: TcpListener,
    /// Whether another process has it as well: then what waits in its backlog is not lost when this
    /// one closes it.
    pub(super) handed_over: bool,
}

impl From<TcpListener> for Listening {
    /// A socket that only this process has.
    fn from(socket: TcpListener) -> Self {
        Self { socket, handed_over: false }
    }
}

/// Gives each of `count` cores one of the sockets that this process was handed. Where they are
/// fewer than cores, several accept from one.
///
/// # Errors
/// When the system gives no more descriptors.
pub fn share(sockets: &[TcpListener], count: NonZeroUsize) -> io::Result<Vec<Listening>> {
    let shared = sockets.iter().cycle().take(count.get());
    let shared = shared.map(|socket| {
        let socket = socket.try_clone()?;
        Ok(Listening { socket, handed_over: true })
    });
    shared.collect()
}

/// Opens `count` non-blocking listening sockets on one address, one for each core.
///
/// With port 0 the first socket gets a port from the system and the rest take the same.
///
/// # Errors
/// When the address is in use, even by a socket that would share it, or cannot be bound.
pub fn bind(address: SocketAddr, count: NonZeroUsize) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 {
        // With SO_REUSEPORT alone, two programs of one user would share the port unnoticed.
        drop(listen(address, false)?);
    }
    let first = listen(address, true)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..count.get() {
        listeners.push(listen(address, true)?);
    }
    Ok(listeners)
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    // `Socket::new` sets FD_CLOEXEC.
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for old connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Sets what accepted sockets inherit.
pub(super) fn prepare(listener: &TcpListener) -> io::Result<()> {
    let socket = SockRef::from(listener);
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    #[test]
    fn port_zero_gives_all_sockets_one_port() {
        let listeners = bind("127.0.0.1:0".parse().unwrap(), TWO).unwrap();
        let ports: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap().port()).collect();
        assert_eq!(ports.len(), 2);
        assert_ne!(ports[0], 0);
        assert_eq!(ports[0], ports[1]);
    }

    #[test]
    fn a_port_in_use_is_an_error_even_when_it_is_shared() {
        let listeners = bind("127.0.0.1:0".parse().unwrap(), TWO).unwrap();
        let address = listeners[0].local_addr().unwrap();
        assert_eq!(bind(address, TWO).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listeners);
        assert!(bind(address, TWO).is_ok());
    }

    #[test]
    fn every_core_has_a_socket_and_every_socket_a_core() {
        let given = bind("127.0.0.1:0".parse().unwrap(), TWO).unwrap();
        let three = TWO.saturating_add(1);
        let shared = share(&given, three).unwrap();
        assert_eq!(shared.len(), 3);
        assert!(shared.iter().all(|one| one.handed_over));
        let first = given[0].local_addr().unwrap();
        assert!(shared.iter().all(|one| one.socket.local_addr().unwrap() == first));
        assert!(share(&[], three).unwrap().is_empty());
    }

    #[test]
    fn accepted_sockets_send_without_delay() {
        let listener = bind("127.0.0.1:0".parse().unwrap(), NonZeroUsize::MIN).unwrap().remove(0);
        prepare(&listener).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
        assert_eq!(SockRef::from(&accepted).tcp_notsent_lowat().unwrap(), UNSENT_BYTES_MAX);
    }
}
