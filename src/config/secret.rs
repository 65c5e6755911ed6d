//! Keys of 32 bytes that stand in a file or in the environment, never in the configuration itself.
//!
//! **Invariants**: no key is ever part of a message or of a debug form; a file that others than its owner and group can read
//! is refused; a file is created whole or not at all, readable by its owner only, and never replaced.
//! **Cost**: blocking reads; for the start of the process, before a worker exists.
//! **Not here**: what a key is for.

use std::env::{self, VarError};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::explain::{Faults, quoted};
use super::plan::{Key, Secret};
use super::reader::{Complaint, Parsed, Written};

/// Bytes of a key: as many as SHA-256 gives; longer ones are no stronger (RFC 2104 §3).
pub(super) const LENGTH: usize = 32;

/// Permission bits of those who are neither owner nor group.
const OTHERS: u32 = 0o007;

/// Where a key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    File(PathBuf),
    Environment(String),
}

/// `file:PATH` or `env:NAME`.
pub(super) fn source(text: &str) -> Parsed<Source> {
    let wanted = "\"file:PATH\" or \"env:NAME\"";
    let sound = |name: &str| !name.is_empty() && !name.contains(['\0', '=']);
    match text.split_once(':') {
        Some(("file", path)) if !path.is_empty() && !path.contains('\0') => Ok(Source::File(PathBuf::from(path))),
        Some(("env", name)) if sound(name) => Ok(Source::Environment(name.to_owned())),
        // Whatever else stands here may be a key: it is not repeated.
        _ => Err(Complaint::text(wanted, "…").hint("keys are not written into the configuration")),
    }
}

/// The key that must be there already.
pub(super) fn known(name: &str, source: &Written<Source>, directory: &Path, faults: &mut Faults<'_>) -> Option<Secret> {
    let read = match &source.value {
        Source::File(path) => {
            let path = directory.join(path);
            read(&path).map_err(|why| format!("`{name}` cannot be used ({why}): {}", path.display()))
        }
        Source::Environment(variable) => {
            from_environment(variable).map_err(|why| format!("`{name}`: the variable {} {why}", quoted(variable)))
        }
    };
    read.map_err(|message| faults.add(&source.span, message, None, None)).ok()
}

/// The same, but a file may be missing where one can be created.
pub(super) fn key(name: &str, source: &Written<Source>, directory: &Path, faults: &mut Faults<'_>) -> Option<Key> {
    if let Source::File(path) = &source.value {
        let path = directory.join(path);
        if matches!(fs::symlink_metadata(&path), Err(why) if why.kind() == io::ErrorKind::NotFound) {
            if parent(&path).is_dir() {
                return Some(Key::Missing(path));
            }
            let message = format!("`{name}` cannot be created: {} is not in an existing directory", path.display());
            faults.add(&source.span, message, None, None);
            return None;
        }
    }
    known(name, source, directory, faults).map(Key::Known)
}

impl Key {
    /// The key, if it is there.
    #[must_use]
    pub fn secret(&self) -> Option<&Secret> {
        match self {
            Self::Known(secret) | Self::New(secret) => Some(secret),
            Self::Missing(_) => None,
        }
    }

    /// The key; if its file was missing, it is created now with what `random` fills in. If somebody else has just created it,
    /// his counts.
    ///
    /// # Errors
    /// The file cannot be created or read.
    pub fn obtain(&self, random: impl FnOnce(&mut [u8; LENGTH]) -> io::Result<()>) -> io::Result<Secret> {
        match self {
            Self::Known(secret) | Self::New(secret) => Ok(secret.clone()),
            Self::Missing(path) => create(path, random),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

fn create(path: &Path, random: impl FnOnce(&mut [u8; LENGTH]) -> io::Result<()>) -> io::Result<Secret> {
    let mut bytes = [0; LENGTH];
    random(&mut bytes)?;
    // Written beside it and then linked to its name: nobody sees half a key, and an existing one is never replaced.
    let mut beside = path.as_os_str().to_owned();
    // Others may do the same at this moment, in containers even under the same process id.
    beside.push(format!(".{:016x}", fastrand::u64(..)));
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let linked = file.write_all(&bytes).and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&beside, path));
    let removed = fs::remove_file(&beside);
    match linked {
        Ok(()) => {
            removed?;
            // The name is to survive a power cut as well.
            File::open(parent(path))?.sync_all()?;
            Ok(Secret(bytes))
        }
        Err(why) if why.kind() == io::ErrorKind::AlreadyExists => read(path).map_err(io::Error::other),
        Err(why) => Err(why),
    }
}

/// The directory of `path`; of a bare name, the working directory.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

fn read(path: &Path) -> Result<Secret, String> {
    // Opening a pipe could block for ever, so what it is comes first.
    let facts = fs::metadata(path).map_err(|why| why.to_string())?;
    if !facts.is_file() {
        return Err("not a file".to_owned());
    }
    if facts.mode() & OTHERS != 0 {
        return Err("others can read it: chmod 600".to_owned());
    }
    let wrong = |length: u64| Err(format!("{length} bytes, and a key has {LENGTH}"));
    if facts.len() != LENGTH as u64 {
        return wrong(facts.len());
    }
    let mut bytes = [0; LENGTH];
    File::open(path).and_then(|mut file| file.read_exact(&mut bytes)).map_err(|why| why.to_string())?;
    Ok(Secret(bytes))
}

fn from_environment(variable: &str) -> Result<Secret, &'static str> {
    match env::var(variable) {
        Ok(digits) => hexadecimal(&digits).map(Secret).ok_or("does not hold 64 hexadecimal digits"),
        Err(VarError::NotPresent) => Err("is not set"),
        Err(VarError::NotUnicode(_)) => Err("does not hold 64 hexadecimal digits"),
    }
}

fn hexadecimal(digits: &str) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    if digits.len() != 2 * LENGTH || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn fill(byte: u8) -> impl FnOnce(&mut [u8; LENGTH]) -> io::Result<()> {
        move |bytes| {
            bytes.fill(byte);
            Ok(())
        }
    }

    #[test]
    fn a_missing_key_is_created_once_and_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let missing = Key::Missing(path.clone());
        assert_eq!(missing.obtain(fill(1)).unwrap(), Secret([1; LENGTH]));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // Another gateway that started at the same time takes the one that is there.
        assert_eq!(missing.obtain(fill(2)).unwrap(), Secret([1; LENGTH]));
        assert_eq!(fs::read(&path).unwrap(), [1; LENGTH]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
        fs::remove_file(&path).unwrap();
        assert!(missing.obtain(|_| Err(io::ErrorKind::Other.into())).is_err(), "no key without randomness");
        assert!(!path.exists());
    }

    #[test]
    fn a_key_that_others_read_or_of_another_size_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(&path, [7; LENGTH]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read(&path).unwrap(), Secret([7; LENGTH]));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
        assert!(read(&path).unwrap_err().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, [7; LENGTH + 1]).unwrap();
        assert_eq!(read(&path).unwrap_err(), "33 bytes, and a key has 32");
        assert_eq!(read(directory.path()).unwrap_err(), "not a file");
    }

    #[test]
    fn digits_are_read_and_nothing_else() {
        assert_eq!(hexadecimal(&"0f".repeat(32)), Some([15; LENGTH]));
        for wrong in ["", "0f", &"0f".repeat(33), &"0g".repeat(32), &"+f".repeat(32), &"é".repeat(32)] {
            assert_eq!(hexadecimal(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_debug_form_shows_a_key() {
        assert_eq!(format!("{:?}", Key::Known(Secret([65; LENGTH]))), "Known(Secret(…))");
    }
}
