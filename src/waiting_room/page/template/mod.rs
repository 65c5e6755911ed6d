//! The page's template: `{{name}}` puts a value there, escaped; `{{#name}}…{{/name}}` stands only where the value is not empty;
//! `{{! … }}` is not sent at all.
//!
//! Own code, because what matters here is what a template engine does not do: values and sections are known when the template is
//! read, a mistake names its line, a value can stand only where escaping makes it harmless, and the inline scripts are at hand
//! for the security policy. An engine would bring expressions and a runtime for what is a list of pieces.
//!
//! **Invariants**: a value never stands in a script, a style, a tag's name or an unquoted attribute, where escaping would not
//! hold it; a section begins and ends at the same depth of the markup; rendering cannot fail.
//! **Cost**: parsing once, at start; rendering one pass over a flat list, no recursion.
//! **Not here**: where values come from.

mod placeholder;
mod position;

use bytes::Bytes;
use thiserror::Error;

pub use self::placeholder::{Placeholder, Values};
pub use self::position::Raw;

use self::position::{Position, Reader};
use super::coding::{self, Ready, Rendered};

/// The page that weir brings along.
const BUILT_IN: &str = include_str!("../page.html");

/// A larger file is not a page for a slow telephone, and likely not the file that was meant.
const SIZE_MAX: usize = 256 * 1024;

/// Without these a person does not learn his place, or the page does not go on.
const REQUIRED: [Placeholder; 11] = [
    Placeholder::Language,
    Placeholder::Heading,
    Placeholder::Message,
    Placeholder::Place,
    Placeholder::Ahead,
    Placeholder::Wait,
    Placeholder::Notice,
    Placeholder::Schedule,
    Placeholder::RefreshSeconds,
    Placeholder::RefreshUrl,
    Placeholder::Enter,
];

/// A template that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// Not a placeholder of this page.
    #[error("line {line}: `{name}` is not a placeholder of the page{}", placeholder::similar(.name))]
    Unknown {
        /// Counted from one.
        line: usize,
        /// As written.
        name: String,
    },
    /// `{{` without `}}`.
    #[error("line {line}: `{{{{` is not followed by `}}}}`")]
    Unfinished {
        /// Counted from one.
        line: usize,
    },
    /// A section that does not end.
    #[error("line {line}: the section `{{{{#{name}}}}}` has no `{{{{/{name}}}}}`")]
    Unclosed {
        /// Where it begins.
        line: usize,
        /// The placeholder.
        name: &'static str,
    },
    /// The end of a section that is not the innermost open one.
    #[error("line {line}: `{{{{/{name}}}}}` ends no section that is open here")]
    Unopened {
        /// Counted from one.
        line: usize,
        /// The placeholder.
        name: &'static str,
    },
    /// A section that begins in one place of the markup and ends in another.
    #[error(
        "line {line}: the section `{name}` ends in another place of the markup (tag, attribute, text) than it began"
    )]
    Split {
        /// Where it ends.
        line: usize,
        /// The placeholder.
        name: &'static str,
    },
    /// A value where escaping would not make it harmless.
    #[error("line {line}: `{name}` cannot stand {place}; put it into text or a quoted attribute")]
    Unsafe {
        /// Counted from one.
        line: usize,
        /// As written.
        name: String,
        /// Where it stands.
        place: &'static str,
    },
    /// A placeholder that a page needs.
    #[error("`{{{{{name}}}}}` is missing: {reason}")]
    Missing {
        /// The placeholder.
        name: &'static str,
        /// What would be missing to the person.
        reason: &'static str,
    },
    /// The file is too large.
    #[error("the template has {size} bytes, more than {SIZE_MAX}")]
    TooLarge {
        /// In bytes.
        size: usize,
    },
}

/// A part of the page.
#[derive(Debug)]
enum Piece {
    Text {
        text: String,
        /// The same compressed, if it is long.
        packed: Option<Bytes>,
    },
    Value(Placeholder),
    /// Goes on at `end`, an index into the pieces, where the value is empty.
    Section {
        placeholder: Placeholder,
        end: usize,
    },
}

/// A template that was understood.
#[derive(Debug)]
pub struct Template {
    pieces: Vec<Piece>,
    inline: Vec<(Raw, String)>,
    /// Bytes of its text: what to reserve for a page.
    size: usize,
}

impl Default for Template {
    fn default() -> Self {
        Self::parse_unchecked(BUILT_IN)
    }
}

impl Template {
    /// A template of an operator.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if source.len() > SIZE_MAX {
            return Err(TemplateError::TooLarge { size: source.len() });
        }
        let template = Parser::default().parse(source)?;
        for placeholder in REQUIRED {
            let stands = |piece: &Piece| matches!(piece, Piece::Value(value) if *value == placeholder);
            if !template.pieces.iter().any(stands) {
                return Err(TemplateError::Missing { name: placeholder.as_str(), reason: placeholder.meaning() });
            }
        }
        Ok(template)
    }

    /// What can be understood of a template; a test holds that the built-in one is understood whole.
    pub(super) fn parse_unchecked(source: &str) -> Self {
        Parser::default().parse(source).unwrap_or_else(|_| Self { pieces: Vec::new(), inline: Vec::new(), size: 0 })
    }

    /// The texts between the tags of scripts or styles, as a browser hashes them.
    pub(super) fn inline(&self, kind: Raw) -> impl Iterator<Item = &str> {
        self.inline.iter().filter(move |(of, _)| *of == kind).map(|(_, text)| text.as_str())
    }

    /// The page with these values.
    #[must_use]
    pub fn render(&self, values: &Values<'_>) -> Rendered {
        let mut rendered = Rendered { page: String::with_capacity(self.size + self.size / 4), ready: Vec::new() };
        let page = &mut rendered.page;
        let mut at = 0;
        while let Some(piece) = self.pieces.get(at) {
            at += 1;
            match piece {
                Piece::Text { text, packed } => {
                    let (at, length) = (page.len(), text.len());
                    rendered.ready.extend(packed.clone().map(|packed| Ready { at, length, packed }));
                    page.push_str(text);
                }
                Piece::Value(placeholder) => push_escaped(page, values.get(*placeholder)),
                Piece::Section { placeholder, end } if values.get(*placeholder).is_empty() => at = *end,
                Piece::Section { .. } => {}
            }
        }
        rendered
    }
}

/// As text and in quoted attributes alike (WHATWG HTML §13.1.2.3, §13.1.4).
fn push_escaped(page: &mut String, value: &str) {
    for part in value.split_inclusive(['&', '<', '>', '"', '\'']) {
        let mut plain = part.chars();
        let escaped = match plain.next_back() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some('"') => "&quot;",
            Some('\'') => "&#39;",
            _ => {
                page.push_str(part);
                continue;
            }
        };
        page.push_str(plain.as_str());
        page.push_str(escaped);
    }
}

/// A section that has begun.
struct Open {
    placeholder: Placeholder,
    line: usize,
    position: Position,
    piece: usize,
}

#[derive(Default)]
struct Parser {
    pieces: Vec<Piece>,
    open: Vec<Open>,
    reader: Reader,
    line: usize,
    size: usize,
}

impl Parser {
    fn parse(mut self, source: &str) -> Result<Template, TemplateError> {
        // A browser does the same before it reads markup (WHATWG HTML §13.2.3.5), and hashes what it has then.
        let source = source.replace("\r\n", "\n").replace('\r', "\n");
        let mut rest = source.as_str();
        self.line = 1;
        while let Some((text, tagged)) = rest.split_once("{{") {
            self.text(text);
            let (tag, after) = tagged.split_once("}}").ok_or(TemplateError::Unfinished { line: self.line })?;
            self.tag(tag)?;
            self.line += tag.matches('\n').count();
            // The line of a comment is not sent either.
            rest = if tag.starts_with('!') { after.strip_prefix('\n').unwrap_or(after) } else { after };
            self.line += usize::from(rest.len() < after.len());
        }
        self.text(rest);
        if let Some(Open { placeholder, line, .. }) = self.open.pop() {
            return Err(TemplateError::Unclosed { line, name: placeholder.as_str() });
        }
        Ok(Template { pieces: self.pieces, inline: self.reader.into_inline(), size: self.size })
    }

    fn text(&mut self, text: &str) {
        self.reader.read(text);
        self.line += text.matches('\n').count();
        self.size += text.len();
        if !text.is_empty() {
            self.pieces.push(Piece::Text { text: text.to_owned(), packed: coding::ready(text) });
        }
    }

    fn tag(&mut self, tag: &str) -> Result<(), TemplateError> {
        let line = self.line;
        let (sign, name) = match tag.trim() {
            comment if comment.starts_with('!') => return Ok(()),
            tag => match tag.strip_prefix(['#', '/']) {
                Some(name) => (tag.chars().next(), name.trim()),
                None => (None, tag),
            },
        };
        let placeholder =
            Placeholder::parse(name).ok_or_else(|| TemplateError::Unknown { line, name: name.to_owned() })?;
        let position = self.reader.position();
        let unsafe_place =
            position.unsafe_for_value().filter(|_| sign.is_none()).or_else(|| position.unsafe_for_section());
        if let Some(place) = unsafe_place {
            return Err(TemplateError::Unsafe { line, name: name.to_owned(), place });
        }
        match sign {
            None => self.pieces.push(Piece::Value(placeholder)),
            Some('#') => {
                self.open.push(Open { placeholder, line, position, piece: self.pieces.len() });
                self.pieces.push(Piece::Section { placeholder, end: usize::MAX });
            }
            Some(_) => self.close(placeholder, position)?,
        }
        Ok(())
    }

    fn close(&mut self, closed: Placeholder, position: Position) -> Result<(), TemplateError> {
        let (line, name) = (self.line, closed.as_str());
        let open = self.open.pop().filter(|open| open.placeholder == closed);
        let open = open.ok_or(TemplateError::Unopened { line, name })?;
        if open.position != position {
            return Err(TemplateError::Split { line, name });
        }
        let after = self.pieces.len();
        if let Some(Piece::Section { end, .. }) = self.pieces.get_mut(open.piece) {
            *end = after;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
