//! Who may pass, who waits, who is told to come back: pure decisions.
//!
//! The order in which a request meets it: client limits → predicted wait → line → permit.
//!
//! **Invariants** (design §5, rules 1–5): permits in use never exceed the limit; while somebody admissible waits, they equal
//! it; first come, first served; nobody is let into the line who would wait too long, and nobody is served after their
//! deadline; token buckets are exact in every window.
//! **Cost**: about a microsecond; no lock but a map shard for client limits, no allocation.
//! **Not here**: I/O, timers, HTTP. Time and chance are arguments; the same code runs under sockets, under loom and in
//! virtual time.

mod class;
pub mod client;
pub mod concurrency;
pub mod dispatch;
pub mod funnel;
pub mod gate;
#[cfg(all(test, feature = "loom"))]
mod model;
mod pace;
pub mod permit;
mod predictor;
#[cfg(all(test, not(feature = "loom")))]
mod props;
pub mod queue;
pub mod rate;
pub mod route;
mod shares;
mod sync;
#[cfg(all(test, not(feature = "loom")))]
mod tests;
pub mod verdict;
