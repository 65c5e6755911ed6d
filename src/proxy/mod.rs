//! The walk of a request from listener to upstream.

pub mod peer;
