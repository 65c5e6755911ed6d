#![doc = include_str!("ARCHITECTURE.md")]
//!
//! # Modules
//!
//! In the order in which a request meets them.

pub mod runtime;

pub mod listener;

pub mod proxy;

pub mod admission;

pub mod waiting_room;

pub mod upstream;

pub mod admin;

pub mod telemetry;

pub mod config;

pub mod clock;

pub mod sabotage;
