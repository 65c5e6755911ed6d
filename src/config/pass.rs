//! `[pass]` as written, and as built.
//!
//! **Not here**: keys (`secret`), which routes grant passes (`build::route`).

use std::path::{Path, PathBuf};
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

/// The file of the key where nothing is written.
const IMPLIED_KEY: &str = "pass.key";

const DEFAULT_PASS_LIFE: Duration = secs(1800);
const DEFAULT_PASS_WAIT: Duration = secs(30);

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
            life: table.or("life", DEFAULT_PASS_LIFE, duration(PASS_LIFE)),
            wait: table.or("wait", DEFAULT_PASS_WAIT, duration(QUEUE_WAIT)),
            sessions: ClientConcurrency {
                requests: table.or("concurrency", DEFAULT_SESSION_REQUESTS, at_once),
                waiting: table.or("waiting", DEFAULT_SESSION_WAITING, number(CLIENT_WAITING)),
            },
        }
    }

    /// What stands for `[pass]` where a waiting room needs passes and nothing is written of them; faults point at `span`.
    pub(super) fn implied(span: &Span) -> Self {
        Self {
            span: span.clone(),
            key: Some(Written { value: Source::File(PathBuf::from(IMPLIED_KEY)), span: span.clone() }),
            old_keys: Vec::new(),
            life: DEFAULT_PASS_LIFE,
            wait: DEFAULT_PASS_WAIT,
            sessions: ClientConcurrency { requests: DEFAULT_SESSION_REQUESTS, waiting: DEFAULT_SESSION_WAITING },
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
