//! Names that tables have and other tables refer to.
//!
//! **Invariants**: a name refers to one table; a wrong reference is reported once, and not at all when the table it
//! means may be one whose name could not be read.

use std::collections::{BTreeMap, BTreeSet};

use super::super::draft::Draft;
use super::super::explain::{Faults, did_you_mean, meant, quoted};
use super::super::reader::Written;

/// Names of one kind of table, and the position of each.
#[derive(Debug)]
pub(super) struct Names {
    kind: &'static str,
    positions: BTreeMap<String, usize>,
    complete: bool,
}

impl Names {
    /// The names of all `[[kind]]` tables in the order of the file, `None` where a name is missing or wrong.
    pub(super) fn of<'n>(
        kind: &'static str,
        names: impl Iterator<Item = Option<&'n Written<String>>>,
        faults: &mut Faults<'_>,
    ) -> Self {
        let mut all = Self { kind, positions: BTreeMap::new(), complete: true };
        for (position, name) in names.enumerate() {
            let Some(name) = name else {
                all.complete = false;
                continue;
            };
            if all.positions.insert(name.value.clone(), position).is_some() {
                let message = format!("two [[{kind}]] have the name {}", quoted(&name.value));
                faults.add(&name.span, message, Some("already taken above".to_owned()), None);
            }
        }
        all
    }

    /// The position of the table that `name` refers to.
    pub(super) fn resolve(&self, name: &Written<String>, faults: &mut Faults<'_>) -> Option<usize> {
        let position = self.positions.get(&name.value).copied();
        if position.is_none() && self.complete {
            let message = format!("there is no [[{}]] with the name {}", self.kind, quoted(&name.value));
            let known = self.positions.keys().map(String::as_str);
            let label = meant(&name.value, known.clone()).map(|word| did_you_mean(&quoted(word)));
            let list: Vec<String> = known.map(quoted).collect();
            let help =
                if list.is_empty() { "there is none yet".to_owned() } else { format!("there is {}", list.join(", ")) };
            faults.add(&name.span, message, label, Some(help));
        }
        position
    }
}

/// Warns of upstreams, dependencies and client limits that no route refers to.
pub(super) fn warn_of_unused(draft: &Draft, faults: &mut Faults<'_>) {
    let upstreams: BTreeSet<&str> =
        draft.routes.iter().filter_map(|route| route.upstream.as_ref()).map(|name| name.value.as_str()).collect();
    let limits: BTreeSet<&str> =
        draft.routes.iter().flat_map(|route| &route.client_limits).map(|name| name.value.as_str()).collect();
    let named_upstreams = draft.upstreams.iter().filter_map(|upstream| upstream.name.as_ref());
    for name in named_upstreams.filter(|name| !upstreams.contains(name.value.as_str())) {
        faults.warn(&name.span, &format!("no route uses the upstream {}", quoted(&name.value)));
    }
    let named_limits = draft.client_limits.iter().filter_map(|limit| limit.name.as_ref());
    for name in named_limits.filter(|name| !limits.contains(name.value.as_str())) {
        faults.warn(&name.span, &format!("no route uses the client limit {}", quoted(&name.value)));
    }
    let used: BTreeSet<&str> =
        draft.routes.iter().flat_map(|route| &route.uses).map(|name| name.value.as_str()).collect();
    let named_dependencies = draft.dependencies.iter().filter_map(|dependency| dependency.name.as_ref());
    for name in named_dependencies.filter(|name| !used.contains(name.value.as_str())) {
        faults.warn(&name.span, &format!("no route uses the dependency {}", quoted(&name.value)));
    }
}
