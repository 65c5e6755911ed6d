//! Takes keys out of a TOML table one by one, so that nothing in it goes unread and nothing wrong stops the reading.
//!
//! **Invariants**: every wrong value is one fault at that value; a key that nobody took is one fault at that key; a
//! value that is `None` or a default because it was wrong has its fault recorded.
//! **Not here**: which keys there are (`draft`), what a value looks like (`scalar`, `units`, `syntax`).

use toml::Spanned;
pub use toml::de::{DeTable, DeValue};

use super::explain::{Faults, Span, did_you_mean, meant, quoted};

/// A value and where it was written.
#[derive(Clone, Debug)]
pub struct Written<T> {
    /// As read.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// Why a value is refused; reads "`key` wants {wanted}, found {found}".
#[derive(Debug)]
pub struct Complaint {
    wanted: String,
    found: String,
    hint: Option<String>,
}

impl Complaint {
    /// `found`, a text, where `wanted` is wanted.
    pub fn text(wanted: impl Into<String>, found: &str) -> Self {
        Self { wanted: wanted.into(), found: quoted(found), hint: None }
    }

    /// `found`, a value of another type or out of bounds, where `wanted` is wanted.
    pub fn value(wanted: impl Into<String>, found: &DeValue<'_>) -> Self {
        let found = match found {
            DeValue::String(text) => format!("the string {}", quoted(text)),
            DeValue::Integer(number) => format!("the number {}", bare(number.as_str())),
            DeValue::Float(number) => format!("the number {}", bare(number.as_str())),
            DeValue::Boolean(truth) => truth.to_string(),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        Self { wanted: wanted.into(), found, hint: None }
    }

    /// Widens what is wanted by an `alternative`.
    pub(super) fn or(mut self, alternative: &str) -> Self {
        self.wanted = format!("{alternative} or {}", self.wanted);
        self
    }

    /// As a sentence of its own, where no file shows the place.
    pub(super) fn sentence(&self) -> String {
        let hint = self.hint.iter().fold(String::new(), |all, hint| format!("{all}: {hint}"));
        format!("wanted {}, found {}{hint}", self.wanted, self.found)
    }

    /// Says beside the carets what to write or why.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Digits as written, shortened.
fn bare(digits: &str) -> String {
    quoted(digits).trim_matches('"').to_owned()
}

/// How a value is read.
pub type Parsed<T> = Result<T, Complaint>;

/// A table that is being read.
#[derive(Debug)]
pub struct Table<'t, 'f, 'r> {
    title: &'static str,
    span: Span,
    entries: &'t DeTable<'t>,
    taken: Vec<&'static str>,
    faults: &'f mut Faults<'r>,
}

impl<'t, 'r> Table<'t, '_, 'r> {
    /// Reads `entries` by `read` and then reports every key it did not take. `title` is how the table is written.
    pub fn read<R>(
        title: &'static str,
        span: Span,
        entries: &'t DeTable<'t>,
        faults: &mut Faults<'r>,
        read: impl FnOnce(&mut Table<'t, '_, 'r>) -> R,
    ) -> R {
        let mut table = Table { title, span, entries, taken: Vec::new(), faults };
        let result = read(&mut table);
        table.refuse_unknown();
        result
    }

    /// Where the table stands: its header, or its braces.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span.clone()
    }

    /// The value of `key` if it is written and right.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'t>) -> Parsed<T>,
    ) -> Option<Written<T>> {
        let found = self.take(key)?;
        match parse(found.get_ref()) {
            Ok(value) => Some(Written { value, span: found.span() }),
            Err(complaint) => {
                self.refuse(key, &found.span(), complaint);
                None
            }
        }
    }

    /// The value of `key`, which must be written.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'t>) -> Parsed<T>,
    ) -> Option<Written<T>> {
        self.require(key);
        self.optional(key, parse)
    }

    /// The value of `key`, or `default` if it is not written.
    pub fn or<T>(&mut self, key: &'static str, default: T, parse: impl FnOnce(&DeValue<'t>) -> Parsed<T>) -> T {
        self.optional(key, parse).map_or(default, |written| written.value)
    }

    /// The items of the list `key` that are right, and the span of the list; `None` if it is not written.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        parse: impl Fn(&DeValue<'t>) -> Parsed<T>,
    ) -> Option<Written<Vec<Written<T>>>> {
        let found = self.take(key)?;
        let DeValue::Array(items) = found.get_ref() else {
            let mut complaint = Complaint::value(format!("a list of {wanted}"), found.get_ref());
            if let DeValue::String(text) = found.get_ref() {
                complaint = complaint.hint(did_you_mean(&format!("[{}]", quoted(text))));
            }
            self.refuse(key, &found.span(), complaint);
            return None;
        };
        let mut right = Vec::with_capacity(items.len());
        for item in items {
            match parse(item.get_ref()) {
                Ok(value) => right.push(Written { value, span: item.span() }),
                Err(complaint) => self.refuse(key, &item.span(), complaint),
            }
        }
        Some(Written { value: right, span: found.span() })
    }

    /// As [`list`](Self::list), and an empty list is a fault.
    pub fn filled_list<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        parse: impl Fn(&DeValue<'t>) -> Parsed<T>,
    ) -> Option<Written<Vec<Written<T>>>> {
        match self.entries.get(key) {
            Some(found) if matches!(found.get_ref(), DeValue::Array(items) if items.is_empty()) => {
                self.taken.push(key);
                let wanted = format!("a list of {wanted}");
                self.refuse(key, &found.span(), Complaint { wanted, found: "an empty list".to_owned(), hint: None });
                None
            }
            _ => self.list(key, wanted, parse),
        }
    }

    /// The table `key`, read by `read`; `None` if it is not written or no table.
    pub fn table<R>(
        &mut self,
        key: &'static str,
        title: &'static str,
        read: impl FnOnce(&mut Table<'t, '_, 'r>) -> R,
    ) -> Option<R> {
        let found = self.take(key)?;
        if let DeValue::Table(entries) = found.get_ref() {
            return Some(Table::read(title, found.span(), entries, self.faults, read));
        }
        let mut complaint = Complaint::value("a table", found.get_ref());
        if matches!(found.get_ref(), DeValue::Array(_)) {
            complaint = complaint.hint(format!("there is only one: write {title}"));
        }
        self.refuse(key, &found.span(), complaint);
        None
    }

    /// The tables `[[key]]`, each read by `read`.
    pub fn tables<R>(
        &mut self,
        key: &'static str,
        title: &'static str,
        read: impl Fn(&mut Table<'t, '_, 'r>) -> R,
    ) -> Vec<R> {
        let Some(found) = self.take(key) else { return Vec::new() };
        let DeValue::Array(items) = found.get_ref() else {
            let complaint = Complaint::value(format!("tables written as {title}"), found.get_ref());
            self.refuse(key, &found.span(), complaint.hint(did_you_mean(title)));
            return Vec::new();
        };
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            match item.get_ref() {
                DeValue::Table(entries) => {
                    results.push(Table::read(title, item.span(), entries, self.faults, &read));
                }
                other => {
                    let complaint = Complaint::value(format!("tables written as {title}"), other);
                    self.refuse(key, &item.span(), complaint);
                }
            }
        }
        results
    }

    /// Records that `key` is missing if it is.
    pub fn require(&mut self, key: &'static str) {
        if !self.has(key) {
            let message = format!("{} has no `{key}`", self.title);
            self.faults.add(&self.span, message, Some(format!("`{key}` must be written here")), None);
        }
    }

    /// Whether `key` is written, right or wrong.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.get(key).is_some()
    }

    /// Whether a table is written there.
    #[must_use]
    pub fn has_table(&self, key: &str) -> bool {
        self.entries.get(key).is_some_and(|found| matches!(found.get_ref(), DeValue::Table(_)))
    }

    fn take(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.taken.push(key);
        self.entries.get(key)
    }

    fn refuse(&mut self, key: &str, span: &Span, complaint: Complaint) {
        let message = format!("`{key}` wants {}, found {}", complaint.wanted, complaint.found);
        self.faults.add(span, message, complaint.hint, None);
    }

    fn refuse_unknown(&mut self) {
        for key in self.entries.keys().filter(|key| !self.taken.contains(&key.get_ref().as_ref())) {
            let word = key.get_ref().as_ref();
            let message = format!("unknown key {} in {}", quoted(word).replace('"', "`"), self.title);
            let label = meant(word, self.taken.iter().copied()).map(|known| did_you_mean(&format!("`{known}`")));
            let help = format!("known here: {}", self.taken.join(", "));
            self.faults.add(&key.span(), message, label, Some(help));
        }
    }
}
