//! How a swarm is played: decisions that can be taken one way or the other, so that what each is worth can be measured
//! alone. What the defaults are worth stands in `docs/swarm.md`.

use crate::types::defaults::defaults;

defaults! {
    /// See [the module](self).
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Tactics {
        /// The size of a chunk of a shared file, in bytes; `None`: the one that follows from the file's size.
        pub chunk_bytes: Option<u32> = None,
        /// Whether the rarest chunk is asked for first; when not, any.
        pub rarest_first: bool = true,
        /// Whether a seed shows each neighbour only what it assigns to it, until each chunk has left it once.
        pub seed_assigns: bool = true,
        /// Where more than [`crate::core::Limits::neighbours_max`] have or want a content, each is connected to so many.
        pub drawn_neighbours: usize = 20,
        /// Whether peers that look for the same connect before either has any of it.
        pub meets_seekers: bool = true,
        /// Delay `have` messages to peers that already have the chunk or can find it at several others.
        pub haves_wait: bool = true,
        /// Whether what few neighbours have goes out before anything else that they ask for.
        pub scarce_first: bool = true,
        /// Whether a holder is asked to give a request back before it moves to another; when not, it is cancelled unasked.
        pub revokes: bool = true,
        /// Whether one chunk is sent at a time while it takes all that the link carries; when not, as many as there are slots.
        pub one_at_a_time: bool = true,
    }
}
