//! How a swarm is played: decisions that can be taken one way or the other, so that what each is worth can be measured
//! alone. What the defaults are worth stands in `docs/swarm.md`.

/// See [the module](self).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tactics {
    /// The size of a chunk of a shared file, in bytes; `None`: the one that follows from the file's size.
    pub chunk_bytes: Option<u32>,
    /// Whether the rarest chunk is asked for first; when not, any.
    pub rarest_first: bool,
    /// Whether a seed shows each neighbour only what it assigns to it, until each chunk has left it once.
    pub seed_assigns: bool,
    /// Where more than [`crate::core::Limits::neighbours_max`] have or want a content, each is connected to so many.
    pub drawn_neighbours: usize,
    /// Whether peers that look for the same connect before either has any of it.
    pub meets_seekers: bool,
    /// Whether who has a chunk, or finds it at many, hears only with the next frame that it is here, too.
    pub haves_wait: bool,
    /// Whether what few neighbours have goes out before anything else that they ask for.
    pub scarce_first: bool,
    /// Whether a holder is asked to give a request back before it moves to another; when not, it is cancelled unasked.
    pub revokes: bool,
    /// Whether one chunk is sent at a time while it takes all that the link carries; when not, as many as there are slots.
    pub one_at_a_time: bool,
}

impl Default for Tactics {
    fn default() -> Tactics {
        Tactics {
            chunk_bytes: None,
            rarest_first: true,
            seed_assigns: true,
            drawn_neighbours: 20,
            meets_seekers: true,
            haves_wait: true,
            scarce_first: true,
            revokes: true,
            one_at_a_time: true,
        }
    }
}
