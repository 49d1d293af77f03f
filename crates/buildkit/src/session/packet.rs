//! Packets of fsutil's protocol, by which folders travel both ways.

use crate::proto::fsutil::Packet;
use crate::proto::fsutil::packet::PacketType;

/// Makes a packet without a file's description.
pub(super) fn packet(kind: PacketType, id: u32, data: Vec<u8>) -> Packet {
    Packet {
        r#type: kind.into(),
        stat: None,
        id,
        data,
    }
}
