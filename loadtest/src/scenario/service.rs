//! The services behind the gateway: what they can do, what stands behind them in turn, and how they fail.

use std::time::Duration;

use crate::origin::curve::Curve;
use crate::scenario::ServiceIndex;

/// A registration service, or a ministry's service that others call.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// How reports and `{service:NAME}` call it.
    pub name: String,
    /// Throughput against requests in flight, of one server.
    pub curve: Curve,
    /// Requests one server holds at most; beyond it the answer is 503 at once.
    pub in_flight: u32,
    /// Servers there are from the start.
    pub servers: u8,
    /// Servers that are started by a fault `add_servers` later; their ports are known from the start.
    pub reserve: u8,
    /// Services that each request calls in turn before its own work, with their own capacity.
    pub needs: Vec<ServiceIndex>,
    /// A known key changes nothing.
    pub idempotent: bool,
    /// How it fails by itself.
    pub failures: Failures,
    /// Work of a request: Gamma of this shape with mean 1; 0: always exactly 1.
    pub work_shape: u32,
}

/// Shares of the requests that end so, each from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Failures {
    /// 500 and nothing was done.
    pub before_effect: f64,
    /// 500 although it was done.
    pub after_effect: f64,
    /// It was done and the connection is closed without an answer.
    pub lost_reply: f64,
    /// It was done and the answer breaks off in the middle of its body.
    pub cut_reply: f64,
    /// No answer at all, ever; nothing was done.
    pub hang: f64,
    /// A 503 that asks for this pause; nothing was done.
    pub pushback: f64,
    /// That pause.
    pub pushback_for: Duration,
}
