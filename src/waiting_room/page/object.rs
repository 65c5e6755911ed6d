//! A JSON object written member by member.
//!
//! **Invariants**: texts are escaped (RFC 8259 §7), whoever they are from.
//! **Cost**: every poll and every refusal is told one, so it is written into one allocation: derived from a type, and each text searched byte by
//! byte for what must be escaped, it would cost three times as much.
//! **Not here**: which members there are.

use serde::Serialize;

/// An object in the making.
#[derive(Debug)]
pub(crate) struct Object(Vec<u8>);

impl Object {
    /// The object that `tell` fills, written without growing if `room` bytes are enough.
    pub(crate) fn written(room: usize, tell: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut object = Self(Vec::with_capacity(room));
        object.members(tell);
        object.0
    }

    /// An object within this one, after its name.
    pub(super) fn members(&mut self, tell: impl FnOnce(&mut Self)) {
        self.0.push(b'{');
        tell(self);
        self.0.push(b'}');
    }

    /// The name of what follows.
    pub(super) fn name(&mut self, name: &'static str) {
        self.0.extend_from_slice(if self.0.last() == Some(&b'{') { b"\"" } else { b",\"" });
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// A number, a truth, or what a library writes.
    pub(crate) fn value(&mut self, name: &'static str, value: impl Serialize) {
        self.name(name);
        // Neither memory nor numbers, texts and lists of them can fail to be written.
        let written = serde_json::to_writer(&mut self.0, &value);
        debug_assert!(written.is_ok(), "{written:?}");
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &'static str, text: &str) {
        self.joined(name, &[text]);
    }

    /// A text in parts.
    pub(crate) fn joined(&mut self, name: &'static str, parts: &[&str]) {
        self.name(name);
        self.0.push(b'"');
        for part in parts {
            self.escaped(part);
        }
        self.0.push(b'"');
    }

    /// A text, if there is any.
    pub(super) fn said(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.text(name, text);
        }
    }

    /// One text of several, without those that are empty.
    pub(super) fn sentences(&mut self, name: &'static str, texts: &[&str]) {
        self.name(name);
        self.0.push(b'"');
        for (before, text) in texts.iter().filter(|text| !text.is_empty()).enumerate() {
            if before > 0 {
                self.0.push(b' ');
            }
            self.escaped(text);
        }
        self.0.push(b'"');
    }

    fn escaped(&mut self, text: &str) {
        // Nearly every text is; seen so for many bytes at once.
        let odd = |byte| u8::from(byte < b' ') | u8::from(byte == b'"') | u8::from(byte == b'\\');
        if text.bytes().fold(0, |any, byte| any | odd(byte)) == 0 {
            self.0.extend_from_slice(text.as_bytes());
            return;
        }
        let quoted = serde_json::to_string(text).unwrap_or_default();
        let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
        self.0.extend_from_slice(inside.as_bytes());
    }
}
