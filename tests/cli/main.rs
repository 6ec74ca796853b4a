//! The program as people run it: arguments in, output, files and exit status out.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod certs;
mod demo;
mod explain;
mod gate;
mod privacy;
mod provider;
mod scan;
mod scheme;
mod send;
mod sign;
mod support;
