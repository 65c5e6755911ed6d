//! weir as its users meet it: the real binary, real sockets, real clients, and an origin that remembers what it got.
//!
//! Every test starts a weir of its own on free ports of 127.0.0.1 and kills it at its end. Tools are Debian's (curl, slowhttptest, wrk,
//! nghttp2-client, prometheus); a missing one fails the test with the name of its package.

#![expect(clippy::unwrap_used, reason = "a test may panic, and its steps are functions")]
#![expect(
    clippy::disallowed_methods,
    reason = "a test waits for a real process by the real clock, on threads of its own"
)]

mod client;
mod frames;
mod origin;
mod pki;
mod tools;
mod weir;

mod aborts;
mod attack;
mod bad_input;
mod capacity;
mod client_limits;
mod curl;
mod descriptors;
mod differential;
mod failures;
mod fairness;
mod floods;
mod footprint;
mod http1_semantics;
mod http2_conformance;
mod http2_requests;
mod http2_upstream;
mod identity;
mod injection;
mod lies;
mod line;
mod load;
mod lobby;
mod memory;
mod passes;
mod paths;
mod permits;
mod reading;
mod refusals;
mod reload;
mod room_kills;
mod rooms;
mod rooms_counting;
mod rooms_full;
mod rooms_line;
mod rooms_operators;
mod rooms_page;
mod rooms_rush;
mod rooms_turn;
mod rooms_two;
mod rooms_wave;
mod rooms_wire;
mod shutdown;
mod stolen;
mod telemetry;
mod tls;
mod tls_reload;
mod tls_upstream;
mod transfer;
mod websocket;
