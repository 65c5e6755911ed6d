//! In the making.

pub mod plan;
