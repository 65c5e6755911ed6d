//! In the making.
pub mod address;
pub mod headers;
pub mod peer;
pub mod route;
pub mod target;
