//! The day before the day: a [`scenario`] says what stands there, who comes and what befalls whom; [`population`] draws the people;
//! [`visitor`] is what one of them does next, [`wire`] their sockets, [`people`] a process of them; [`services`] and [`faults`] are what they meet
//! behind and before the gateway; [`coordinator`] makes a run of it all, [`peers`] the same run of several gateways, [`ledger`] is what is left of one,
//! [`oracle`] judges it, and [`report`] shows it.
//!
//! Older, and proofs of their own: a simulated registration service ([`origin`]), an impatient crowd ([`crowd`]), the yardstick both are measured by
//! ([`ideal`]), the demonstration that puts a gateway between them ([`demo`]), and scenarios of overload ([`overload`]).
//!
//! **Invariants**: people, services and the oracle do not link against the gateway: it is seen as its clients and its upstream see it. Only
//! the reader of [`scenario`] files uses weir's reader of its own, and [`sim`] weir's core. A crowd is planned before the run from a seed, so that the same
//! people come to every gateway.

pub mod cli;
pub mod clock;
pub mod coordinator;
pub mod crowd;
pub mod demo;
pub mod descriptors;
pub mod faults;
pub mod fetch;
pub mod figure;
pub mod ideal;
pub mod ledger;
pub mod oracle;
pub mod origin;
pub mod overload;
pub mod peers;
pub mod people;
pub mod population;
pub mod report;
pub mod scenario;
pub mod services;
pub mod sim;
pub mod table;
pub mod visitor;
pub mod wire;
