//! The messages and services of BuildKit's API, under short names.
//!
//! The generated code moves in lockstep with tonic and prost; nothing outside this crate sees it.

pub(crate) mod content;
pub(crate) mod fsutil;
pub(crate) mod policysession;

pub(crate) use bollard_buildkit_proto::google::protobuf::Timestamp;
pub(crate) use bollard_buildkit_proto::google::rpc::Status as RpcStatus;
pub(crate) use bollard_buildkit_proto::health;
pub(crate) use bollard_buildkit_proto::moby::buildkit::secrets::v1 as secrets;
pub(crate) use bollard_buildkit_proto::moby::buildkit::v1 as control;
pub(crate) use bollard_buildkit_proto::moby::buildkit::v1::sourcepolicy as policy;
pub(crate) use bollard_buildkit_proto::moby::buildkit::v1::types as worker;
pub(crate) use bollard_buildkit_proto::moby::filesync::v1 as filesync;
pub(crate) use bollard_buildkit_proto::moby::sshforward::v1 as ssh;
pub(crate) use bollard_buildkit_proto::pb;
