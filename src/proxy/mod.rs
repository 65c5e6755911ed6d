//! In the making.
pub mod address;
pub mod answer;
pub mod departure;
pub mod headers;
pub mod peer;
pub mod route;
pub mod target;
pub mod upload;
