//! An open upload: where it goes on, and how much goes in one request.

use url::Url;

/// The size of a chunk, in bytes, where the registry asks for no more.
const CHUNK: u64 = 32 * 1024 * 1024;
/// The largest chunk that a registry may ask for, in bytes.
const CHUNK_LIMIT: u64 = 1024 * 1024 * 1024;
/// The smallest chunk that a breaking network leads to, and by how much chunks grow again, in bytes.
const STEP: u64 = 1024 * 1024;
/// The smallest chunk that is sent where a server refuses larger ones, in bytes.
const SMALLEST: u64 = 64 * 1024;

/// An open upload at the registry.
pub(super) struct Session {
    pub(super) location: Url,
    /// Bytes that the registry has.
    pub(super) offset: u64,
    pub(super) chunks: Chunks,
}

/// How much goes in one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunks {
    /// How much goes in the next chunk, in bytes.
    pub(super) size: u64,
    /// Whether the registry refused chunks.
    pub(super) whole_only: bool,
    least: u64,
    most: u64,
}

impl Chunks {
    /// Chunks as a registry asks for them: `minimum` is its word, in bytes.
    pub(super) fn new(minimum: u64) -> Self {
        let at_least = |size: u64| size.max(minimum).min(CHUNK_LIMIT);
        Self {
            size: at_least(CHUNK),
            whole_only: false,
            least: at_least(STEP),
            most: at_least(CHUNK),
        }
    }

    /// A chunk arrived: the next may be larger.
    pub(super) fn grow(&mut self) {
        self.size = (self.size + STEP).min(self.most);
    }

    /// A chunk broke off: some registries keep nothing of it, and some networks let no large one
    /// through.
    pub(super) fn shrink(&mut self) {
        self.size = (self.size / 2).max(self.least);
    }

    /// A server, or a proxy before it, refused `refused` bytes as too many: only less is sent from now
    /// on. Returns whether less can be sent. Sizes are powers of two, since the limits of servers are,
    /// and the largest that passes is wanted.
    pub(super) fn stay_below(&mut self, refused: u64) -> bool {
        let below = refused.saturating_sub(1).checked_ilog2().unwrap_or(0);
        self.most = 1 << below;
        self.size = self.size.min(self.most);
        self.least = self.least.min(self.most);
        !self.whole_only && self.most >= SMALLEST
    }

    /// Takes over what was learned in an earlier upload.
    pub(super) fn like(self, earlier: Self) -> Self {
        let most = self.most.min(earlier.most.max(self.least));
        Self {
            size: earlier.size.clamp(self.least.min(most), most),
            whole_only: earlier.whole_only,
            least: self.least.min(most),
            most,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_the_network_within_the_registrys_bounds() {
        let mut chunks = Chunks::new(0);
        for _ in 0..3 {
            chunks.shrink();
        }
        assert_eq!(chunks.size, CHUNK / 8);
        chunks.grow();
        assert_eq!(chunks.size, CHUNK / 8 + STEP);
        chunks.whole_only = true;
        let next = Chunks::new(0).like(chunks);
        assert_eq!((next.size, next.whole_only), (chunks.size, true));
        for _ in 0..9 {
            chunks.shrink();
        }
        assert_eq!(chunks.size, STEP);
        let mut large = Chunks::new(2 * CHUNK);
        large.shrink();
        large.grow();
        assert_eq!(large.size, 2 * CHUNK, "the registry asks for no less");
        assert_eq!(Chunks::new(u64::MAX).size, CHUNK_LIMIT);
    }

    #[test]
    fn chunks_stay_below_what_was_refused() {
        let mut chunks = Chunks::new(0);
        let mut sent = 9 << 20;
        let mut tried = Vec::new();
        while sent > 1 << 20 {
            assert!(chunks.stay_below(sent));
            sent = chunks.size;
            tried.push(sent >> 20);
        }
        assert_eq!(tried, [8, 4, 2, 1]);
        chunks.grow();
        assert_eq!(chunks.size, 1 << 20);
        assert_eq!(Chunks::new(0).like(chunks).size, 1 << 20);
        assert!(!chunks.stay_below(SMALLEST));
    }
}
