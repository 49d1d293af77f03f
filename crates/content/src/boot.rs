//! Which start of the machine this is.

use std::fs;
use std::sync::OnceLock;

/// Returns a number for the time since the machine was started, 0 where the system has none.
pub(crate) fn boot() -> u64 {
    static BOOT: OnceLock<u64> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        // A random UUID: the first half of it is as unique as a hash of it.
        let half = digits.get(..16).unwrap_or_default();
        u64::from_str_radix(half, 16).unwrap_or_default()
    })
}
