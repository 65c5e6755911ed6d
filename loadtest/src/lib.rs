//! The day before the day: a simulated registration service ([`origin`]), an impatient crowd ([`crowd`]), the yardstick
//! both are measured by ([`ideal`]), the demonstration that puts a gateway between them ([`demo`]), and the scenarios that judge
//! one ([`overload`]).
//!
//! **Invariants**: nothing here links against the gateway: it is seen as its clients and its upstream see it. A crowd is
//! planned before the run from a seed, so that the same people come to every gateway.
//! **Not here**: scenario files, the oracle over the ledgers, virtual time.

pub mod cli;
pub mod clock;
pub mod crowd;
pub mod demo;
pub mod descriptors;
pub mod fetch;
pub mod figure;
pub mod ideal;
pub mod ledger;
pub mod oracle;
pub mod origin;
pub mod overload;
pub mod scenario;
pub mod table;
