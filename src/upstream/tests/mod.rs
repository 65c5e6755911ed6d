//! The contract of the module, point by point, over real sockets.

mod bench;
mod broken;
mod connecting;
mod http2;
mod permit;
mod reuse;
mod streaming;
mod upgrade;
