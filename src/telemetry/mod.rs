//! What operators see of the running gateway: metrics, the access log, the operators' log.
//!
//! * [`Registry`]: counters, gauges and histograms, and their Prometheus text;
//! * [`process`]: the usual `process_*` metrics of this process;
//! * [`access`]: one JSON line a request, written by a thread of its own;
//! * [`costs`]: what requests cost, relative to each other;
//! * [`meter`]: what ended requests tell of a server, for whoever sets its limit;
//! * [`log`]: `tracing` events on standard error.
//!
//! **Invariants**: personal data (bodies, queries, credentials, header values) is neither a label nor a line (design
//! §5.12); label values come from the plan and from closed lists, never from a peer, so the number of series is fixed
//! when the process has started; nothing here blocks a worker or grows with load.
//! **Cost**: counting is one relaxed atomic add, a histogram two; a log record is one push on a bounded ring. A scrape
//! costs the same whatever was counted since the last one.
//! **Not here**: the socket that serves the metrics (`admin`), the meaning of any one metric (its owner registers it).

pub mod access;
mod calendar;
mod cells;
pub mod costs;
pub mod log;
pub mod meter;
pub mod process;
mod registry;
mod text;

pub use access::{AccessLog, AccessRecord};
pub(crate) use calendar::civil_from_days;
pub use registry::{Labels, Listing, Registry};
