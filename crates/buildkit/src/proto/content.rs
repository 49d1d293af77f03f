//! Messages of containerd's content service (`containerd.services.content.v1`), which BuildKit's
//! generated types lack: those that a daemon sends, with the fields that are read.

use prost::{Enumeration, Message};

/// What is known of a blob.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Info {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
    #[prost(int64, tag = "2")]
    pub(crate) size: i64,
}

/// Asks for the size of a blob.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct InfoRequest {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
}

/// Answers [`InfoRequest`] and [`UpdateRequest`].
#[derive(Clone, PartialEq, Message)]
pub(crate) struct InfoResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) info: Option<Info>,
}

/// Asks to change the labels of a blob.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct UpdateRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) info: Option<Info>,
}

/// Asks for bytes of a blob; all from the offset where the size is 0.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReadRequest {
    #[prost(string, tag = "1")]
    pub(crate) digest: String,
    #[prost(int64, tag = "2")]
    pub(crate) offset: i64,
    #[prost(int64, tag = "3")]
    pub(crate) size: i64,
}

/// Bytes of a blob.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReadResponse {
    #[prost(int64, tag = "1")]
    pub(crate) offset: i64,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) data: Vec<u8>,
}

/// What a message of a write asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(crate) enum WriteAction {
    Stat = 0,
    Write = 1,
    Commit = 2,
}

/// A message of a write.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteRequest {
    #[prost(enumeration = "WriteAction", tag = "1")]
    pub(crate) action: i32,
    #[prost(string, tag = "2")]
    pub(crate) reference: String,
    #[prost(int64, tag = "3")]
    pub(crate) total: i64,
    #[prost(string, tag = "4")]
    pub(crate) expected: String,
    #[prost(int64, tag = "5")]
    pub(crate) offset: i64,
    #[prost(bytes = "vec", tag = "6")]
    pub(crate) data: Vec<u8>,
}

/// The answer to each message of a write.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WriteResponse {
    #[prost(enumeration = "WriteAction", tag = "1")]
    pub(crate) action: i32,
    #[prost(int64, tag = "4")]
    pub(crate) offset: i64,
    #[prost(int64, tag = "5")]
    pub(crate) total: i64,
    #[prost(string, tag = "6")]
    pub(crate) digest: String,
}
