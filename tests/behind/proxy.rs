//! A proxy between gate and service that fails as networks and services do.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the proxy does to connections from now on, those that are open included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: bytes pass.
    None,
    /// Every piece of an answer comes late.
    Delay(Duration),
    /// Connections end before a byte has come.
    Drop,
    /// A request is taken, and its connection reset.
    Reset,
    /// A request is taken, and the connection ends in order, without an answer.
    HalfClose,
    /// The answer is something else.
    Garbage,
    /// Half of the answer, then the end.
    Cut,
    /// Bytes are taken and lead nowhere.
    Blackhole,
}

struct Shared {
    fault: Mutex<Fault>,
    taken: AtomicUsize,
    over: AtomicBool,
    open: Mutex<Vec<TcpStream>>,
}

/// A proxy on a port of its own.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Before a service.
    pub(crate) fn before(service: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            fault: Mutex::new(Fault::None),
            taken: AtomicUsize::new(0),
            over: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if own.over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                own.taken.fetch_add(1, Ordering::SeqCst);
                own.take(stream, service);
            }
        });
        Self { address, shared }
    }

    pub(crate) fn fail(&self, fault: Fault) {
        *self.shared.fault.lock().expect("fault") = fault;
    }

    /// Connections that were taken so far.
    pub(crate) fn taken(&self) -> usize {
        self.shared.taken.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().expect("open").iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the accepting thread, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn fault(&self) -> Fault {
        *self.fault.lock().expect("fault")
    }

    fn take(self: &Arc<Self>, client: TcpStream, service: SocketAddr) {
        if self.fault() == Fault::Drop {
            return reset(&client);
        }
        let Ok(service) = TcpStream::connect(service) else { return };
        let _ = client.set_nodelay(true);
        let _ = service.set_nodelay(true);
        for stream in [&client, &service] {
            self.open.lock().expect("open").push(stream.try_clone().expect("a handle"));
        }
        let handles = (client.try_clone().expect("a handle"), service.try_clone().expect("one"));
        let own = Arc::clone(self);
        std::thread::spawn(move || own.up(handles.0, handles.1));
        let own = Arc::clone(self);
        std::thread::spawn(move || own.down(service, client));
    }

    /// From the gate to the service.
    fn up(&self, mut client: TcpStream, mut service: TcpStream) {
        let mut piece = [0; 16 * 1024];
        while let Ok(count @ 1..) = client.read(&mut piece) {
            let done = match self.fault() {
                Fault::Reset | Fault::Drop => {
                    reset(&client);
                    break;
                }
                Fault::HalfClose => client.shutdown(Shutdown::Write),
                Fault::Blackhole => Ok(()),
                _ => service.write_all(&piece[..count]),
            };
            if done.is_err() {
                break;
            }
        }
        let _ = service.shutdown(Shutdown::Both);
    }

    /// From the service to the gate.
    fn down(&self, mut service: TcpStream, mut client: TcpStream) {
        let mut piece = [0; 16 * 1024];
        while let Ok(count @ 1..) = service.read(&mut piece) {
            let good = match self.fault() {
                Fault::Delay(time) => {
                    std::thread::sleep(time);
                    client.write_all(&piece[..count]).is_ok()
                }
                Fault::Garbage => client.write_all(b"\0\x01 what?\r\n\r\n").is_ok(),
                Fault::Cut => {
                    let _ = client.write_all(&piece[..count - 3]);
                    break;
                }
                Fault::Blackhole => true,
                _ => client.write_all(&piece[..count]).is_ok(),
            };
            if !good {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    }
}

/// Ends a connection, with a reset where bytes of it were not read.
fn reset(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let _ = socket.set_linger(Some(Duration::ZERO));
    let _ = stream.shutdown(Shutdown::Both);
}
