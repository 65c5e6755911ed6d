//! The files of a journal, in a directory of their own.
//!
//! ```text
//! lock         held while a process uses the directory
//! journal      the journal
//! journal.new  one in the making; means nothing
//! ```
//!
//! **Invariants**: one process at a time. `journal` is whole under its name from the first instant: a new one is written beside it, is
//! on the disk, and is then renamed, and the directory is on the disk after that. Only the owner may read or write the files: identities are in them, if hashed.
//! **Cost**: a copy, or a snapshot, needs as much room again while it is made.
//! **Not here**: when to write (`writer`), what is written (`frame`).

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::replay::{Damage, Extent, HEADER, Header, replay};
use super::writer::Medium;
use super::{OpenError, Record, frame, frame::Frame};

const LOCK: &str = "lock";
const JOURNAL: &str = "journal";
const NEW: &str = "journal.new";

const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Bytes collected for one write of a snapshot.
const BUFFER: usize = 128 * 1024;

/// An open journal.
#[derive(Debug)]
pub(super) struct Disk {
    directory: PathBuf,
    file: File,
    /// Released with the last descriptor.
    _lock: File,
}

impl Disk {
    /// Opens the journal in `directory`, or makes one with `header`; gives its records to `visit` and cuts off a torn end.
    pub(super) fn open(
        directory: &Path,
        header: Header,
        visit: impl FnMut(Record),
    ) -> Result<(Self, Extent), OpenError> {
        let at = |path: PathBuf| move |source| OpenError::Io { path, source };
        make_directory(directory).map_err(at(directory.to_owned()))?;
        let lock = lock(directory)?;
        let path = directory.join(JOURNAL);
        remove(&directory.join(NEW)).map_err(at(directory.join(NEW)))?;
        if !path.try_exists().map_err(at(path.clone()))? {
            replace(directory, |out| out.write_all(&header.encode())).map_err(at(path.clone()))?;
        }
        let file = appendable(&path).map_err(at(path.clone()))?;
        let extent = replay(&file, visit).map_err(|damage| OpenError::of(damage, path.clone()))?;
        if extent.header.room != header.room {
            return Err(OpenError::OtherRoom { path });
        }
        let mut disk = Self { directory: directory.to_owned(), file, _lock: lock };
        disk.cut(extent.end).and_then(|()| disk.sync()).map_err(at(path))?;
        Ok((disk, extent))
    }

    /// Reads the journal from its beginning. What is appended goes to its end all the same.
    pub(super) fn read(&mut self, visit: impl FnMut(Record)) -> Result<(), OpenError> {
        let path = self.path();
        self.file.rewind().map_err(|source| OpenError::Io { path: path.clone(), source })?;
        replay(&self.file, visit).map(drop).map_err(|damage| OpenError::of(damage, path))
    }

    /// Puts a journal of these records in the place of the present one; also returns its length. Ends this one even if it fails:
    /// which of the two then has the name is not known.
    pub(super) fn compact(
        mut self,
        header: Header,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<(Self, u64), OpenError> {
        let mut length = HEADER as u64;
        let made = replace(&self.directory, |out| {
            out.write_all(&header.encode())?;
            let mut bytes = Vec::new();
            for record in records {
                length += put(out, &mut bytes, length, &Frame::Record(record))?;
            }
            // True before anybody can read it: the file has its name only when it is on the disk.
            length += put(out, &mut bytes, length, &Frame::Mark { durable: length })?;
            Ok(())
        });
        match made {
            Ok(file) => self.file = file,
            Err(source) => return Err(OpenError::Io { path: self.path(), source }),
        }
        Ok((self, length))
    }

    fn path(&self) -> PathBuf {
        self.directory.join(JOURNAL)
    }
}

impl Medium for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn renew(&mut self, length: u64) -> io::Result<()> {
        let source = File::open(self.path())?;
        let copy = replace(&self.directory, |out| {
            // Read back what the kernel still has; a hole fails a checksum and is not taken over.
            let mut whole = Vec::new();
            let mut source = source.take(length);
            loop {
                whole.clear();
                if source.by_ref().take(BUFFER as u64).read_to_end(&mut whole)? == 0 {
                    return Ok(());
                }
                out.write_all(&whole)?;
            }
        })?;
        self.file = copy;
        Ok(())
    }

    fn directory(&self) -> &Path {
        &self.directory
    }
}

fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory)?;
    directory.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_directory)
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join(LOCK);
    let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(&path);
    let file = match opened {
        Ok(file) => file,
        Err(source) => return Err(OpenError::Io { path, source }),
    };
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(source)) => Err(OpenError::Io { path, source }),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn appendable(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).open(path)
}

/// Writes a new journal, and gives it the name once it is on the disk and can be read from end to end.
fn replace(directory: &Path, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<File> {
    let path = directory.join(NEW);
    remove(&path)?;
    let file = OpenOptions::new().read(true).append(true).create_new(true).mode(FILE_MODE).open(&path)?;
    let mut out = BufWriter::with_capacity(BUFFER, file);
    write(&mut out)?;
    let mut file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    file.rewind()?;
    match replay(&file, |_| ()) {
        Ok(Extent { torn: 0, .. }) => {}
        Err(Damage::Io(error)) => return Err(error),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "the copy of a journal is damaged")),
    }
    fs::rename(&path, directory.join(JOURNAL))?;
    sync_directory(directory)?;
    Ok(file)
}

/// Writes `frame` at `offset`; returns its length.
fn put(out: &mut impl Write, bytes: &mut Vec<u8>, offset: u64, frame: &Frame) -> io::Result<u64> {
    bytes.clear();
    frame::encode(bytes, offset, frame);
    out.write_all(bytes)?;
    Ok(bytes.len() as u64)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
