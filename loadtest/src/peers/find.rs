//! Which gateways are installed, and in which version.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::coordinator::product::Product;

/// Debian keeps gateways here, and ordinary users do not look here.
const ALSO: [&str; 2] = ["/usr/local/sbin", "/usr/sbin"];

/// An installed gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its program.
    pub program: PathBuf,
    /// What it says of its version, a line.
    pub version: String,
}

impl Found {
    /// `product` at `program`, if it can be run.
    #[must_use]
    pub fn at(product: Product, program: &Path) -> Option<Self> {
        let line = product.version(program)?;
        Some(Self { program: program.to_owned(), version: short(&line) })
    }
}

/// Where gateways are looked for: `PATH`, and Debian's places.
#[must_use]
pub fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(ALSO.iter().map(PathBuf::from)).collect()
}

/// The first program of `product` in `folders`.
#[must_use]
pub fn find(product: Product, folders: &[PathBuf]) -> Option<Found> {
    let runs = |program: &PathBuf| {
        program.metadata().is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    let program = folders.iter().map(|folder| folder.join(product.name())).find(runs)?;
    Found::at(product, &program)
}

/// `HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/` as `2.6.12-1+deb12u4`: the first word with a digit in front.
fn short(line: &str) -> String {
    let word = line.split([' ', '/']).find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    word.unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(short("nginx version: nginx/1.22.1"), "1.22.1");
        assert_eq!(short("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/"), "2.6.12-1+deb12u4");
        assert_eq!(short("weir 0.1.0 (abc)"), "0.1.0");
        assert_eq!(short("who knows"), "who knows");
    }

    #[test]
    fn only_a_program_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("envoy");
        std::fs::write(&program, "#!/bin/sh\necho 'envoy version: 1a/1.31.0/Clean'\n").expect("written");
        let folders = [folder.path().to_owned()];
        assert_eq!(find(Product::Envoy, &folders), None, "it is not executable");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("set");
        let found = find(Product::Envoy, &folders).expect("found");
        assert_eq!((found.program, found.version.as_str()), (program, "1a"));
        assert_eq!(find(Product::Nginx, &folders), None);
    }
}
