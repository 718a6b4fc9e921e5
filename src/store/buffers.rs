//! The memory of chunk buffers, between socket and disk.

use std::sync::Arc;

use crate::core::BufferId;

/// Chunk buffers by number, with a bounded reserve of memory for the next ones.
#[derive(Debug, Default)]
pub struct Buffers {
    /// Shared only while the store writes from it.
    in_use: Vec<Option<Arc<Vec<u8>>>>,
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
    spare_bytes_max: usize,
}

impl Buffers {
    /// Buffers that keep at most `spare_bytes_max` bytes of memory beyond those in use.
    pub fn new(spare_bytes_max: usize) -> Buffers {
        Buffers { spare_bytes_max, ..Buffers::default() }
    }

    /// The buffer `id` of `len` bytes, made when it is not in use yet.
    pub fn get_or_make(&mut self, id: BufferId, len: usize) -> &mut [u8] {
        let slot = id.0 as usize;
        if self.in_use.len() <= slot {
            self.in_use.resize_with(slot + 1, || None);
        }
        let memory = match self.in_use[slot].take() {
            Some(memory) if memory.len() == len => memory,
            _ => Arc::new(self.take_spare(len)),
        };
        // What the store still writes from is not touched: whoever would receive into it has no room.
        Arc::get_mut(self.in_use[slot].insert(memory)).map_or_else(Default::default, Vec::as_mut_slice)
    }

    /// The bytes of buffer `id`, for who writes them to disk; empty when it is not in use.
    pub fn share(&self, id: BufferId) -> Arc<Vec<u8>> {
        self.in_use.get(id.0 as usize).cloned().flatten().unwrap_or_default()
    }

    /// The buffer is free again; its memory may serve another.
    pub fn release(&mut self, id: BufferId) {
        let Some(memory) =
            self.in_use.get_mut(id.0 as usize).and_then(Option::take).and_then(Arc::into_inner)
        else {
            return;
        };
        if self.spare_bytes + memory.capacity() <= self.spare_bytes_max {
            self.spare_bytes += memory.capacity();
            self.spare.push(memory);
        }
    }

    /// A spare buffer with room for `len` bytes but no more than four times that, else a new one.
    fn take_spare(&mut self, len: usize) -> Vec<u8> {
        let fits = |memory: &Vec<u8>| (len..=len.saturating_mul(4)).contains(&memory.capacity());
        let mut memory = match self.spare.iter().rposition(fits) {
            Some(at) => {
                let memory = self.spare.swap_remove(at);
                self.spare_bytes -= memory.capacity();
                memory
            }
            None => Vec::with_capacity(len),
        };
        memory.resize(len, 0);
        memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_serves_again_within_its_bound() {
        let mut buffers = Buffers::new(150);
        buffers.get_or_make(BufferId(3), 100).fill(7);
        assert_eq!(*buffers.share(BufferId(3)), [7; 100]);
        buffers.get_or_make(BufferId(0), 100);
        buffers.release(BufferId(3));
        buffers.release(BufferId(0));
        assert_eq!((buffers.spare.len(), buffers.spare_bytes), (1, 100));
        assert_eq!(buffers.get_or_make(BufferId(1), 50).len(), 50);
        assert_eq!(buffers.spare.len(), 0);
        assert!(buffers.share(BufferId(9)).is_empty());
    }

    #[test]
    fn what_is_being_written_is_neither_changed_nor_given_away() {
        let mut buffers = Buffers::new(1000);
        buffers.get_or_make(BufferId(0), 100).fill(7);
        let shared = buffers.share(BufferId(0));
        assert!(buffers.get_or_make(BufferId(0), 100).is_empty());
        buffers.release(BufferId(0));
        assert!(buffers.spare.is_empty());
        buffers.get_or_make(BufferId(0), 100).fill(8);
        assert_eq!(*shared, [7; 100]);
    }
}
