//! The budgets that follow from the memory that this process may use.

use std::{path::Path, sync::LazyLock};

use super::{
    Cgroup,
    proc::{bytes_of, read},
};

const MIB: u64 = 1 << 20;

/// The least memory for connections, however small the limit is: the minimum of the setting. In
/// bytes.
const LEAST_FOR_CONNECTIONS: u64 = 16 * MIB;

/// Bytes that the node fetches ahead of all readers together: the most and the least.
const READ_AHEAD: u64 = 64 * MIB;
const LEAST_READ_AHEAD: u64 = 4 * MIB;

/// Bytes that an attempt at a user's passphrase takes: the most and the least. OWASP names the least
/// as still good enough.
const SEALING: u64 = 64 * MIB;
const LEAST_SEALING: u64 = 19 * MIB;

/// The least that may be in flight from one source, in bytes.
const LEAST_IN_FLIGHT: u64 = MIB;

/// How much memory this process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    limit: Option<u64>,
}

impl Memory {
    /// The memory of this process, as it was when this was first called. It has no limit where the
    /// system reports none.
    #[must_use]
    pub fn of_this_process() -> Self {
        static MEMORY: LazyLock<Memory> = LazyLock::new(Memory::now);
        *MEMORY
    }

    fn now() -> Self {
        let cgroup = Cgroup::of_this_process().map(|group| group.limit);
        let machine = read(Path::new("/proc/meminfo"));
        let machine = machine.and_then(|text| bytes_of(&text, "MemTotal:"));
        Self {
            limit: cgroup.into_iter().chain(machine).min(),
        }
    }

    /// The limit, in bytes.
    #[must_use]
    pub const fn limit(self) -> Option<u64> {
        self.limit
    }

    /// Bytes for connections: the setting, but at most a quarter of the limit.
    #[must_use]
    pub fn connections(self, wanted: u64) -> u64 {
        self.cut(wanted, 4, LEAST_FOR_CONNECTIONS)
    }

    /// Bytes that the node fetches ahead of all readers together: at most a sixteenth of the limit.
    #[must_use]
    pub fn read_ahead(self) -> u64 {
        self.cut(READ_AHEAD, 16, LEAST_READ_AHEAD)
    }

    /// Bytes in flight from one source: the setting, but at most a sixty-fourth of the limit. Data
    /// from a source stays in memory until it is verified.
    #[must_use]
    pub fn in_flight(self, wanted: u64) -> u64 {
        self.cut(wanted, 64, LEAST_IN_FLIGHT)
    }

    /// Bytes with which the keys of a user are sealed: at most a quarter of the limit, as a running
    /// node seals them.
    #[must_use]
    pub fn sealing(self) -> u64 {
        self.cut(SEALING, 4, LEAST_SEALING)
    }

    fn cut(self, wanted: u64, part: u64, least: u64) -> u64 {
        let most = self.limit.map_or(u64::MAX, |limit| limit / part);
        wanted.min(most.max(least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_follow_the_limit_down_to_a_least() {
        let of = |limit| Memory { limit };
        let budgets = |memory: Memory| {
            [
                memory.connections(256 * MIB),
                memory.read_ahead(),
                memory.in_flight(64 * MIB),
                memory.sealing(),
            ]
            .map(|bytes| bytes / MIB)
        };
        assert_eq!(budgets(of(None)), [256, 64, 64, 64]);
        assert_eq!(budgets(of(Some(16 << 30))), [256, 64, 64, 64]);
        assert_eq!(budgets(of(Some(512 * MIB))), [128, 32, 8, 64]);
        assert_eq!(budgets(of(Some(96 * MIB))), [24, 6, 1, 24]);
        assert_eq!(budgets(of(Some(MIB))), [16, 4, 1, 19]);
        assert_eq!(of(Some(96 * MIB)).connections(16 * MIB), 16 * MIB);
        assert_eq!(of(Some(96 * MIB)).in_flight(16384), 16384);
    }
}
