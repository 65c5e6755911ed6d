//! The files of the services' ledger, written by a thread of their own.
//!
//! **Invariants**: append-only, in order. When the disk is [`BACKLOG`] batches behind, the services wait for it: nothing is dropped.
//! **Cost**: one hand-over each tick of the fleet, 48 bytes a request and 32 a sample.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::ledger::{Folder, Sample, Served, Writer};

/// Batches between the services and the disk, one each 50 ms: three seconds.
const BACKLOG: usize = 64;

type Batch = (Vec<Served>, Vec<Sample>);

/// The writing thread.
#[derive(Debug)]
pub struct Recorder {
    batches: SyncSender<Batch>,
    thread: JoinHandle<io::Result<()>>,
}

impl Recorder {
    /// Opens `served` and `samples` of the run in `folder`.
    pub fn start(folder: &Folder) -> io::Result<Self> {
        let (served, samples) = (Writer::open(&folder.served())?, Writer::open(&folder.samples())?);
        let (batches, receiver) = sync_channel(BACKLOG);
        let write = move || write(&receiver, served, samples);
        let thread = std::thread::Builder::new().name("recorder".into()).spawn(write)?;
        Ok(Self { batches, thread })
    }

    /// Hands a batch over.
    ///
    /// # Errors
    /// Nobody writes any more; [`Recorder::close`] says why.
    pub fn record(&self, batch: Batch) -> io::Result<()> {
        self.batches.send(batch).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Waits until everything is written.
    pub fn close(self) -> io::Result<()> {
        drop(self.batches);
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the writer of the services' ledger panicked")))
    }
}

fn write(batches: &Receiver<Batch>, mut served: Writer<Served>, mut samples: Writer<Sample>) -> io::Result<()> {
    for (requests, states) in batches {
        requests.iter().try_for_each(|record| served.append(record))?;
        states.iter().try_for_each(|sample| samples.append(sample))?;
        served.flush()?;
        samples.flush()?;
    }
    // The headers of a run in which nothing happened.
    served.flush()?;
    samples.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Reader;

    #[test]
    fn what_was_handed_over_is_in_the_files_when_it_is_closed() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(folder.path());
        let recorder = Recorder::start(&folder).expect("files");
        let sample = |at| Sample { at, ..Sample::default() };
        recorder.record((Vec::new(), vec![sample(1), sample(2)])).expect("taken");
        recorder.record((Vec::new(), vec![sample(3)])).expect("taken");
        recorder.close().expect("written");
        let read: Vec<_> = Reader::<Sample>::open(&folder.samples())
            .expect("a ledger")
            .map(|sample| sample.expect("whole").at)
            .collect();
        assert_eq!(read, [1, 2, 3]);
        assert_eq!(Reader::<Served>::open(&folder.served()).expect("a ledger").count(), 0);
    }
}
