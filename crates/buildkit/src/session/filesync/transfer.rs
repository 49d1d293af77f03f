//! One folder on its way, by fsutil's protocol: its list, then the files that are asked for.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender as IdSender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tonic::{Status, Streaming};

use crate::Error;
use crate::context::{self, Selection, Trouble, Wanted};
use crate::proto::fsutil::{Packet, PacketType, Stat};
use crate::session::owned::{Owned, Sender};
use crate::session::record::{Count, Record};

/// How many files travel at a time.
const LANES: usize = 4;
/// How many bytes of a file one packet carries.
pub(super) const CHUNK: usize = 128 << 10;

/// One folder on its way.
#[derive(Clone)]
pub(super) struct Transfer {
    /// The files that may be asked for, by their number in the list.
    files: Arc<Mutex<HashMap<u32, PathBuf>>>,
    packets: Sender<Packet>,
    record: Record,
}

impl Transfer {
    pub(super) fn new(packets: Sender<Packet>, record: Record) -> Self {
        Self {
            files: Arc::default(),
            packets,
            record,
        }
    }

    /// Sends what is wanted of a folder, as it is asked for.
    pub(super) fn start(
        self,
        mut stream: Owned<Packet>,
        folder: PathBuf,
        wanted: Wanted,
        requests: Streaming<Packet>,
    ) -> Owned<Packet> {
        let list = self.clone();
        stream.spawn_blocking(move || {
            if let Err(trouble) = list.list(&folder, wanted) {
                list.fail(trouble, &folder);
            }
        });
        let (ids, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..LANES {
            let (lane, queue) = (self.clone(), Arc::clone(&queue));
            stream.spawn_blocking(move || lane.send_files(&queue));
        }
        stream.spawn(async move {
            if let Err(status) = self.answer(requests, ids).await {
                // A daemon that has gone needs no answer.
                let _ = self.packets.send(Err(status)).await;
            }
        });
        stream
    }

    /// Lists what is wanted of the folder, then an empty description.
    fn list(&self, folder: &Path, wanted: Wanted) -> Result<(), Trouble> {
        let root = folder.canonicalize().map_err(|source| Trouble::Io {
            path: folder.to_owned(),
            source,
        })?;
        let selection = Selection::new(&root, wanted)?;
        let mut number = 0;
        let mut visit = |stat: Stat, path: &Path| {
            if context::is_regular(stat.mode) {
                let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                files.insert(number, path.to_owned());
            }
            number += 1;
            self.put_stat(Some(stat))
        };
        context::walk(&selection, &mut visit)?;
        self.put_stat(None);
        Ok(())
    }

    /// Takes the daemon's requests until it has all that it wants.
    async fn answer(
        &self,
        mut requests: Streaming<Packet>,
        ids: IdSender<(u32, PathBuf)>,
    ) -> Result<(), Status> {
        while let Some(request) = requests.message().await? {
            match request.r#type() {
                PacketType::PacketReq => {
                    let id = request.id;
                    let path = {
                        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                        files.remove(&id)
                    };
                    let unknown = || Status::invalid_argument(format!("no file has number {id}"));
                    // The lanes live as long as this queue does.
                    let _ = ids.send((id, path.ok_or_else(unknown)?));
                }
                PacketType::PacketFin => {
                    let end = Packet::new(PacketType::PacketFin, 0, Vec::new());
                    let _ = self.packets.send(Ok(end)).await;
                    break;
                }
                PacketType::PacketErr => {
                    let text = String::from_utf8_lossy(&request.data).into_owned();
                    return Err(Status::aborted(format!("error from receiver: {text}")));
                }
                PacketType::PacketStat | PacketType::PacketData => {}
            }
        }
        Ok(())
    }

    /// Sends files as they are asked for.
    fn send_files(&self, queue: &Mutex<Receiver<(u32, PathBuf)>>) {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok((id, path)) = next else { return };
            match self.send_file(id, &path) {
                Ok(true) => {}
                Ok(false) => return,
                Err(source) => {
                    let trouble = Trouble::Io {
                        path: path.clone(),
                        source,
                    };
                    return self.fail(trouble, &path);
                }
            }
        }
    }

    /// Sends a file's content, then an empty packet; false where nobody takes it.
    ///
    /// A file that cannot be read fails the transfer: an empty one in its place would silently make
    /// a wrong image. One that has gone since it was listed is empty, as other clients send it: the
    /// protocol cannot take it back.
    fn send_file(&self, id: u32, path: &Path) -> io::Result<bool> {
        let file = match open(path) {
            Err(error) if context::has_gone(&error) => {
                self.record.file_vanished(path);
                None
            }
            opened => opened?,
        };
        if let Some(mut file) = file {
            loop {
                let mut data = Vec::with_capacity(CHUNK);
                let count = (&mut file).take(CHUNK as u64).read_to_end(&mut data)?;
                if count == 0 {
                    break;
                }
                self.record.add(Count::FileBytesSent, count as u64);
                if !self.put(Packet::new(PacketType::PacketData, id, data)) {
                    return Ok(false);
                }
            }
        }
        self.record.add(Count::FilesSent, 1);
        Ok(self.put(Packet::new(PacketType::PacketData, id, Vec::new())))
    }

    /// Ends the transfer with an error, which is kept as data too.
    fn fail(&self, trouble: Trouble, folder: &Path) {
        let text = trouble.to_string();
        let (path, source) = match trouble {
            Trouble::Gone => return,
            Trouble::Io { path, source } => (path, source),
            Trouble::Pattern(error) => {
                let source = io::Error::new(io::ErrorKind::InvalidInput, error);
                (folder.to_owned(), source)
            }
        };
        self.record.fail(Error::Source { path, source });
        self.put(Packet::new(
            PacketType::PacketErr,
            0,
            text.clone().into_bytes(),
        ));
        // A daemon that has gone needs no answer.
        let _ = self.packets.blocking_send(Err(Status::aborted(text)));
    }

    fn put_stat(&self, stat: Option<Stat>) -> bool {
        self.put(Packet {
            stat,
            ..Packet::new(PacketType::PacketStat, 0, Vec::new())
        })
    }

    fn put(&self, packet: Packet) -> bool {
        self.packets.blocking_send(Ok(packet)).is_ok()
    }
}

/// Opens a file; sockets have no content, and what became a pipe meanwhile must not block.
fn open(path: &Path) -> io::Result<Option<File>> {
    let mut options = File::options();
    options.read(true);
    options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    match options.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) => match path.symlink_metadata() {
            Ok(metadata) if metadata.file_type().is_socket() => Ok(None),
            _ => Err(error),
        },
    }
}
