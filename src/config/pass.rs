//! `[pass]` as written, and as built.
//!
//! **Not here**: keys (`secret`), which routes grant passes (`build::route`).

use std::path::Path;
use std::time::Duration;

use toml::de::DeValue;

use super::bounds::{
    CLIENT_WAITING, DEFAULT_SESSION_REQUESTS, DEFAULT_SESSION_WAITING, PASS_LIFE, QUEUE_WAIT, at_once, secs,
};
use super::explain::{Faults, Span};
use super::plan::{self, ClientConcurrency};
use super::reader::{Parsed, Table, Written};
use super::scalar::{number, text};
use super::secret::{self, Source};
use super::units::duration;

/// `[pass]`
#[derive(Debug)]
pub(super) struct Pass {
    span: Span,
    key: Option<Written<Source>>,
    old_keys: Vec<Written<Source>>,
    life: Duration,
    wait: Duration,
    sessions: ClientConcurrency,
}

impl Pass {
    pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            span: table.span(),
            key: table.required("key", source),
            old_keys: table.list("old_keys", "keys", source).map_or_else(Vec::new, |list| list.value),
            life: table.or("life", secs(1800), duration(PASS_LIFE)),
            wait: table.or("wait", secs(30), duration(QUEUE_WAIT)),
            sessions: ClientConcurrency {
                requests: table.or("concurrency", DEFAULT_SESSION_REQUESTS, at_once),
                waiting: table.or("waiting", DEFAULT_SESSION_WAITING, number(CLIENT_WAITING)),
            },
        }
    }

    /// With its keys, as far as they are there; `granted` tells whether any route grants passes.
    pub(super) fn build(self, granted: bool, directory: &Path, faults: &mut Faults<'_>) -> Option<plan::Pass> {
        if !granted {
            faults.warn(&self.span, "no route grants passes: write `grants_pass = true` where people come in");
        }
        let key = self.key.and_then(|key| secret::key("key", &key, directory, faults));
        let known = |key: &Written<Source>| secret::known("old_keys", key, directory, faults);
        let old_keys: Vec<_> = self.old_keys.iter().map(known).collect();
        let old_keys = old_keys.into_iter().collect::<Option<_>>()?;
        Some(plan::Pass { key: key?, old_keys, life: self.life, wait: self.wait, sessions: self.sessions })
    }
}

fn source(value: &DeValue<'_>) -> Parsed<Source> {
    text("\"file:PATH\" or \"env:NAME\"", secret::source)(value)
}
