//! A connection to a buildkitd and its plain calls; `job` runs solves on it.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use sealift_oci::Platform;
use tonic::Code;
use tonic::transport::Channel;

use crate::address::Address;
use crate::connect;
use crate::event::time;
use crate::proto::control::control_client::ControlClient;
use crate::proto::{control, pb, worker};
use crate::{Error, Result};

/// The size that a message of the daemon may have, in bytes.
pub(crate) const MESSAGE_LIMIT: usize = 16 << 20;

/// A connection to a buildkitd. Clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    address: Address,
    channel: Channel,
}

/// A worker of a daemon: what runs the steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// Its identity.
    pub id: String,
    /// The platforms that it runs, its own first, emulated ones included.
    pub platforms: Vec<Platform>,
    /// Facts by name, such as `org.mobyproject.buildkit.worker.executor`.
    pub labels: BTreeMap<String, String>,
}

/// A record of a daemon's cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRecord {
    /// Its identity.
    pub id: String,
    /// What it is: the step that made it.
    pub description: String,
    /// `regular`, `source.local`, `exec.cachemount` and the like.
    pub kind: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether it is in use, and stays when the cache is pruned.
    pub in_use: bool,
    /// Whether it shares its bytes with another record.
    pub shared: bool,
    /// When it was made.
    pub created: Option<SystemTime>,
    /// When it was last used.
    pub last_used: Option<SystemTime>,
}

/// Which records of the cache are removed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prune {
    /// Whether internal records and those that frontends hold are removed too.
    pub all: bool,
    /// Records that were used more recently stay.
    pub keep_duration: Duration,
    /// This many bytes stay, the most recently used ones.
    pub keep_bytes: u64,
    /// Only records that match one of these go; containerd's filter syntax.
    pub filters: Vec<String>,
}

impl Client {
    /// Connects, and makes sure that a buildkitd answers.
    ///
    /// # Errors
    /// [`Error::Connect`] where none does, [`Error::TlsFile`] for an unreadable certificate.
    pub async fn connect(address: &Address) -> Result<Self> {
        let (channel, stderr) = connect::dial(address).await?;
        let client = Self {
            address: address.clone(),
            channel,
        };
        // A server that asks for a client certificate accepts the handshake of TLS 1.3 and closes
        // the connection afterwards: only a first call shows it.
        let mut control = client.control();
        let asked = control.info(control::InfoRequest {});
        match tokio::time::timeout(connect::DIAL, asked).await {
            Ok(Err(status)) if status.code() != Code::Unimplemented => {
                Err(connect::failed(address, &status, &stderr).await)
            }
            Err(elapsed) => Err(connect::failed(address, &elapsed, &stderr).await),
            Ok(_) => Ok(client),
        }
    }

    /// Returns the address that was dialled.
    #[must_use]
    pub const fn address(&self) -> &Address {
        &self.address
    }

    /// Returns the daemon's version; empty where it has no `Info` call (dockerd's own). Own builds
    /// report `v0.0.0+unknown`, so decide nothing by it.
    ///
    /// # Errors
    /// [`Error::Call`], [`Error::Lost`].
    pub async fn version(&self) -> Result<String> {
        match self.control().info(control::InfoRequest {}).await {
            Ok(answer) => {
                let version = answer.into_inner().buildkit_version;
                Ok(version.map(|version| version.version).unwrap_or_default())
            }
            Err(status) if status.code() == Code::Unimplemented => Ok(String::new()),
            Err(status) => Err(Error::of_call("Info", &status)),
        }
    }

    /// Lists the daemon's workers.
    ///
    /// # Errors
    /// [`Error::Call`], [`Error::Lost`].
    pub async fn workers(&self) -> Result<Vec<Worker>> {
        let request = control::ListWorkersRequest::default();
        let answer = self.control().list_workers(request).await;
        let answer = answer.map_err(|status| Error::of_call("ListWorkers", &status))?;
        let records = answer.into_inner().record;
        Ok(records.into_iter().map(Worker::from_proto).collect())
    }

    /// Lists the records of the daemon's cache.
    ///
    /// # Errors
    /// [`Error::Call`], [`Error::Lost`].
    pub async fn disk_usage(&self) -> Result<Vec<CacheRecord>> {
        let request = control::DiskUsageRequest::default();
        let answer = self.control().disk_usage(request).await;
        let answer = answer.map_err(|status| Error::of_call("DiskUsage", &status))?;
        let records = answer.into_inner().record;
        Ok(records.into_iter().map(CacheRecord::from_proto).collect())
    }

    /// Prunes the daemon's cache and returns the removed records.
    ///
    /// # Errors
    /// [`Error::Call`], [`Error::Lost`].
    pub async fn prune(&self, prune: &Prune) -> Result<Vec<CacheRecord>> {
        let refused = |status| Error::of_call("Prune", &status);
        let nanoseconds = prune.keep_duration.as_nanos();
        let bytes = i64::try_from(prune.keep_bytes).unwrap_or(i64::MAX);
        let request = control::PruneRequest {
            filter: prune.filters.clone(),
            all: prune.all,
            keep_duration: i64::try_from(nanoseconds).unwrap_or(i64::MAX),
            reserved_space: bytes,
            max_used_space: bytes,
            ..control::PruneRequest::default()
        };
        let answer = self.control().prune(request).await.map_err(refused)?;
        let mut answer = answer.into_inner();
        let mut records = Vec::new();
        while let Some(record) = answer.message().await.map_err(refused)? {
            records.push(CacheRecord::from_proto(record));
        }
        Ok(records)
    }

    pub(crate) fn control(&self) -> ControlClient<Channel> {
        ControlClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT)
    }
}

impl Worker {
    fn from_proto(record: worker::WorkerRecord) -> Self {
        Self {
            id: record.id,
            platforms: record.platforms.into_iter().map(platform).collect(),
            labels: record.labels.into_iter().collect(),
        }
    }

    /// Returns whether it runs steps of this platform, by emulation too.
    #[must_use]
    pub fn runs(&self, platform: &Platform) -> bool {
        self.platforms.contains(platform)
    }
}

/// Reads a platform.
pub(crate) fn platform(platform: pb::Platform) -> Platform {
    let mut value = Platform::new(&platform.os, &platform.architecture);
    let optional = |text: String| (!text.is_empty()).then_some(text);
    value.os_version = optional(platform.os_version);
    value.variant = optional(platform.variant).or(value.variant);
    value.os_features = platform.os_features;
    value.normalized()
}

impl CacheRecord {
    fn from_proto(record: control::UsageRecord) -> Self {
        Self {
            id: record.id,
            description: record.description,
            kind: record.record_type,
            size: record.size.max(0).unsigned_abs(),
            in_use: record.in_use,
            shared: record.shared,
            created: time(record.created_at),
            last_used: time(record.last_used_at),
        }
    }
}
