//! What is wrong with a file, told so that it can be mended at once: file, line, column, the line itself with carets,
//! what is allowed, and the word that was probably meant.
//!
//! **Invariants**: every fault points into the file, at a line that exists; a report of a file that could be read has
//! at least one. At most [`MAX_FAULTS`] are kept, the rest are counted.
//! **Cost**: one pass over the file for each kept fault.
//! **Not here**: what is right or wrong (`draft`, `build`).

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Faults kept of one file. More than this is not a configuration but some other file, and each costs a pass over it.
pub const MAX_FAULTS: usize = 100;

/// Least Jaro–Winkler similarity at which a word is offered as the one that was meant.
const MEANT: f64 = 0.8;

/// Longest piece of a wrong value that is repeated in a message, in characters.
const QUOTED: usize = 60;

/// Bytes from a file's start.
pub type Span = Range<usize>;

/// One fault and where it stands.
#[derive(Clone, Debug)]
pub struct Fault {
    line: usize,
    column: usize,
    message: String,
    label: Option<String>,
    help: Option<String>,
    excerpt: String,
    mark: Span,
}

impl Fault {
    /// Line in the file, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong, in one line.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    fn render(&self, path: &str, renderer: &Renderer) -> String {
        let mark = AnnotationKind::Primary.span(self.mark.clone()).label(self.label.as_deref());
        let snippet = Snippet::source(&self.excerpt).line_start(self.line).path(path).annotation(mark);
        let mut group = Level::ERROR.primary_title(&self.message).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }
}

/// Why a file cannot go live: all of its faults, or that it cannot be read at all.
#[derive(Debug)]
pub struct Report {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Unreadable(String),
    Faulty { faults: Vec<Fault>, more: usize },
}

impl Report {
    pub(super) fn unreadable(path: &Path, why: impl Into<String>) -> Self {
        Self { path: path.to_owned(), cause: Cause::Unreadable(why.into()) }
    }

    /// The faults in the order of the file; none if the file cannot be read.
    #[must_use]
    pub fn faults(&self) -> &[Fault] {
        match &self.cause {
            Cause::Unreadable(_) => &[],
            Cause::Faulty { faults, .. } => faults,
        }
    }

    /// The whole report as text, with colour for a terminal if `styled`.
    #[must_use]
    pub fn render(&self, styled: bool) -> String {
        let path = self.path.display().to_string();
        let (faults, more) = match &self.cause {
            Cause::Unreadable(why) => return format!("error: cannot read {path}: {why}\n"),
            Cause::Faulty { faults, more } => (faults, more),
        };
        let renderer = if styled { Renderer::styled() } else { Renderer::plain() };
        let mut text = String::new();
        for fault in faults {
            text.push_str(&fault.render(&path, &renderer));
            text.push_str("\n\n");
        }
        let count = faults.len().saturating_add(*more);
        let noun = if count == 1 { "error" } else { "errors" };
        let shown = if *more > 0 { format!(", the first {} shown", faults.len()) } else { String::new() };
        text + &format!("{path}: {count} {noun}{shown}\n")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

/// Collects the faults and warnings of one file.
#[derive(Debug)]
pub struct Faults<'t> {
    path: &'t Path,
    text: &'t str,
    kept: Vec<Fault>,
    more: usize,
    warnings: Vec<String>,
}

impl<'t> Faults<'t> {
    /// None yet of `text`, which `path` names in the report.
    #[must_use]
    pub fn new(path: &'t Path, text: &'t str) -> Self {
        Self { path, text, kept: Vec::new(), more: 0, warnings: Vec::new() }
    }

    /// Records that `message` is wrong at `span`; `label` stands beside the carets, `help` below.
    pub fn add(&mut self, span: &Span, message: String, label: Option<String>, help: Option<String>) {
        if self.kept.len() >= MAX_FAULTS {
            self.more = self.more.saturating_add(1);
            return;
        }
        let place = Place::of(self.text, span);
        self.kept.push(Fault {
            line: place.line,
            column: place.column,
            message,
            label,
            help,
            excerpt: place.excerpt,
            mark: place.mark,
        });
    }

    /// Records something that works and is probably not what was wanted.
    pub fn warn(&mut self, span: &Span, message: &str) {
        let place = Place::of(self.text, span);
        self.warnings.push(format!("{}:{}:{}: {message}", self.path.display(), place.line, place.column));
    }

    /// The warnings, or a report if there is any fault.
    pub fn finish(self) -> Result<Vec<String>, Report> {
        if self.kept.is_empty() { Ok(self.warnings) } else { Err(self.report()) }
    }

    /// The report of what was recorded, in the order of the file.
    #[must_use]
    pub fn report(mut self) -> Report {
        self.kept.sort_by_key(|fault| (fault.line, fault.column));
        Report { path: self.path.to_owned(), cause: Cause::Faulty { faults: self.kept, more: self.more } }
    }
}

/// Where a span stands: its first line, and its part in that line.
struct Place {
    line: usize,
    column: usize,
    excerpt: String,
    mark: Span,
}

impl Place {
    fn of(text: &str, span: &Span) -> Self {
        let mut at = span.start.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let (before, after) = text.split_at_checked(at).unwrap_or((text, ""));
        let line = before.matches('\n').count() + 1;
        let head = before.rsplit('\n').next().unwrap_or_default();
        let tail = after.split('\n').next().unwrap_or_default().trim_end_matches('\r');
        // The renderer draws carets only below characters: a mark past the end of the line gets a space to stand under.
        let excerpt = format!("{head}{}", if tail.is_empty() { " " } else { tail });
        let mut end = span.end.saturating_sub(at).clamp(1, tail.len().max(1));
        while !tail.is_char_boundary(end) && end < tail.len() {
            end += 1;
        }
        Self { line, column: head.chars().count() + 1, mark: head.len()..head.len() + end, excerpt }
    }
}

/// The word of `known` that `word` was probably meant to be.
pub fn meant<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let plain = word.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&plain, &candidate.to_lowercase().replace('-', "_")), candidate))
        .filter(|(likeness, _)| *likeness >= MEANT)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// "did you mean `x`?"
#[must_use]
pub fn did_you_mean(word: &str) -> String {
    format!("did you mean {word}?")
}

/// `text` in quotes, on one line and shortened, for a message.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(QUOTED).flat_map(char::escape_debug).collect();
    if text.chars().nth(QUOTED).is_some() {
        short.push('…');
    }
    format!("\"{short}\"")
}
