//! The contract of the module, point by point, over real sockets.

mod ahead;
mod bench;
mod broken;
mod checking;
mod connecting;
mod ejecting;
mod http2;
mod outcomes;
mod permit;
mod refused;
mod resolving;
mod retrying;
mod reuse;
mod service;
mod streaming;
mod upgrade;
