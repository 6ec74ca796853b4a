//! Sizes, times and rates, each finite and with its unit in the name or the type.
//!
//! Nothing here can say "unlimited" or "off": the values are non-zero by type, and every default is
//! the one that `docs/configuration.md` states.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use ipnet::IpNet;

/// One kibibyte, in bytes.
pub const KIB: usize = 1024;
/// One mebibyte, in bytes.
pub const MIB: usize = 1024 * KIB;

/// The largest body where a route says nothing, in bytes.
pub const BODY_BYTES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(MIB - 1);
/// The longest body of an answer that is signed or sealed, by default, in bytes.
pub const ANSWER_BYTES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(MIB - 1);
/// All received bytes that no signature vouches for yet, in bytes.
pub const UNVERIFIED_BYTES_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(256 * MIB - 1);
/// Replay memory, in bytes.
pub const REPLAY_MEMORY_BYTES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(512 * MIB - 1);
/// Orders that are kept at the same time.
pub const LEDGER_ORDERS_MAX: u64 = 100_000_000;
/// Requests that are remembered for one credential.
pub const LEDGER_MESSAGES_MAX: u64 = 10_000_000;
/// Connections to one upstream, over all cores.
pub const UPSTREAM_CONNECTIONS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);
/// Requests that wait for one of these, over all cores.
pub const UPSTREAM_QUEUE: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// How often something may happen: `per_second` on average, `burst` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Sustained events a second.
    pub per_second: NonZeroU32,
    /// Events that may come at once after a pause.
    pub burst: NonZeroU32,
}

impl Rate {
    /// Failed admissions of one address before it is slowed. Ten a second leave a partner's other
    /// programs behind the same address alone while one of them fails, and a guesser gains nothing
    /// by them; they cost less than a hundredth of a core even where every body is as long as it
    /// may be.
    pub const FAILURES: Self = Self {
        per_second: NonZeroU32::MIN.saturating_add(9),
        burst: NonZeroU32::MIN.saturating_add(99),
    };

    /// Session calls of one credential: 120 a minute. All workers of a partner may begin at once.
    pub const SESSIONS: Self = Self {
        per_second: NonZeroU32::MIN.saturating_add(1),
        burst: NonZeroU32::MIN.saturating_add(499),
    };
}

/// How far a signed timestamp may lie from the gate's time, both ends inclusive, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// How old a timestamp may be.
    pub past: Duration,
    /// How far ahead of the gate's time a timestamp may be.
    pub ahead: Duration,
}

impl Default for Window {
    fn default() -> Self {
        Self { past: Duration::from_secs(300), ahead: Duration::from_secs(30) }
    }
}

impl Window {
    /// The time for which a claim can be presented: past and ahead together.
    pub fn span(&self) -> Duration {
        self.past + self.ahead
    }
}

/// Deadlines of one client connection and of the requests on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionDeadlines {
    /// From accept to the end of the TLS handshake.
    pub handshake: Duration,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// Without a request in progress.
    pub idle: Duration,
    /// How long an answer may make no progress because the client does not read.
    pub stall: Duration,
    /// From the order to stop until connections are cut.
    pub drain: Duration,
}

impl Default for ConnectionDeadlines {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(30),
        }
    }
}

/// The slowest transfer that is still served: nothing is asked before `grace`, then on average
/// `bytes_per_second` since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinimumPace {
    /// Average pace in bytes a second.
    pub bytes_per_second: NonZeroU32,
    /// Time before the pace is asked for.
    pub grace: Duration,
}

impl Default for MinimumPace {
    fn default() -> Self {
        Self {
            bytes_per_second: NonZeroU32::MIN.saturating_add(1023),
            grace: Duration::from_secs(5),
        }
    }
}

impl MinimumPace {
    /// How long after its start a transfer of `bytes` so far is still quick enough.
    pub fn allows(&self, bytes: usize) -> Duration {
        let earned_ms = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1000)
            / u64::from(self.bytes_per_second.get());
        self.grace.saturating_add(Duration::from_millis(earned_ms))
    }
}

/// Deadline and pace of a request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyDeadlines {
    /// From the end of the head to the end of the body.
    pub total: Duration,
    /// The slowest body that is still read.
    pub pace: MinimumPace,
}

impl Default for BodyDeadlines {
    fn default() -> Self {
        Self { total: Duration::from_secs(30), pace: MinimumPace::default() }
    }
}

/// How many connections a listener holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// At the same time, in all.
    pub total: NonZeroUsize,
    /// At the same time, from one address (IPv6: from one /64).
    pub per_address: NonZeroUsize,
    /// Other numbers than `per_address` for named networks; the longest prefix counts.
    pub per_network: Vec<(IpNet, NonZeroUsize)>,
    /// Requests after which a connection is told to close, so that load spreads over the cores
    /// again.
    pub requests: NonZeroUsize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            total: NonZeroUsize::MIN.saturating_add(19_999),
            per_address: NonZeroUsize::MIN.saturating_add(999),
            per_network: Vec::new(),
            requests: NonZeroUsize::MIN.saturating_add(9_999),
        }
    }
}

/// What a request head may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the method.
    pub method_bytes: usize,
    /// Bytes of one header value.
    pub value_bytes: usize,
    /// Bytes of target, names and values together.
    pub total_bytes: usize,
    /// Header fields.
    pub fields: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { method_bytes: 16, value_bytes: 8 * KIB, total_bytes: 32 * KIB, fields: 100 }
    }
}

/// What an HTTP/2 connection may hold (RFC 9113, section 6.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// Streams open at the same time.
    pub streams: u32,
    /// Receive window of one stream, in bytes.
    pub stream_window_bytes: u32,
    /// Receive window of the connection, in bytes.
    pub connection_window_bytes: u32,
    /// Decoded header list, in bytes.
    pub header_list_bytes: u32,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: 128,
            stream_window_bytes: 64 * 1024,
            connection_window_bytes: 1024 * 1024,
            header_list_bytes: 32 * 1024,
        }
    }
}

/// Deadlines towards an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamDeadlines {
    /// To connect, TLS included.
    pub connect: Duration,
    /// From the request sent to the head of the answer, and between two pieces of its body.
    pub response: Duration,
    /// How long an unused connection is kept.
    pub idle: Duration,
}

impl Default for UpstreamDeadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            response: Duration::from_secs(30),
            idle: Duration::from_secs(30),
        }
    }
}
