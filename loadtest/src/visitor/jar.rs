//! What a person was given and shows again: ticket, pass and cookies.
//!
//! **Invariants**: at most [`COOKIES`] cookies and [`LENGTH`] bytes a value, as a browser; what is longer was never given.
//! **Cost**: some 300 bytes of a person who has a ticket and a pass; nothing before. To show it again, or to be given the same again, no allocation.

use std::sync::Arc;

/// Cookies kept of one site; browsers keep 50 and more, a gateway gives two or three.
const COOKIES: usize = 8;

/// Longest value kept (RFC 6265 §6.1 asks for 4,096 bytes a cookie).
const LENGTH: usize = 4_096;

/// Cookies that hold a ticket begin so; with several waiting rooms, the room's name follows.
const TICKET_COOKIE: &str = "weir_ticket";

/// What an answer gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gifts {
    /// `Weir-Ticket`, or `ticket` of the document.
    pub ticket: Option<String>,
    /// `Weir-Pass`.
    pub pass: Option<String>,
    /// Names and values of `Set-Cookie`; without a value: it is taken back.
    pub cookies: Vec<(String, String)>,
}

/// What a request shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Value of `Cookie`.
    pub cookie: Option<Arc<str>>,
    /// Value of `Weir-Ticket`.
    pub ticket: Option<Arc<str>>,
    /// Value of `Weir-Pass`.
    pub pass: Option<Arc<str>>,
}

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jar {
    ticket: Option<Arc<str>>,
    pass: Option<Arc<str>>,
    /// Names and values, as `Cookie` says them; none: there are no cookies.
    cookies: Option<Arc<str>>,
}

impl Shown {
    /// Whether anything is.
    #[must_use]
    pub fn is_something(&self) -> bool {
        self.cookie.is_some() || self.ticket.is_some() || self.pass.is_some()
    }
}

impl Gifts {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ticket.is_none() && self.pass.is_none() && self.cookies.is_empty()
    }
}

impl Jar {
    /// Keeps ticket and pass of `gifts`, as an app does that reads header fields.
    pub fn keep_fields(&mut self, gifts: &Gifts) {
        for (kept, given) in [(&mut self.ticket, &gifts.ticket), (&mut self.pass, &gifts.pass)] {
            let short = given.as_deref().filter(|given| given.len() <= LENGTH);
            if let Some(given) = short.filter(|given| kept.as_deref() != Some(given)) {
                *kept = Some(given.into());
            }
        }
    }

    /// Keeps the cookies of `gifts`, as a browser does.
    pub fn keep_cookies(&mut self, gifts: &Gifts) {
        for (name, value) in &gifts.cookies {
            let is_kept = |(kept, of): (&str, &str)| kept == name && of == value;
            if !value.is_empty() && self.pairs().last().is_some_and(is_kept) {
                continue;
            }
            let others = self.pairs().filter(|(kept, _)| kept != name);
            let mut pairs: Vec<String> = others.map(|(name, value)| format!("{name}={value}")).collect();
            if !value.is_empty() && name.len() + value.len() <= LENGTH && pairs.len() < COOKIES {
                pairs.push(format!("{name}={value}"));
            }
            self.cookies = (!pairs.is_empty()).then(|| pairs.join("; ").into());
        }
    }

    /// Loses its cookies.
    pub fn lose_cookies(&mut self) {
        self.cookies = None;
    }

    /// The ticket: as the header said, or as the cookie does.
    #[must_use]
    pub fn ticket(&self) -> Option<&str> {
        let cookie = || self.pairs().find(|(name, _)| name.starts_with(TICKET_COOKIE));
        self.ticket.as_deref().or_else(|| cookie().map(|(_, value)| value))
    }

    /// Fields as an app shows them.
    #[must_use]
    pub fn fields(&self) -> Shown {
        Shown { cookie: None, ticket: self.ticket.clone(), pass: self.pass.clone() }
    }

    /// The value of `Cookie`, if there are any.
    #[must_use]
    pub fn cookie(&self) -> Option<Arc<str>> {
        self.cookies.clone()
    }

    /// Whether nothing was given.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ticket.is_none() && self.pass.is_none() && self.cookies.is_none()
    }

    /// Reads a byte at both ends of all that was given.
    pub(super) fn touch(&self) -> u64 {
        let given = [&self.ticket, &self.pass, &self.cookies].into_iter().flatten().map(|given| given.as_bytes());
        given.flat_map(|given| [given.first(), given.last()]).flatten().fold(0, |sum, byte| sum ^ u64::from(*byte))
    }

    /// Names and values; neither has a semicolon (RFC 6265 §4.1.1).
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.cookies.as_deref().into_iter().flat_map(|cookies| cookies.split(';'));
        pairs.filter_map(|pair| pair.trim_ascii_start().split_once('='))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gifts(ticket: Option<&str>, cookies: &[(&str, &str)]) -> Gifts {
        let cookies = cookies.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Gifts { ticket: ticket.map(str::to_owned), pass: None, cookies }
    }

    #[test]
    fn what_is_newer_replaces_and_what_is_empty_takes_back() {
        let mut jar = Jar::default();
        jar.keep_fields(&gifts(Some("t1"), &[]));
        jar.keep_fields(&gifts(None, &[]));
        jar.keep_cookies(&gifts(None, &[("weir_ticket", "c1"), ("a", "b")]));
        jar.keep_cookies(&gifts(None, &[("weir_ticket", "c2")]));
        assert_eq!((jar.ticket(), jar.cookie().as_deref()), (Some("t1"), Some("a=b; weir_ticket=c2")));
        assert_eq!(jar.fields().ticket.as_deref(), Some("t1"));
        jar.keep_cookies(&gifts(None, &[("a", "")]));
        assert_eq!(jar.cookie().as_deref(), Some("weir_ticket=c2"));
        jar.lose_cookies();
        assert_eq!((jar.cookie(), jar.ticket()), (None, Some("t1")));
    }

    #[test]
    fn a_jar_is_bounded() {
        let mut jar = Jar::default();
        for number in 0..100 {
            jar.keep_cookies(&gifts(None, &[(&format!("c{number}"), "x")]));
        }
        jar.keep_cookies(&gifts(None, &[("c0", &"x".repeat(LENGTH))]));
        jar.keep_fields(&gifts(Some(&"x".repeat(LENGTH + 1)), &[]));
        assert_eq!((jar.pairs().count(), jar.ticket()), (COOKIES - 1, None));
    }
}
