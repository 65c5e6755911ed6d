//! The gateway's configuration as it stands beside a scenario: weir's own, with words in braces that a run fills in.
//!
//! | placeholder | becomes |
//! |---|---|
//! | `{listener}`, `{tls_listener}`, `{admin}` | an address and a port, without quotes |
//! | `{state}` | a folder of the run, without quotes; under TLS `cert.pem` and `key.pem` are there |
//! | `{access}` | the path of the access log, without quotes |
//! | `{quota}` | the scenario's quota as the run has it, a number |
//! | `{service:NAME}` | the servers of that service, a list with brackets and quotes |
//!
//! **Invariants**: what looks like a placeholder is one, or is refused; everything else stays as it is.
//! **Not here**: what the rest says: weir reads that.

use std::net::SocketAddr;
use std::path::Path;

/// What a run puts into a template.
#[derive(Clone, Copy, Debug)]
pub struct Values<'v> {
    /// Where people come in, in cleartext.
    pub listener: SocketAddr,
    /// Where they come in under TLS.
    pub tls_listener: SocketAddr,
    /// Where the coordinator asks.
    pub admin: SocketAddr,
    /// For keys, certificates and journals.
    pub state: &'v Path,
    /// The access log.
    pub access: &'v Path,
    /// The scenario's quota.
    pub quota: Option<u64>,
    /// The servers of each service by name.
    pub services: &'v [(String, Vec<SocketAddr>)],
}

/// A placeholder that cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    /// There is no such word.
    #[error(
        "{{{0}}} is no placeholder: there are listener, tls_listener, admin, state, access, quota and service:NAME"
    )]
    Unknown(String),
    /// Nobody could come in where the scenario's people come: under TLS, or in cleartext.
    #[error("{{{0}}} is not there, where the people of this scenario come in")]
    NoEntrance(&'static str),
    /// It is asked for, and the scenario has none.
    #[error("{{quota}} is asked for, and the scenario has no quota")]
    NoQuota,
    /// It is asked for, and the scenario has none of the name.
    #[error("{{service:{0}}} is asked for, and the scenario has no such service")]
    NoService(String),
}

/// `template` with `values` in it.
pub fn fill(template: &str, values: &Values<'_>) -> Result<String, Unfilled> {
    fill_by(template, |word| value(word, values))
}

/// `template` with what `value` says of each word in braces.
///
/// # Errors
/// Those of `value`.
pub fn fill_by<E>(template: &str, value: impl Fn(&str) -> Result<String, E>) -> Result<String, E> {
    let mut filled = String::with_capacity(template.len());
    for line in template.split_inclusive('\n') {
        // A comment may speak of placeholders. None of the values that stand before one holds the sign.
        let (mut rest, comment) = line.split_at(line.find('#').unwrap_or(line.len()));
        while let Some((before, inside, after)) = next(rest) {
            filled.push_str(before);
            filled.push_str(&value(inside)?);
            rest = after;
        }
        filled.push_str(rest);
        filled.push_str(comment);
    }
    Ok(filled)
}

/// Whether the template of a scenario, whose people come under `tls` or not, asks only for what there is and has them come in.
pub(super) fn check(
    template: &str,
    tls: bool,
    quota: Option<u64>,
    services: impl Iterator<Item = String>,
) -> Result<(), Unfilled> {
    let [nowhere, clear, secret] = [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let services: Vec<_> = services.map(|name| (name, vec![nowhere])).collect();
    let (state, access) = (Path::new("state"), Path::new("access"));
    let values =
        Values { listener: clear, tls_listener: secret, admin: nowhere, state, access, quota, services: &services };
    let filled = fill(template, &values)?;
    let (word, entrance) = if tls { ("tls_listener", secret) } else { ("listener", clear) };
    if filled.contains(&entrance.to_string()) { Ok(()) } else { Err(Unfilled::NoEntrance(word)) }
}

/// What stands before the next placeholder of `text`, its word, and what stands behind. TOML's own braces hold spaces, or nothing.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let (before, rest) = text.split_at_checked(from)?;
        let open = before.len() + rest.find('{')?;
        let (inside, after) = text.get(open + 1..)?.split_once('}')?;
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
        if !inside.is_empty() && inside.bytes().all(plain) {
            return Some((text.get(..open)?, inside, after));
        }
        from = open + 1;
    }
}

fn value(word: &str, values: &Values<'_>) -> Result<String, Unfilled> {
    Ok(match word {
        "listener" => values.listener.to_string(),
        "tls_listener" => values.tls_listener.to_string(),
        "admin" => values.admin.to_string(),
        "state" => values.state.display().to_string(),
        "access" => values.access.display().to_string(),
        "quota" => values.quota.ok_or(Unfilled::NoQuota)?.to_string(),
        other => {
            let name = other.strip_prefix("service:").ok_or_else(|| Unfilled::Unknown(other.to_owned()))?;
            let service = values.services.iter().find(|(known, _)| known == name);
            let (_, servers) = service.ok_or_else(|| Unfilled::NoService(name.to_owned()))?;
            let quoted: Vec<_> = servers.iter().map(|server| format!("\"{server}\"")).collect();
            format!("[{}]", quoted.join(", "))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> Result<String, Unfilled> {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let values = Values {
            listener: address(1),
            tls_listener: address(2),
            admin: address(3),
            state: Path::new("/run/of/it"),
            access: Path::new("/run/access.jsonl"),
            quota: Some(7),
            services: &[("nik-check".to_owned(), vec![address(4), address(5)])],
        };
        fill(template, &values)
    }

    #[test]
    fn placeholders_are_filled_and_nothing_else_is() {
        let text = "a = \"{listener}\" # {admin} {x}\nqueue = { wait = \"4s\" }\nb = {}\nc = {service:nik-check}\n{quota}{state}/{access}";
        let expected = "a = \"127.0.0.1:1\" # {admin} {x}\nqueue = { wait = \"4s\" }\nb = {}\n\
                        c = [\"127.0.0.1:4\", \"127.0.0.1:5\"]\n7/run/of/it//run/access.jsonl";
        assert_eq!(filled(text).as_deref(), Ok(expected));
        assert_eq!(filled("{ {tls_listener}").as_deref(), Ok("{ 127.0.0.1:2"));
        assert_eq!(filled("{").as_deref(), Ok("{"));
    }

    #[test]
    fn what_cannot_be_filled_is_named() {
        assert_eq!(filled("x = \"{lisener}\""), Err(Unfilled::Unknown("lisener".to_owned())));
        assert_eq!(filled("{service:dtks}"), Err(Unfilled::NoService("dtks".to_owned())));
        assert_eq!(check("{quota}", false, None, std::iter::empty()), Err(Unfilled::NoQuota));
        assert_eq!(check("{listener}{service:a}", false, None, ["a".to_owned()].into_iter()), Ok(()));
        assert_eq!(check("{tls_listener}", true, None, std::iter::empty()), Ok(()));
        assert_eq!(check("{listener}", true, None, std::iter::empty()), Err(Unfilled::NoEntrance("tls_listener")));
        assert_eq!(check("{tls_listener}", false, None, std::iter::empty()), Err(Unfilled::NoEntrance("listener")));
    }
}
