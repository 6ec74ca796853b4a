//! Whoever started this program and looks after it, as systemd does: what it has given, and what it
//! is told (sd_listen_fds(3), sd_notify(3)).

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use countersign::app::Sockets;
use listenfd::ListenFd;

use super::Failure;

/// What this process was given when it was started.
pub(crate) struct Supervisor {
    /// Listening sockets (`LISTEN_FDS`).
    pub(crate) sockets: ListenFd,
    /// Their names, with colons in between (`LISTEN_FDNAMES`).
    pub(crate) names: Option<OsString>,
    /// Where it wants to be told (`NOTIFY_SOCKET`).
    pub(crate) ear: Option<OsString>,
}

impl Supervisor {
    /// The sockets, by their names.
    ///
    /// # Errors
    /// When one has no name, has one that nothing is called by, or is no TCP socket.
    pub(crate) fn sockets(&mut self) -> Result<Sockets, Failure> {
        let mut sockets = Sockets::default();
        let names = self.names.take().unwrap_or_default();
        let names = names.to_string_lossy();
        let mut names = names.split(':');
        for index in 0..self.sockets.len() {
            let socket = self.sockets.take_tcp_listener(index);
            let socket = socket.map_err(|e| Failure::because("what was handed over", &e))?;
            let added = socket.map(|socket| sockets.add(names.next().unwrap_or_default(), socket));
            added.transpose().map_err(Failure::configuration)?;
        }
        Ok(sockets)
    }

    /// Tells how it stands. One who does not listen any more is told nothing.
    pub(crate) fn tell(&self, state: &str) {
        let Some(ear) = &self.ear else { return };
        let address = match ear.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            _ => SocketAddr::from_pathname(ear),
        };
        let told = address
            .and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
        drop(told);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(ear: OsString) -> Supervisor {
        Supervisor { sockets: ListenFd::empty(), names: None, ear: Some(ear) }
    }

    #[test]
    fn a_supervisor_is_told_by_path_and_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ear");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("countersign-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        telling(path.into()).tell("READY=1");
        telling(format!("@{name}").into()).tell("STOPPING=1");
        for (ear, told) in [(by_path, "READY=1"), (by_name, "STOPPING=1")] {
            let mut text = [0; 64];
            let length = ear.recv(&mut text).unwrap();
            assert_eq!(&text[..length], told.as_bytes());
        }
    }

    #[test]
    fn nobody_to_tell_is_no_fault() {
        telling("/nowhere/at/all".into()).tell("READY=1");
        Supervisor { sockets: ListenFd::empty(), names: None, ear: None }.tell("READY=1");
    }
}
