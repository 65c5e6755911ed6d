//! A run.

pub mod plan;
