//! Buffers of encrypted bytes, held only while bytes wait in them.

use std::{mem, ops::Range};

use parking_lot::Mutex;

/// Bytes of a buffer: one frame of the multiplexer, which are four records and one for its header,
/// and room for messages of TLS itself. Each is one call of the system: records that were sent and
/// received one by one cost a third of a transfer's CPU time (docs/PERFORMANCE.md).
pub(super) const LEN: usize = 68 << 10;

/// Buffers that are kept for the next connection that needs one: 1 MiB.
const KEPT: usize = 15;

static FREE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A queue of bytes: written at its end, read at its start. While it is empty, it has no memory.
#[derive(Default)]
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    filled: Range<usize>,
}

impl Buffer {
    pub(super) const fn len(&self) -> usize {
        self.filled.end - self.filled.start
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory that it has, in bytes.
    #[cfg(test)]
    pub(super) const fn memory(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes that are waiting.
    pub(super) fn filled(&mut self) -> &mut [u8] {
        &mut self.bytes[self.filled.clone()]
    }

    /// The room behind them.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = FREE.lock().pop().unwrap_or_else(|| vec![0; LEN].into());
        }
        if self.filled.start > 0 {
            self.bytes.copy_within(self.filled.clone(), 0);
            self.filled = 0..self.len();
        }
        &mut self.bytes[self.filled.end..]
    }

    /// Adds the first `len` bytes of the room.
    pub(super) fn add(&mut self, len: usize) {
        self.filled.end += len;
        self.release();
    }

    /// Removes the first `len` bytes.
    pub(super) fn remove(&mut self, len: usize) {
        self.filled.start += len;
        self.release();
    }

    fn release(&mut self) {
        debug_assert!(self.filled.start <= self.filled.end && self.filled.end <= self.bytes.len());
        if self.is_empty() && !self.bytes.is_empty() {
            self.filled = 0..0;
            let bytes = mem::take(&mut self.bytes);
            let mut free = FREE.lock();
            if free.len() < KEPT {
                free.push(bytes);
            }
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.filled = 0..0;
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_and_an_empty_buffer_has_no_memory() {
        let mut buffer = Buffer::default();
        for round in 0..100 {
            let room = buffer.room();
            let len = room.len().min(10_000);
            room[..len].fill(round);
            buffer.add(len);
            let first = buffer.filled()[0];
            buffer.remove(4000.min(buffer.len()));
            assert!(first <= round);
        }
        buffer.remove(buffer.len());
        assert!(buffer.bytes.is_empty() && buffer.is_empty());
        buffer.room();
        buffer.add(0);
        assert!(buffer.bytes.is_empty());
    }
}
