//! The accept loop over real sockets and real TLS, with deadlines of fractions of a second.

mod deadlines;
mod drain;
mod handshakes;
mod kit;
mod requests;
