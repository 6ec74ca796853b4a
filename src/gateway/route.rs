//! Which route a request takes: by host, path and method, over raw bytes.

use std::num::NonZeroUsize;
use std::sync::Arc;

use http::Method;

use crate::limit::Window;
use crate::scheme::Scheme;
use crate::target::PathPattern;

/// One route as configuration states it.
#[derive(Clone, Debug)]
pub struct RouteSpec {
    /// Its name in logs and metrics: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    pub name: Arc<str>,
    /// Hosts in lower case, without port; empty: any.
    pub hosts: Vec<String>,
    /// Its paths.
    pub path: PathPattern,
    /// Its methods; empty: any.
    pub methods: Vec<Method>,
    /// The name of the upstream that its requests go to.
    pub upstream: Arc<str>,
    /// The scheme that its requests are signed by.
    pub scheme: Arc<Scheme>,
    /// How far a timestamp may lie from now.
    pub window: Window,
    /// The largest body, in bytes.
    pub body_bytes_max: NonZeroUsize,
}
