//! Overload on real sockets: an emulated service whose capacity weir is not told, an open-loop crowd, faults on a timeline, and
//! thresholds on medians over seeds.
//!
//! **Invariants**: scenarios are plain data ([`scenario`], [`catalogue`]); what is true comes from the service's own log
//! ([`service`]) joined with the crowd's ([`visit`]); a run whose harness was late proves nothing.
//! **Not here**: scenario files, virtual time.

pub mod catalogue;
pub mod figures;
pub mod gateway;
pub mod people;
pub mod room;
pub mod run;
pub mod scenario;
pub mod server;
pub mod service;
pub mod stats;
pub mod suite;
pub mod timeline;
pub mod visit;
pub mod wire;
