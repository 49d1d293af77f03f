//! Writes a result's files into the solve's folder (`moby.filesync.v1.FileSend`), by fsutil's
//! protocol: the daemon lists them, we ask for the content of each.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;

use rustix::fs::FileType;
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use super::owned::{Owned, Sender};
use super::record::{Count, Record};
use super::service::service;
use crate::context::{is_regular, is_symlink};
use crate::name;
use crate::proto::fsutil::{Packet, PacketType, Stat};
use crate::tree::{Attributes, Draft, Node, Tree};
use crate::{Error, Result};

/// How many files are asked for at a time; each holds a descriptor.
const IN_FLIGHT: usize = 32;
/// How many messages may wait for the disk.
const QUEUE: usize = 16;

/// Writes files to the solve's folder.
#[derive(Clone)]
pub(crate) struct Folder {
    path: PathBuf,
    record: Record,
}

impl Folder {
    pub(crate) const fn new(path: PathBuf, record: Record) -> Self {
        Self { path, record }
    }

    async fn diff_copy(
        self,
        request: Request<Streaming<Packet>>,
    ) -> std::result::Result<Response<Owned<Packet>>, Status> {
        let (mut stream, answers) = Owned::channel(IN_FLIGHT);
        let Self { path, record } = self;
        let (messages, queue) = mpsc::channel::<Packet>(QUEUE);
        forward(&mut stream, request.into_inner(), messages, answers.clone());
        stream.spawn_blocking(move || {
            let received = Tree::open(&path)
                .and_then(|tree| Receiver::new(tree, answers.clone(), record.clone()).run(queue));
            if let Err(error) = received {
                let text = error.to_string();
                record.fail(error);
                let data = text.clone().into_bytes();
                // A daemon that has gone needs no answer.
                let _ = answers.blocking_send(Ok(Packet::new(PacketType::PacketErr, 0, data)));
                let _ = answers.blocking_send(Err(Status::aborted(text)));
            }
        });
        Ok(Response::new(stream))
    }
}

service! {
    Folder, "moby.filesync.v1.FileSend",
    "DiffCopy" streaming diff_copy,
}

/// Passes messages on to blocking code.
fn forward<M: Send + 'static, A: Send + 'static>(
    stream: &mut Owned<A>,
    mut messages: Streaming<M>,
    queue: mpsc::Sender<M>,
    answers: Sender<A>,
) {
    stream.spawn(async move {
        loop {
            match messages.message().await {
                Ok(Some(message)) => {
                    if queue.send(message).await.is_err() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(status) => {
                    // The daemon broke off: it needs no answer.
                    let _ = answers.send(Err(status)).await;
                    return;
                }
            }
        }
    });
}

/// The receiving side of fsutil's protocol: descriptions come, we ask for the files by their
/// number in the list, and their content comes in packets.
struct Receiver {
    tree: Tree,
    answers: Sender<Packet>,
    record: Record,
    listed: u32,
    list_ended: bool,
    waiting: VecDeque<(u32, Stat)>,
    drafts: HashMap<u32, Draft>,
    /// Second names are made last, when the files have their content.
    links: Vec<(String, String)>,
}

impl Receiver {
    fn new(tree: Tree, answers: Sender<Packet>, record: Record) -> Self {
        Self {
            tree,
            answers,
            record,
            listed: 0,
            list_ended: false,
            waiting: VecDeque::new(),
            drafts: HashMap::new(),
            links: Vec::new(),
        }
    }

    fn run(mut self, mut queue: mpsc::Receiver<Packet>) -> Result<()> {
        while let Some(packet) = queue.blocking_recv() {
            match packet.r#type() {
                PacketType::PacketStat => match packet.stat {
                    Some(stat) => self.entry(stat)?,
                    None => self.list_ended = true,
                },
                PacketType::PacketData => self.data(packet.id, &packet.data)?,
                PacketType::PacketErr => {
                    return Err(wrong(&format!(
                        "error from sender: {}",
                        String::from_utf8_lossy(&packet.data)
                    )));
                }
                PacketType::PacketFin | PacketType::PacketReq => {}
            }
            self.request()?;
            if self.list_ended && self.waiting.is_empty() && self.drafts.is_empty() {
                return self.finish(queue);
            }
        }
        Err(wrong("the list of files ended early"))
    }

    fn entry(&mut self, stat: Stat) -> Result<()> {
        let id = self.listed;
        self.listed += 1;
        let (path, attributes) = (&name::text(&stat.path), attributes(&stat));
        if stat.mode & (1 << 31) != 0 {
            return self.tree.folder(path, attributes);
        }
        if is_symlink(stat.mode) {
            return self
                .tree
                .symlink(path, &name::text(&stat.linkname), stat.mod_time);
        }
        if !is_regular(stat.mode) {
            return self.tree.special(path, special(&stat), &attributes);
        }
        if stat.linkname.is_empty() {
            self.waiting.push_back((id, stat));
        } else {
            self.links.push((path.clone(), name::text(&stat.linkname)));
        }
        Ok(())
    }

    /// Asks for files while there is room.
    fn request(&mut self) -> Result<()> {
        while self.drafts.len() < IN_FLIGHT {
            let Some((id, stat)) = self.waiting.pop_front() else {
                break;
            };
            let draft = self.tree.file(&name::text(&stat.path), attributes(&stat))?;
            self.drafts.insert(id, draft);
            put(
                &self.answers,
                Packet::new(PacketType::PacketReq, id, Vec::new()),
            )?;
        }
        Ok(())
    }

    fn data(&mut self, id: u32, data: &[u8]) -> Result<()> {
        let unknown = || wrong(&format!("content of file {id}, which nobody asked for"));
        if data.is_empty() {
            let draft = self.drafts.remove(&id).ok_or_else(unknown)?;
            return self.tree.publish(draft);
        }
        let draft = self.drafts.get_mut(&id).ok_or_else(unknown)?;
        self.record.add(Count::BytesReceived, data.len() as u64);
        draft.write(data).map_err(|source| Error::Output {
            path: draft.path().into(),
            source,
        })
    }

    fn finish(mut self, mut queue: mpsc::Receiver<Packet>) -> Result<()> {
        for (path, target) in std::mem::take(&mut self.links) {
            self.tree.link(&path, &target)?;
        }
        self.tree.finish()?;
        self.record.folder_written();
        // Last: the daemon reports success as soon as it has read it.
        put(
            &self.answers,
            Packet::new(PacketType::PacketFin, 0, Vec::new()),
        )?;
        // The daemon ends the stream when it has read that we are done.
        while queue.blocking_recv().is_some() {}
        Ok(())
    }
}

fn put(answers: &Sender<Packet>, packet: Packet) -> Result<()> {
    let sent = answers.blocking_send(Ok(packet));
    sent.map_err(|_| wrong("the daemon has gone"))
}

fn attributes(stat: &Stat) -> Attributes {
    let mut mode = stat.mode & 0o777;
    for (bit, unix_bit) in [(1 << 23, 0o4000), (1 << 22, 0o2000), (1 << 20, 0o1000)] {
        if stat.mode & bit != 0 {
            mode |= unix_bit;
        }
    }
    Attributes {
        mode,
        modified: stat.mod_time,
        xattrs: stat.xattrs.clone(),
    }
}

/// Reads a pipe or a device, by Go's mode bits.
fn special(stat: &Stat) -> Node {
    let part = |number: i64| u32::try_from(number).unwrap_or_default();
    let (kind, device) = if stat.mode & (1 << 25) != 0 {
        (FileType::Fifo, 0)
    } else {
        let character = stat.mode & (1 << 21) != 0;
        let kind = [FileType::BlockDevice, FileType::CharacterDevice][usize::from(character)];
        let (major, minor) = (part(stat.devmajor), part(stat.devminor));
        (kind, rustix::fs::makedev(major, minor))
    };
    Node { kind, device }
}

fn wrong(reason: &str) -> Error {
    Error::Answer {
        call: "FileSend.DiffCopy",
        reason: reason.to_owned(),
    }
}

/// Receives packets, each behind two bytes of its length, into a folder, for fuzz targets.
#[cfg(feature = "fuzzing")]
pub fn receive_untrusted(folder: &std::path::Path, mut input: &[u8]) {
    let mut packets = Vec::new();
    while let [low, high, rest @ ..] = input {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (packet, rest) = rest.split_at(length);
        packets.extend(<Packet as prost::Message>::decode(packet));
        input = rest;
    }
    // Everything fits, so nobody has to read while this thread writes.
    let room = packets.len() + 2;
    let (_stream, answers) = Owned::channel(room);
    let (messages, queue) = mpsc::channel(room);
    for packet in packets {
        let _ = messages.try_send(packet);
    }
    drop(messages);
    // What is refused is refused: only a panic, or a file outside the folder, is a fault.
    let _ = Tree::open(folder)
        .and_then(|tree| Receiver::new(tree, answers, Record::default()).run(queue));
}
