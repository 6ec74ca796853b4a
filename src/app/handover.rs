//! What a gate is handed when it is started: listening sockets, and by them the place of the gate
//! before it.
//!
//! Whoever holds the sockets (systemd, for instance) gives them to both. The later one waits until
//! the earlier has left the state folder, with everything saved; what comes in meanwhile waits in
//! the backlog. So nothing is refused, and nothing that passed passes again.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::Path;

use crate::clock::Clock;
use crate::config::Config;
use crate::replay::{FolderFault, StateFolder};
use crate::serve::{Listening, Tls, bind, share};

use super::StartFault;
use super::assembly::listener_tls;

/// Why what was handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HandoverFault {
    /// A socket without a use.
    #[error(
        "a socket named {0:?} was handed over; the names are `listener`, \
             `operations` and `redirect` (systemd: FileDescriptorName=)"
    )]
    UnknownName(String),
    /// A socket on another port than configuration says.
    #[error(
        "the socket `{name}` that was handed over listens on {given}, but configuration says \
             {stated}: change one of them"
    )]
    OtherPort {
        /// Its name.
        name: &'static str,
        /// Where it listens.
        given: SocketAddr,
        /// What configuration says.
        stated: SocketAddr,
    },
    /// Sockets that no core would accept from.
    #[error(
        "{given} sockets `{name}` were handed over, but {cores} accept: connections to the \
             others would wait for ever"
    )]
    TooMany {
        /// Their name.
        name: &'static str,
        /// How many there are.
        given: usize,
        /// How many threads accept.
        cores: NonZeroUsize,
    },
}

/// Listening sockets that were handed over.
#[derive(Debug)]
pub struct Sockets {
    pub(super) listener: Given,
    pub(super) operations: Given,
    pub(super) redirect: Given,
}

impl Default for Sockets {
    fn default() -> Self {
        let given = |name| Given { name, sockets: Vec::new() };
        Self {
            listener: given("listener"),
            operations: given("operations"),
            redirect: given("redirect"),
        }
    }
}

impl Sockets {
    /// Adds a socket under its name: `listener`, once or once for each worker, `operations` or
    /// `redirect`.
    ///
    /// # Errors
    /// When nothing has this name.
    pub fn add(&mut self, name: &str, socket: TcpListener) -> Result<(), HandoverFault> {
        let all = [&mut self.listener, &mut self.operations, &mut self.redirect];
        let given = all.into_iter().find(|given| given.name == name);
        let given = given.ok_or_else(|| HandoverFault::UnknownName(name.to_owned()))?;
        given.sockets.push(socket);
        Ok(())
    }

    /// Whether none was handed over.
    pub fn is_empty(&self) -> bool {
        let all = [&self.listener, &self.operations, &self.redirect];
        all.iter().all(|given| given.sockets.is_empty())
    }
}

/// The sockets of one name.
#[derive(Debug)]
pub(super) struct Given {
    name: &'static str,
    sockets: Vec<TcpListener>,
}

impl Given {
    /// A socket for each of `cores`: those that were handed over, else sockets of our own; and
    /// where they listen.
    pub(super) fn open(
        self,
        stated: SocketAddr,
        cores: NonZeroUsize,
    ) -> Result<(Vec<Listening>, SocketAddr), StartFault> {
        let Self { name, sockets } = self;
        if sockets.is_empty() {
            let bound = bind(stated, cores);
            let bound = bound.map_err(|cause| StartFault::Listen { address: stated, cause })?;
            let address = first_address(&bound)?;
            return Ok((bound.into_iter().map(Listening::from).collect(), address));
        }
        let given = sockets.len();
        if given > cores.get() {
            return Err(HandoverFault::TooMany { name, given, cores }.into());
        }
        for socket in &sockets {
            let given = socket.local_addr()?;
            if stated.port() != 0 && stated.port() != given.port() {
                return Err(HandoverFault::OtherPort { name, given, stated }.into());
            }
        }
        Ok((share(&sockets, cores)?, first_address(&sockets)?))
    }
}

fn first_address(sockets: &[TcpListener]) -> io::Result<SocketAddr> {
    sockets.first().map_or_else(|| Err(io::Error::other("no socket")), TcpListener::local_addr)
}

/// What a gate is handed beside its configuration. The default is nothing: it opens sockets and
/// state folder by itself.
#[derive(Debug, Default)]
pub struct Handover {
    pub(super) sockets: Sockets,
    pub(super) folder: Option<StateFolder>,
}

impl Handover {
    /// Sockets, and no state folder yet.
    pub fn of(sockets: Sockets) -> Self {
        Self { sockets, folder: None }
    }

    /// Takes the state folder over. Says whether that was done: not while a gate is using it.
    ///
    /// # Errors
    /// When there is no such folder, or the operating system refuses.
    pub fn take_over(&mut self, state: &Path) -> Result<bool, FolderFault> {
        match StateFolder::open(state) {
            Ok(folder) => self.folder = Some(folder),
            Err(FolderFault::InUse(_)) => return Ok(false),
            Err(fault) => return Err(fault),
        }
        Ok(true)
    }

    /// Whether the state folder that was taken over, if one was, is this one.
    pub fn fits(&self, state: &Path) -> bool {
        self.folder.as_ref().is_none_or(|folder| folder.path() == state)
    }
}

/// Tries what can be tried while another gate still serves: certificates and keys.
///
/// # Errors
/// What a start would end with as well.
pub fn rehearse(config: &Config, clock: &Clock) -> Result<(), StartFault> {
    let wall_millis = clock.wall_millis();
    listener_tls(config, wall_millis)?;
    Tls::load(&config.operations.certificates, wall_millis)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    #[test]
    fn a_socket_without_a_use_is_refused_by_name() {
        let mut sockets = Sockets::default();
        assert!(sockets.is_empty());
        let fault = sockets.add("countersign.socket", socket()).unwrap_err().to_string();
        assert!(fault.contains("countersign.socket") && fault.contains("listener"), "{fault}");
        assert!(sockets.is_empty());
        sockets.add("operations", socket()).unwrap();
        assert!(!sockets.is_empty());
    }

    #[test]
    fn a_socket_on_another_port_is_refused() {
        let mut sockets = Sockets::default();
        let own = socket();
        let address = own.local_addr().unwrap();
        sockets.add("listener", own).unwrap();
        let fault = sockets.listener.open("127.0.0.1:1".parse().unwrap(), NonZeroUsize::MIN);
        let fault = fault.unwrap_err().to_string();
        assert!(fault.contains(&address.to_string()) && fault.contains("127.0.0.1:1"), "{fault}");
    }

    #[test]
    fn no_socket_is_left_without_a_core() {
        let mut sockets = Sockets::default();
        sockets.add("listener", socket()).unwrap();
        sockets.add("listener", socket()).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let fault = sockets.listener.open(any, NonZeroUsize::MIN).unwrap_err();
        assert!(matches!(fault, StartFault::Handover(HandoverFault::TooMany { given: 2, .. })));
    }

    #[test]
    fn a_folder_in_use_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let mut handover = Handover::default();
        assert!(matches!(handover.take_over(&state), Err(FolderFault::Missing(_))));
        StateFolder::init(&state).unwrap();
        let before = StateFolder::open(&state).unwrap();
        assert!(!handover.take_over(&state).unwrap());
        drop(before);
        assert!(handover.take_over(&state).unwrap());
        assert!(handover.fits(&state) && !handover.fits(dir.path()));
        assert!(matches!(StateFolder::open(&state), Err(FolderFault::InUse(_))));
    }
}
