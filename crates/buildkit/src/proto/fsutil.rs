//! Messages of fsutil's protocol (`fsutil.types`). The generated ones have names as text, which
//! refuses those that are not UTF-8.

use std::collections::HashMap;

pub(crate) use bollard_buildkit_proto::fsutil::types::packet::PacketType;
use prost::Message;

/// The description of a file. Owners are not read, and never sent.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Stat {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) path: Vec<u8>,
    /// Go's `os.FileMode`.
    #[prost(uint32, tag = "2")]
    pub(crate) mode: u32,
    #[prost(int64, tag = "5")]
    pub(crate) size: i64,
    /// In nanoseconds since 1970.
    #[prost(int64, tag = "6")]
    pub(crate) mod_time: i64,
    /// The target of a symbolic link, or the first name of a file that has several.
    #[prost(bytes = "vec", tag = "7")]
    pub(crate) linkname: Vec<u8>,
    #[prost(int64, tag = "8")]
    pub(crate) devmajor: i64,
    #[prost(int64, tag = "9")]
    pub(crate) devminor: i64,
    #[prost(map = "string, bytes", tag = "10")]
    pub(crate) xattrs: HashMap<String, Vec<u8>>,
}

/// A message of either side.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Packet {
    #[prost(enumeration = "PacketType", tag = "1")]
    pub(crate) r#type: i32,
    #[prost(message, optional, tag = "2")]
    pub(crate) stat: Option<Stat>,
    #[prost(uint32, tag = "3")]
    pub(crate) id: u32,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) data: Vec<u8>,
}

impl Packet {
    /// Makes a packet without a file's description.
    pub(crate) fn new(kind: PacketType, id: u32, data: Vec<u8>) -> Self {
        Self {
            r#type: kind.into(),
            stat: None,
            id,
            data,
        }
    }
}
