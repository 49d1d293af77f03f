//! Messages of the policy session (`moby.buildkit.v1.sourcepolicy.policysession`), which the
//! generated code lacks: the parts that are read or written.

use prost::Message;

use super::pb;

/// Asks about a source.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckPolicyRequest {
    #[prost(message, optional, tag = "1")]
    pub(crate) platform: Option<pb::Platform>,
    #[prost(message, optional, tag = "2")]
    pub(crate) source: Option<ResolveSourceMetaResponse>,
}

/// What the daemon knows of a source.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResolveSourceMetaResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) source: Option<pb::SourceOp>,
}

/// Answers [`CheckPolicyRequest`].
#[derive(Clone, PartialEq, Message)]
pub(crate) struct CheckPolicyResponse {
    #[prost(message, optional, tag = "1")]
    pub(crate) decision: Option<DecisionResponse>,
}

/// What is done about a source.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DecisionResponse {
    #[prost(enumeration = "super::policy::PolicyAction", tag = "1")]
    pub(crate) action: i32,
    #[prost(message, repeated, tag = "2")]
    pub(crate) deny_messages: Vec<DenyMessage>,
    #[prost(message, optional, tag = "3")]
    pub(crate) update: Option<pb::SourceOp>,
}

/// Why a source is denied.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct DenyMessage {
    #[prost(string, tag = "1")]
    pub(crate) message: String,
}
