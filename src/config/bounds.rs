//! What each value of the configuration may be, and what it is when it is left out.
//!
//! **Not here**: which keys there are (`draft`), syntax (`syntax`, `units`).

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::explain::{did_you_mean, meant};
use super::plan::{AtClose, Bounds, Concurrency, Pace, Queue};
use super::reader::{Complaint, Parsed};
use super::scalar::{number, text};
use super::syntax;

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;
pub(super) const GIB: u64 = 1 << 30;

/// hyper refuses to work with a smaller buffer than 8 KiB; 1 MiB for each of many connections is already generous.
pub(super) const HEADER_SIZE: RangeInclusive<u64> = 8 * KIB..=MIB;
pub(super) const HEADER_COUNT: RangeInclusive<usize> = 16..=1024;
pub(super) const BODY_SIZE: RangeInclusive<u64> = 1..=64 * GIB;
pub(super) const MAX_CONNECTIONS: RangeInclusive<usize> = 1..=10_000_000;
/// From what the process needs without a client.
pub(super) const MAX_MEMORY: RangeInclusive<u64> = 16 * MIB..=1024 * GIB;
/// Registries give sites a /48 at most (RFC 6177), and nobody more than a /32 who is not a carrier; a /128 is a single address.
pub(super) const IPV6_PREFIX: RangeInclusive<u8> = 32..=128;
pub(super) const HTTP2_STREAMS: RangeInclusive<u32> = 1..=65_535;
/// How long a client may take for one step.
pub(super) const CLIENT_TIMEOUT: RangeInclusive<Duration> = millis(100)..=secs(600);
pub(super) const IDLE_TIMEOUT: RangeInclusive<Duration> = millis(100)..=secs(3600);
/// A bucket's burst; as many cells as a rate may count.
pub(super) const BURST: RangeInclusive<u32> = 1..=1_000_000_000;
/// Each is a request that is held; whoever gives up is looked for among them one by one.
pub(super) const CLIENT_WAITING: RangeInclusive<usize> = 0..=1_000;
/// Some 100 bytes each.
pub(super) const CAPACITY: RangeInclusive<usize> = 1..=16_777_216;
pub(super) const CONCURRENCY: RangeInclusive<u32> = 1..=1_000_000;
pub(super) const CONNECT_TIMEOUT: RangeInclusive<Duration> = millis(10)..=secs(300);
pub(super) const RESPONSE_TIMEOUT: RangeInclusive<Duration> = millis(10)..=secs(3600);
pub(super) const ABANDON_TIMEOUT: RangeInclusive<Duration> = millis(100)..=secs(86_400);
pub(super) const QUEUE_WAIT: RangeInclusive<Duration> = millis(1)..=secs(3600);
pub(super) const QUEUE_LENGTH: RangeInclusive<usize> = 0..=1_000_000;
/// Of a pass: long enough to fill in a form, short enough that one who has gone comes as a newcomer the next day.
pub(super) const PASS_LIFE: RangeInclusive<Duration> = secs(1)..=secs(86_400);
/// Numbers remembered at once, four bytes each.
pub(super) const PLACES: RangeInclusive<usize> = 4_096..=67_108_864;
/// Every success is remembered by a number.
pub(super) const QUOTA: RangeInclusive<u64> = 1..=67_108_864;
/// From a test to a week of waiting.
pub(super) const TICKET_LIFE: RangeInclusive<Duration> = secs(10)..=secs(30 * 86_400);
pub(super) const RESOLVE: RangeInclusive<Duration> = secs(1)..=secs(3600);
pub(super) const SLOW_START: RangeInclusive<Duration> = millis(1)..=secs(600);
pub(super) const HEALTH_INTERVAL: RangeInclusive<Duration> = millis(100)..=secs(3600);
pub(super) const HEALTH_TIMEOUT: RangeInclusive<Duration> = millis(10)..=secs(60);
/// Checks in a row.
pub(super) const HEALTH_TIMES: RangeInclusive<u32> = 1..=100;
pub(super) const WORKERS: RangeInclusive<usize> = 1..=1024;
pub(super) const DRAIN_TIMEOUT: RangeInclusive<Duration> = millis(0)..=secs(86_400);

pub(super) const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(262_143);
/// Two, so that there is something to compare; a thousand, beyond which hardly any service has threads; sixteen, which hardly
/// any service minds.
pub(super) const DEFAULT_BOUNDS: Bounds = Bounds {
    min: NonZeroU32::MIN.saturating_add(1),
    max: NonZeroU32::MIN.saturating_add(999),
    initial: NonZeroU32::MIN.saturating_add(15),
};
/// The word for a limit that weir finds.
const ADAPTIVE: &str = "adaptive";
pub(super) const DEFAULT_CONCURRENCY: Concurrency = Concurrency::Adaptive(DEFAULT_BOUNDS);
/// A page's second and third request, which browsers send at once, wait their turn; more is not what a person does.
pub(super) const DEFAULT_CLIENT_WAITING: usize = 2;
/// Of one session: as many as a browser opens connections to a host, and the pictures of a large page over HTTP/2 behind them.
pub(super) const DEFAULT_SESSION_REQUESTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(5);
pub(super) const DEFAULT_SESSION_WAITING: usize = 32;
pub(super) const DEFAULT_QUEUE: Queue = Queue { wait: secs(4), length: 20_000 };
/// Four million numbers are 16 MiB when all of their people have come back; a telephone may
/// sleep a night and a day.
pub(super) const DEFAULT_ROOM: DefaultRoom =
    DefaultRoom { at_close: AtClose::Serve, pace: Pace::Measured, capacity: 4_194_304, life: secs(86_400) };
pub(super) const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// What a waiting room is unless something else is written.
#[derive(Debug)]
pub(super) struct DefaultRoom {
    pub(super) at_close: AtClose,
    pub(super) pace: Pace,
    pub(super) capacity: usize,
    pub(super) life: Duration,
}

pub(super) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(super) const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn pem_file(value: &DeValue<'_>) -> Parsed<PathBuf> {
    text("the path of a PEM file", syntax::file)(value)
}

/// A number of permits, or the word for finding it out.
pub(super) fn concurrency(value: &DeValue<'_>) -> Parsed<Concurrency> {
    match value {
        DeValue::String(text) if text == ADAPTIVE => Ok(DEFAULT_CONCURRENCY),
        DeValue::String(text) if text.parse::<u32>().is_err() => {
            let complaint = Complaint::text("\"adaptive\", a whole number without quotes or a table", text);
            Err(match meant(text, [ADAPTIVE]) {
                Some(_) => complaint.hint(did_you_mean("\"adaptive\"")),
                None => complaint,
            })
        }
        other => at_once(other).map(Concurrency::Fixed).map_err(|complaint| complaint.or("\"adaptive\", a table")),
    }
}

/// Requests of one client at once.
pub(super) fn at_once(value: &DeValue<'_>) -> Parsed<NonZeroU32> {
    number(CONCURRENCY)(value).map(|count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN))
}

pub(super) fn burst(value: &DeValue<'_>) -> Parsed<NonZeroU32> {
    number(BURST)(value).map(|count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN))
}

pub(super) fn times(value: &DeValue<'_>) -> Parsed<NonZeroU32> {
    number(HEALTH_TIMES)(value).map(|count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN))
}

/// A whole number within `bounds`, which start at one or above.
pub(super) fn at_least_one<'t>(bounds: RangeInclusive<usize>) -> impl Fn(&DeValue<'t>) -> Parsed<NonZeroUsize> {
    let read = number(bounds);
    move |value| read(value).map(|count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN))
}
