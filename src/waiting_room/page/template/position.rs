//! Where in the markup a placeholder stands: enough of WHATWG HTML §13.2.5 (tokenization) to know whether escaping is enough.

/// An element whose content is not markup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raw {
    /// `<script>`.
    Script,
    /// `<style>`.
    Style,
}

impl Raw {
    const fn end(self) -> &'static str {
        match self {
            Self::Script => "</script",
            Self::Style => "</style",
        }
    }
}

/// A place in the markup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Position {
    /// Between tags.
    #[default]
    Text,
    /// In a tag's name.
    Name,
    /// In a tag, after its name.
    Tag,
    /// After the `=` of an attribute.
    Before,
    /// In a value without quotes.
    Unquoted,
    /// In a value between double quotes.
    Double,
    /// In a value between single quotes.
    Single,
    /// In `<!-- … -->`.
    Comment,
    /// In the content of such an element.
    Raw(Raw),
}

impl Position {
    /// Why a value cannot stand here.
    pub(super) const fn unsafe_for_value(self) -> Option<&'static str> {
        match self {
            Self::Text | Self::Double | Self::Single | Self::Raw(_) => None,
            Self::Name => Some("in the name of a tag"),
            Self::Tag => Some("in a tag outside of a quoted attribute"),
            Self::Before | Self::Unquoted => Some("in an attribute without quotes"),
            Self::Comment => Some("in a comment"),
        }
    }

    /// Why neither value nor section can stand here: the security policy has one hash for what is in there.
    pub(super) const fn unsafe_for_section(self) -> Option<&'static str> {
        match self {
            Self::Raw(Raw::Script) => Some("in a script"),
            Self::Raw(Raw::Style) => Some("in a style"),
            _ => None,
        }
    }
}

/// The longest name that matters, `/script`, and one more.
const NAME_MAX: usize = 8;

/// Reads markup and knows where it is.
#[derive(Debug, Default)]
pub(super) struct Reader {
    position: Position,
    /// The beginning of the tag's name in small letters; what was seen of the end of a comment or of a raw content.
    seen: String,
    inline: Vec<(Raw, String)>,
}

impl Reader {
    pub(super) const fn position(&self) -> Position {
        self.position
    }

    /// The contents of scripts and styles, in order.
    pub(super) fn into_inline(self) -> Vec<(Raw, String)> {
        self.inline
    }

    pub(super) fn read(&mut self, markup: &str) {
        for character in markup.chars() {
            self.position = self.step(character);
        }
    }

    fn step(&mut self, character: char) -> Position {
        match (self.position, character) {
            (Position::Text, '<') => {
                self.seen.clear();
                Position::Name
            }
            (Position::Name, _) => self.name(character),
            (Position::Tag | Position::Before | Position::Unquoted, '>') => self.content(),
            (Position::Tag, '=') => Position::Before,
            (Position::Before, '"') => Position::Double,
            (Position::Before, '\'') => Position::Single,
            (Position::Before, other) if !other.is_ascii_whitespace() => Position::Unquoted,
            (Position::Unquoted, space) if space.is_ascii_whitespace() => Position::Tag,
            (Position::Double, '"') | (Position::Single, '\'') => Position::Tag,
            (Position::Comment, _) => self.comment(character),
            (Position::Raw(kind), _) => self.raw(kind, character),
            (position, _) => position,
        }
    }

    fn name(&mut self, character: char) -> Position {
        match character {
            '>' => return self.content(),
            '/' if !self.seen.is_empty() => return Position::Tag,
            space if space.is_ascii_whitespace() => {
                // `a < b` opens nothing.
                return if self.seen.is_empty() { Position::Text } else { Position::Tag };
            }
            other if self.seen.is_empty() && !(other.is_ascii_alphabetic() || matches!(other, '/' | '!' | '?')) => {
                return Position::Text;
            }
            other if self.seen.len() < NAME_MAX => self.seen.push(other.to_ascii_lowercase()),
            _ => {}
        }
        if self.seen == "!--" { Position::Comment } else { Position::Name }
    }

    /// After the `>` of a tag.
    fn content(&mut self) -> Position {
        let kind = match self.seen.as_str() {
            "script" => Raw::Script,
            "style" => Raw::Style,
            _ => return Position::Text,
        };
        self.seen.clear();
        self.inline.push((kind, String::new()));
        Position::Raw(kind)
    }

    fn comment(&mut self, character: char) -> Position {
        if character == '>' && self.seen.ends_with("--") {
            return Position::Text;
        }
        if character != '-' {
            self.seen.clear();
        } else if self.seen.len() < NAME_MAX {
            self.seen.push('-');
        }
        Position::Comment
    }

    fn raw(&mut self, kind: Raw, character: char) -> Position {
        self.seen.push(character.to_ascii_lowercase());
        if !kind.end().starts_with(self.seen.as_str()) {
            self.seen = if character == '<' { "<".to_owned() } else { String::new() };
        }
        let Some((_, text)) = self.inline.last_mut() else { return Position::Text };
        text.push(character);
        if self.seen != kind.end() {
            return Position::Raw(kind);
        }
        text.truncate(text.len() - kind.end().len());
        self.seen.remove(0);
        Position::Name
    }
}
