//! An open upload: where it goes on, and how much goes in one chunk.

use url::Url;

/// The size of a chunk, in bytes, where the registry asks for no more.
const CHUNK: u64 = 32 * 1024 * 1024;
/// The largest chunk that a registry may ask for, in bytes.
const CHUNK_LIMIT: u64 = 1024 * 1024 * 1024;
/// The smallest chunk that a breaking network leads to, and by how much chunks grow again, in bytes.
const STEP: u64 = 1024 * 1024;

/// An open upload at the registry.
pub(super) struct Session {
    pub(super) location: Url,
    /// Bytes that the registry has.
    pub(super) offset: u64,
    /// How much goes in one chunk, in bytes.
    pub(super) chunk: u64,
    /// Whether the registry refused chunks.
    pub(super) whole_only: bool,
    least: u64,
    most: u64,
}

impl Session {
    /// An upload that was just opened; `minimum` is the registry's word, in bytes.
    pub(super) fn new(location: Url, minimum: u64) -> Self {
        let at_least = |size: u64| size.max(minimum).min(CHUNK_LIMIT);
        Self {
            location,
            offset: 0,
            chunk: at_least(CHUNK),
            whole_only: false,
            least: at_least(STEP),
            most: at_least(CHUNK),
        }
    }

    /// A chunk arrived: the next may be larger.
    pub(super) fn grow(&mut self) {
        self.chunk = (self.chunk + STEP).min(self.most);
    }

    /// A chunk broke off: some registries keep nothing of it, and some networks let no large one
    /// through.
    pub(super) fn shrink(&mut self) {
        self.chunk = (self.chunk / 2).max(self.least);
    }

    /// Takes over what was learned in an earlier one.
    pub(super) fn like(mut self, (whole_only, chunk): (bool, u64)) -> Self {
        self.whole_only = whole_only;
        self.chunk = chunk.clamp(self.least, self.most);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_the_network_within_the_registrys_bounds() {
        let open = |minimum| Session::new(Url::parse("http://r/u").unwrap(), minimum);
        let mut session = open(0);
        for _ in 0..3 {
            session.shrink();
        }
        assert_eq!(session.chunk, CHUNK / 8);
        session.grow();
        assert_eq!(session.chunk, CHUNK / 8 + STEP);
        assert_eq!(open(0).like((true, session.chunk)).chunk, session.chunk);
        for _ in 0..9 {
            session.shrink();
        }
        assert_eq!(session.chunk, STEP);
        let mut large = open(2 * CHUNK);
        large.shrink();
        large.grow();
        assert_eq!(large.chunk, 2 * CHUNK, "the registry asks for no less");
        assert_eq!(open(u64::MAX).chunk, CHUNK_LIMIT);
    }
}
