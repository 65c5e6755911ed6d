//! weir: admission control in front of services that can do only so much.
//!
//! The modules stand in the order in which a request meets them; each uses only what ranks lower (`tests/house.rs`
//! enforces it).

pub mod runtime;

pub mod listener;

pub mod proxy;

pub mod admission;

pub mod upstream;

pub mod admin;

pub mod telemetry;

pub mod config;

pub mod clock;
