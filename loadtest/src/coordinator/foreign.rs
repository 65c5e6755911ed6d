//! Configurations that do not stand beside the scenario: the gateway's own text, with words in braces and lines that are repeated.
//!
//! | word | becomes |
//! |---|---|
//! | `{listener}`, `{address}`, `{port}` | where people come in: both, or one of the two |
//! | `{admin}` | where weir is asked |
//! | `{state}` | a folder of the run |
//! | `{service}` | the service's name |
//! | `{servers}` | its servers, as this gateway writes them |
//! | `{rate}`, `{rate:80}` | requests a second at its best, of all its servers; so many per cent of it |
//! | `{served:8}` | what it can do in so many seconds |
//! | `{knee}`, `{knee:500}` | requests in flight at which one of its servers does most; so many per cent of it |
//! | `{knees}`, `{knees:500}` | the same of all its servers |
//! | `{path}` | the path of a stage, without its query |
//!
//! Lines between `# each service` and `# end` stand there once for each service; between `# each stage` and `# end` for each stage, whose
//! service is then meant. Outside of both a service's words mean the first.
//!
//! **Invariants**: what looks like a word is one, or is refused; numbers are whole and at least 1.
//! **Not here**: which gateway with which text (`peers`).

use std::net::SocketAddr;
use std::path::Path;

use super::product::Product;
use crate::scenario::template::fill_by;

/// A service, as a configuration needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Behind {
    /// Its name.
    pub name: String,
    /// Those of its servers that are there.
    pub servers: Vec<SocketAddr>,
    /// Requests a second of one server at its best.
    pub capacity: f64,
    /// Requests in flight at which it does that.
    pub knee: f64,
}

/// What a run puts into a configuration.
#[derive(Clone, Copy, Debug)]
pub struct Place<'p> {
    /// Whose it is.
    pub product: Product,
    /// Where people come in.
    pub listener: SocketAddr,
    /// Where it is asked, if it can be.
    pub admin: Option<SocketAddr>,
    /// A folder.
    pub state: &'p Path,
    /// What stands behind.
    pub services: &'p [Behind],
    /// Path of each stage, and the position of its service.
    pub stages: &'p [(String, usize)],
}

/// A template that cannot be filled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfilled {
    /// There is no such word, or nothing it could mean here.
    #[error("{{{0}}} means nothing here")]
    Unknown(String),
    /// Lines of this kind cannot be repeated.
    #[error("`# each {0}`: there are `# each service` and `# each stage`")]
    Each(String),
    /// `# each` without `# end`.
    #[error("`# each` has no `# end`")]
    Open,
}

/// What is meant by the words of a line.
#[derive(Clone, Copy)]
struct Meant<'m> {
    place: Place<'m>,
    service: Option<&'m Behind>,
    path: Option<&'m str>,
}

/// `template` as `place` makes it.
///
/// # Errors
/// [`Unfilled`].
pub fn fill(template: &str, place: Place<'_>) -> Result<String, Unfilled> {
    let outside = Meant { place, service: place.services.first(), path: None };
    let mut lines = template.split_inclusive('\n');
    let mut filled = String::new();
    while let Some(line) = lines.next() {
        let Some(each) = line.trim().strip_prefix("# each ") else {
            filled += &outside.fill(line)?;
            continue;
        };
        let mut block = String::new();
        loop {
            match lines.next() {
                Some(line) if line.trim() == "# end" => break,
                Some(line) => block += line,
                None => return Err(Unfilled::Open),
            }
        }
        for meant in outside.each(each)? {
            filled += &meant.fill(&block)?;
        }
    }
    Ok(filled)
}

impl<'m> Meant<'m> {
    fn each(self, what: &str) -> Result<Vec<Self>, Unfilled> {
        let Place { services, stages, .. } = self.place;
        match what {
            "service" => Ok(services.iter().map(|service| Self { service: Some(service), ..self }).collect()),
            "stage" => {
                let stage = |(path, service): &'m (String, usize)| Self {
                    service: services.get(*service),
                    path: Some(path),
                    ..self
                };
                Ok(stages.iter().map(stage).collect())
            }
            other => Err(Unfilled::Each(other.to_owned())),
        }
    }

    fn fill(self, text: &str) -> Result<String, Unfilled> {
        fill_by(text, |word| self.word(word).ok_or_else(|| Unfilled::Unknown(word.to_owned())))
    }

    fn word(self, word: &str) -> Option<String> {
        let place = &self.place;
        let (word, share) = match word.split_once(':') {
            Some((word, number)) => (word, Some(number.parse::<u32>().ok()?)),
            None => (word, None),
        };
        let per_cent = f64::from(share.unwrap_or(100)) / 100.0;
        let servers = |service: &Behind| service.servers.len() as f64;
        Some(match (word, share) {
            ("listener", None) => place.listener.to_string(),
            ("address", None) => place.listener.ip().to_string(),
            ("port", None) => place.listener.port().to_string(),
            ("admin", None) => place.admin?.to_string(),
            ("state", None) => place.state.display().to_string(),
            ("service", None) => self.service?.name.clone(),
            ("servers", None) => listed(place.product, &self.service?.servers),
            ("path", None) => self.path?.split('?').next()?.to_owned(),
            ("rate", _) => whole(self.service?.capacity * servers(self.service?) * per_cent),
            ("served", Some(seconds)) => whole(self.service?.capacity * servers(self.service?) * f64::from(seconds)),
            ("knee", _) => whole(self.service?.knee * per_cent),
            ("knees", _) => whole(self.service?.knee * servers(self.service?) * per_cent),
            _ => return None,
        })
    }
}

fn whole(number: f64) -> String {
    format!("{:.0}", number.round().max(1.0))
}

fn listed(product: Product, servers: &[SocketAddr]) -> String {
    let entry = |(number, server): (usize, &SocketAddr)| match product {
        Product::Weir => format!("\"{server}\","),
        Product::Nginx => format!("server {server};"),
        Product::Haproxy => format!("server s{number} {server}"),
        Product::Envoy => format!(
            "- endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }}",
            server.ip(),
            server.port()
        ),
    };
    let between = match product {
        Product::Weir => " ",
        Product::Haproxy => "\n    ",
        Product::Nginx | Product::Envoy => "\n        ",
    };
    servers.iter().enumerate().map(entry).collect::<Vec<_>>().join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(product: Product, template: &str) -> Result<String, Unfilled> {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let services = [
            Behind { name: "sign-up".into(), servers: vec![at(2), at(3)], capacity: 200.4, knee: 20.0 },
            Behind { name: "nik".into(), servers: vec![at(4)], capacity: 1.0, knee: 1.0 },
        ];
        let stages = [("/register?x=1".to_owned(), 0), ("/check".to_owned(), 1)];
        let (state, listener) = (Path::new("/state"), at(1));
        fill(template, Place { product, listener, admin: None, state, services: &services, stages: &stages })
    }

    #[test]
    fn words_mean_the_service_or_the_stage_they_stand_in() {
        let text = "at {listener} {address} {port} in {state} # {anything}\n\
                    # each service\nzone {service} { rate {rate:80} of {rate}, {knee:500} {knees} {served:2} }\n# end\n\
                      # each stage\n if { path {path} } to {service}\n  # end\nlast\n";
        let wanted = "at 127.0.0.1:1 127.0.0.1 1 in /state # {anything}\n\
                      zone sign-up { rate 321 of 401, 100 40 802 }\nzone nik { rate 1 of 1, 5 1 2 }\n \
                      if { path /register } to sign-up\n if { path /check } to nik\nlast\n";
        assert_eq!(filled(Product::Nginx, text).as_deref(), Ok(wanted));
    }

    #[test]
    fn servers_stand_as_the_gateway_writes_them() {
        let of = |product| filled(product, "{servers}").expect("filled");
        assert_eq!(of(Product::Nginx), "server 127.0.0.1:2;\n        server 127.0.0.1:3;");
        assert_eq!(of(Product::Haproxy), "server s0 127.0.0.1:2\n    server s1 127.0.0.1:3");
        assert!(of(Product::Envoy).contains("address: 127.0.0.1, port_value: 3"));
    }

    #[test]
    fn what_cannot_be_filled_is_named() {
        for (wrong, why) in [
            ("{rat}", Unfilled::Unknown("rat".into())),
            ("{admin}", Unfilled::Unknown("admin".into())),
            ("{rate:x}", Unfilled::Unknown("rate:x".into())),
            ("{served}", Unfilled::Unknown("served".into())),
            ("{path}", Unfilled::Unknown("path".into())),
            ("# each server\n# end\n", Unfilled::Each("server".into())),
            ("# each stage\n", Unfilled::Open),
        ] {
            assert_eq!(filled(Product::Nginx, wrong), Err(why), "{wrong}");
        }
    }
}
