//! The gateway's configuration: the scenario's template with its placeholders filled in.
//!
//! | placeholder | becomes |
//! |---|---|
//! | `{listener}`, `{tls_listener}`, `{admin}` | addresses |
//! | `{certificate}`, `{key}` | paths of the run's certificate, for TLS |
//! | `{state}` | a folder of the run |
//! | `{quota}` | the scenario's, as many as the time scale leaves |
//! | `{service:NAME}` | a list of the servers of that service: `["127.0.0.1:1", "127.0.0.1:2"]` |
//!
//! **Invariants**: a word in braces that is none of these is an error with its line; TOML's own braces hold more than a word.

use std::collections::BTreeMap;

/// What the words in braces stand for.
#[derive(Clone, Debug, Default)]
pub struct Values(BTreeMap<String, String>);

/// A placeholder that stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {{{word}}} is no placeholder here; there are {known}")]
pub struct Unknown {
    line: usize,
    word: String,
    known: String,
}

impl Values {
    /// `word` stands for `value`.
    pub fn set(&mut self, word: impl Into<String>, value: impl ToString) {
        self.0.insert(word.into(), value.to_string());
    }

    /// `template` with every placeholder filled in.
    ///
    /// # Errors
    /// One stands for nothing.
    pub fn fill(&self, template: &str) -> Result<String, Unknown> {
        let mut out = String::with_capacity(template.len());
        for (line, text) in (1..).zip(template.split_inclusive('\n')) {
            self.fill_line(text, line, &mut out)?;
        }
        Ok(out)
    }

    fn fill_line(&self, text: &str, line: usize, out: &mut String) -> Result<(), Unknown> {
        // What stands in a comment is for its reader.
        if text.trim_start().starts_with('#') {
            out.push_str(text);
            return Ok(());
        }
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let word = after.split_once('}').filter(|(word, _)| is_word(word));
            let Some((word, behind)) = word else {
                out.push('{');
                rest = after;
                continue;
            };
            let unknown = || {
                let known: Vec<_> = self.0.keys().map(|word| format!("{{{word}}}")).collect();
                Unknown { line, word: word.to_owned(), known: known.join(", ") }
            };
            out.push_str(self.0.get(word).ok_or_else(unknown)?);
            rest = behind;
        }
        out.push_str(rest);
        Ok(())
    }
}

/// Whether a placeholder may be called so.
fn is_word(word: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    !word.is_empty() && word.chars().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        let mut values = Values::default();
        values.set("listener", "127.0.0.1:1");
        values.set("service:nik", r#"["127.0.0.1:2"]"#);
        values
    }

    #[test]
    fn placeholders_are_filled_in_and_tables_stay() {
        let template =
            "# {comment}\naddress = \"{listener}\"\nservers = {service:nik}\nqueue = { wait = \"4s\" }\nx = {}\n";
        let filled = values().fill(template).expect("filled");
        let wanted =
            "# {comment}\naddress = \"127.0.0.1:1\"\nservers = [\"127.0.0.1:2\"]\nqueue = { wait = \"4s\" }\nx = {}\n";
        assert_eq!(filled, wanted);
    }

    #[test]
    fn an_unknown_placeholder_is_named_with_its_line() {
        let error = values().fill("a = 1\nservers = {service:mail}\n").expect_err("unknown").to_string();
        assert_eq!(error, "line 2: {service:mail} is no placeholder here; there are {listener}, {service:nik}");
    }
}
