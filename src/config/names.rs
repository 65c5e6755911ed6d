//! Names that tables have and other tables refer to.
//!
//! **Invariants**: a name refers to one table; a wrong reference is reported once, and not at all when the table it
//! means may be one whose name could not be read.

use std::collections::BTreeMap;

use super::explain::{Faults, did_you_mean, meant, quoted};
use super::reader::{Complaint, Parsed, Written};

/// Longest name, in bytes: names are metric labels and parts of answers.
const MAX_NAME: usize = 64;

/// A name: 1 to 64 letters, digits, `-`, `_` and `.`.
pub fn name(text: &str) -> Parsed<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(plain) {
        let wanted = format!("a name of 1 to {MAX_NAME} letters, digits, \"-\", \"_\" or \".\"");
        return Err(Complaint::text(wanted, text));
    }
    Ok(text.to_owned())
}

/// Names of one kind of table, and the position of each.
#[derive(Debug)]
pub struct Names {
    kind: &'static str,
    positions: BTreeMap<String, usize>,
    complete: bool,
}

impl Names {
    /// The names of all `[[kind]]` tables in the order of the file, `None` where a name is missing or wrong.
    pub fn of<'n>(
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
    pub fn resolve(&self, name: &Written<String>, faults: &mut Faults<'_>) -> Option<usize> {
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
