//! Memory for a session's first lines without a system call for each block.
//!
//! musl maps a page for nearly every size that is asked for the first time, and unmaps it again when the block goes: 21 of
//! the 65 system calls between the spawn and the first list, and as many page faults. A block that fits is cut from one
//! static piece instead, in order; everything else, and everything later, is musl's.
//!
//! What it does not promise: a block that is given back is used again only if it was the last one. The piece is bounded
//! and meant to be used up once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The cable's read buffer of 64 KiB, of which a short line touches one page, and what a handshake and a list of tools
/// need: some 25 KiB.
const ARENA_BYTES: usize = 112 * 1024;

/// Blocks begin and end at multiples of this: no gap keeps one from being the last. A greater alignment is the system's.
const GRAIN: usize = 16;

/// The allocator of this process.
#[derive(Debug)]
pub struct Arena {
    piece: UnsafeCell<Piece>,
    /// Where the next block may begin.
    next: AtomicUsize,
    /// Bytes from here on were never given out, and are zero.
    fresh: AtomicUsize,
}

#[derive(Debug)]
#[repr(C, align(16))]
struct Piece([u8; ARENA_BYTES]);

// SAFETY: `next` is only moved by a compare-and-swap, so a byte of the piece belongs to at most one block at a time, and
// the piece itself is never read or written here but within such a block.
#[expect(unsafe_code, reason = "an allocator hands out raw memory")]
unsafe impl Sync for Arena {}

impl Arena {
    /// An arena of which nothing is used.
    #[expect(clippy::new_without_default, reason = "a static needs a const")]
    #[expect(clippy::large_stack_arrays, reason = "a static lies on no stack")]
    pub const fn new() -> Self {
        Self {
            piece: UnsafeCell::new(Piece([0; ARENA_BYTES])),
            next: AtomicUsize::new(0),
            fresh: AtomicUsize::new(0),
        }
    }

    /// A block of the piece and how many of its first bytes were in use before.
    fn cut(&self, layout: Layout) -> Option<(*mut u8, usize)> {
        let mut start = self.next.load(Ordering::Relaxed);
        loop {
            let end = end_of(start, layout.size())?;
            if end > ARENA_BYTES || layout.align() > GRAIN {
                return None;
            }
            match self.next.compare_exchange_weak(start, end, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    let fresh = self.fresh.fetch_max(end, Ordering::AcqRel);
                    return Some((self.base().wrapping_add(start), fresh.clamp(start, end) - start));
                }
                Err(moved) => start = moved,
            }
        }
    }

    /// Where in the piece a block lies; `None` when it is the system's.
    fn offset(&self, block: *mut u8) -> Option<usize> {
        let offset = block.addr().checked_sub(self.base().addr())?;
        (offset < ARENA_BYTES).then_some(offset)
    }

    /// Gives the last block another size; false when it is not the last, or there is no room.
    fn resize(&self, start: usize, from: usize, to: usize) -> bool {
        let (Some(from), Some(to)) = (end_of(start, from), end_of(start, to)) else { return false };
        let moved = to <= ARENA_BYTES
            && self.next.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if moved {
            self.fresh.fetch_max(to, Ordering::AcqRel);
        }
        moved
    }

    const fn base(&self) -> *mut u8 {
        self.piece.get().cast()
    }
}

// SAFETY: a block of the piece lies within it, is aligned, and is nobody else's until it is given back; all others are
// the system allocator's, which gets back exactly what it gave.
#[expect(unsafe_code, reason = "an allocator hands out raw memory")]
unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match self.cut(layout) {
            Some((block, _)) => block,
            // SAFETY: the caller's promise about `layout` is passed on.
            None => unsafe { System.alloc(layout) },
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let Some((block, used)) = self.cut(layout) else {
            // SAFETY: as above.
            return unsafe { System.alloc_zeroed(layout) };
        };
        // SAFETY: `used` bytes at most lie within the block, which is ours alone.
        unsafe { block.write_bytes(0, used) };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match self.offset(block) {
            // A block that is not the last stays where it is for ever.
            Some(start) => {
                let _was_last = self.resize(start, layout.size(), 0);
            }
            // SAFETY: a block outside of the piece came from the system.
            None => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Some(start) = self.offset(block) else {
            // SAFETY: a block outside of the piece came from the system.
            return unsafe { System.realloc(block, layout, size) };
        };
        if self.resize(start, layout.size(), size) {
            return block;
        }
        // SAFETY: the caller promises that `size` is valid with this alignment; the new block is another one, and both
        // hold the bytes that are copied.
        unsafe {
            let moved = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                self.dealloc(block, layout);
            }
            moved
        }
    }
}

/// Where a block ends that begins at `start`, up to the next grain.
fn end_of(start: usize, size: usize) -> Option<usize> {
    start.checked_add(size)?.checked_next_multiple_of(GRAIN)
}

#[cfg(test)]
#[expect(unsafe_code, reason = "an allocator is asked for raw memory")]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn blocks_are_aligned_and_apart_and_the_system_serves_what_does_not_fit() {
        let arena = Box::new(Arena::new());
        let mut blocks = Vec::new();
        for n in 0..4_000_usize {
            let layout = layout(1 + n % 97, 1 << (n % 5));
            // SAFETY: the size is not zero; each block is written within its bounds and given back below.
            let block = unsafe { arena.alloc(layout) };
            assert!(!block.is_null() && block.addr() % layout.align() == 0);
            // SAFETY: as above.
            unsafe { block.write_bytes(u8::try_from(n % 251).unwrap(), layout.size()) };
            blocks.push((block, layout, n));
        }
        assert!(arena.offset(blocks[0].0).is_some() && arena.offset(blocks[3_999].0).is_none());
        for (block, layout, n) in blocks.into_iter().rev() {
            // SAFETY: the block was written above and is given back once, with the layout it came with.
            unsafe {
                let bytes = std::slice::from_raw_parts(block, layout.size());
                assert!(bytes.iter().all(|byte| usize::from(*byte) == n % 251), "block {n} was overwritten");
                arena.dealloc(block, layout);
            }
        }
        assert_eq!(arena.next.load(Ordering::Relaxed), 0, "given back in order, all is free");
        for align in [32, 4096] {
            // SAFETY: the size is not zero; the block is given back with its layout.
            unsafe {
                let block = arena.alloc(layout(1, align));
                assert_eq!(block.addr() % align, 0);
                arena.dealloc(block, layout(1, align));
            }
        }
    }

    #[test]
    fn the_last_block_grows_in_place_and_another_moves_with_its_bytes() {
        let arena = Box::new(Arena::new());
        // SAFETY: sizes are not zero, every block is used within its bounds and given back with its layout.
        unsafe {
            let first = arena.alloc(layout(8, 8));
            first.copy_from(b"contents".as_ptr(), 8);
            assert_eq!(arena.realloc(first, layout(8, 8), 64), first);
            let last = arena.alloc(layout(8, 8));
            let moved = arena.realloc(first, layout(64, 8), 128);
            assert!(moved != first && std::slice::from_raw_parts(moved, 8) == b"contents");
            let large = arena.realloc(moved, layout(128, 8), 2 * ARENA_BYTES);
            assert!(arena.offset(large).is_none() && std::slice::from_raw_parts(large, 8) == b"contents");
            arena.dealloc(large, layout(2 * ARENA_BYTES, 8));
            arena.dealloc(last, layout(8, 8));
        }
    }

    #[test]
    fn zeroed_memory_is_zero_also_where_it_was_used_before() {
        let arena = Box::new(Arena::new());
        // SAFETY: sizes are not zero, every block is used within its bounds and given back with its layout.
        unsafe {
            let used = arena.alloc(layout(100, 1));
            used.write_bytes(0xff, 100);
            arena.dealloc(used, layout(100, 1));
            let zeroed = arena.alloc_zeroed(layout(200, 1));
            assert_eq!(zeroed, used);
            assert!(std::slice::from_raw_parts(zeroed, 200).iter().all(|byte| *byte == 0));
            arena.dealloc(zeroed, layout(200, 1));
        }
    }
}
