//! Every bound of the peer, with a name, a unit and a default; and how a swarm is played: decisions that can be taken one way or the
//! other, so that what each is worth can be measured alone (`docs/swarm.md`).

use std::time::Duration;

use crate::types::defaults::defaults;

/// How long a download of a mirror waits for holders: others are waiting behind it, and it is tried again.
pub const MIRROR_STALL: Duration = Duration::from_secs(60);

/// How long a download of a mirror, of which nothing came yet, waits for a peer that has it to say so.
pub const MIRROR_SOURCE_WAIT: Duration = Duration::from_secs(5);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const fn s(s: u64) -> Duration {
    Duration::from_secs(s)
}

defaults! {
    /// What a peer allows itself and others. Units come last in the names.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Limits {
        /// Connections of all kinds at once.
        pub connections_max: usize = 10_240,
        /// Of those, places that only addresses without a connection get (this host's own addresses excepted); at most an eighth.
        pub connections_reserved: usize = 256,
        /// Connections of one address that have not said hello yet (this host's own addresses excepted).
        pub half_open_per_address_max: usize = 64,
        /// From a connection's first moment to a complete hello; bytes do not extend it.
        pub handshake_deadline: Duration = s(5),
        /// A dial that has not connected by then has failed.
        pub dial_deadline: Duration = s(5),
        /// Without a byte from a peer for this long, it is asked for a sign of life.
        pub keepalive_interval: Duration = s(15),
        /// Without a byte from a peer for this long, its connection is closed.
        pub silence_max: Duration = s(45),
        /// A connection that takes no byte for this long while some are waiting for it is closed.
        pub send_stall_max: Duration = s(30),
        /// The first wait before an endpoint that failed is dialled again; it doubles with each failure.
        pub redial_wait_min: Duration = ms(500),
        /// The longest wait before an endpoint that failed is dialled again.
        pub redial_wait_max: Duration = s(600),
        /// A dialled connection that stood for so long makes up for the failures before it.
        pub redial_forgives: Duration = s(10),
        /// Control frames of one connection that are handled before the next connection has its turn.
        pub frames_at_once_max: usize = 64,
        /// Requests one connection may have queued with us.
        pub queued_requests_max: usize = 64,
        /// Requests one connection may make at once without a chunk being delivered; each delivered chunk allows one more.
        pub requests_at_once_max: u32 = 256,
        /// So many more requests each second allows.
        pub requests_per_s: u32 = 64,
        /// Requests that one connection may recall at once and make anew; those it recalls beyond that use up its requests.
        pub revokes_at_once_max: u32 = 256,
        /// So many more recalls each second allows.
        pub revokes_per_s: u32 = 64,
        /// Numbers of channels on one connection, of each side: as many as one search fetches contents.
        pub channels_max: usize = 100_000,
        /// Channels that are open, over all connections.
        pub channels_open_max: usize = 1_000_000,
        /// With more open channels than this, a connection on which no chunk went lately gives way when [`Limits::channels_open_max`]
        /// is reached; and what is complete on both sides takes no more than a bit.
        pub channels_unused_max: usize = 1_000,
        /// Refused channels of one connection that are remembered with their content; of the others a bit remains.
        pub channels_refused_kept_max: u32 = 16,
        /// Chunks that are being sent at once, over all connections. While native peers are served or wait for it, no more than half of
        /// them go to readers by HTTP and classic peers.
        pub upload_slots: usize = 4,
        /// An upload that moves nothing for this long lends its slot to another.
        pub upload_slot_stall: Duration = ms(200),
        /// Chunks of one download asked for at once, over all sources.
        pub window_chunks_max: u32 = 32,
        /// Downloads that ask for chunks at once; more wait their turn.
        pub active_downloads_max: usize = 64,
        /// Names of one content that wait to be written.
        pub names_per_content_max: usize = 10_000,
        /// Memory for chunks on their way from socket to disk.
        pub buffer_pool_bytes: u64 = 16 << 20,
        /// The longest a chunk may take once its first byte is here, apart from [`Limits::chunk_floor_bytes_per_s`].
        pub chunk_grace: Duration = s(4),
        /// The slowest rate at which a chunk may arrive.
        pub chunk_floor_bytes_per_s: u64 = 250_000,
        /// A request that was not begun for this long is asked elsewhere.
        pub request_wait_max: Duration = s(10),
        /// Bad chunks after which a peer is banned.
        pub bad_chunks_max: u32 = 2,
        /// The shortest time between two checks of one content that receivers found bad.
        pub recheck_gap: Duration = s(10),
        /// How long a peer stays banned.
        pub ban_duration: Duration = s(600),
        /// Peers in the directory that have no connection with this one and never said hello: those that were only heard.
        pub peers_max: usize = 4_096,
        /// Peers in the directory from one address (this host's own addresses excepted). The same number of connections from
        /// there may have the ids of peers that are known elsewhere.
        pub peers_per_address_max: usize = 64,
        /// Catalogue entries kept of one peer.
        pub entries_per_peer_max: usize = 100_000,
        /// Bytes of names kept of one peer's catalogue.
        pub entry_bytes_per_peer_max: usize = 16 << 20,
        /// Bytes of names kept of all catalogues together.
        pub entry_bytes_max: usize = 64 << 20,
        /// Contents that one search begins to fetch.
        pub search_contents_max: usize = 100_000,
        /// Bytes of their names, and of what is kept beside each.
        pub search_bytes_max: usize = 64 << 20,
        /// Entries of others' catalogues that are looked at a second, in the long run, for what replaced something.
        pub replaced_looks_per_s: u32 = 1_000_000,
        /// The same, after a quiet time.
        pub replaced_looks_at_once: u32 = 300_000,
        /// Entries of one catalogue that one walk takes.
        pub walk_entries_max: usize = 100_000,
        /// Endpoints that the mirror dials a second in the long run, apart from those that somebody named.
        pub mirror_dials_per_s: u32 = 16,
        /// The same, after a quiet time.
        pub mirror_dials_at_once: u32 = 64,
        /// Contents of which nothing came yet that the mirror fetches at once from one address (this host's own addresses
        /// excepted): so many of peers that are connected, and so many of others.
        pub mirror_claims_per_address_max: usize = 16,
        /// A peer silent for so many of its own announcement intervals is gone.
        pub silent_intervals_max: u32 = 3,
        /// A peer that only asked, for nothing that is looked for or held here, is forgotten so long after its last question.
        pub asker_silence_max: Duration = s(10),
        /// Datagrams accepted a second from one source, of each standing: answers to questions of ours, known addresses, strangers.
        pub datagrams_per_source_per_s: u32 = 200,
        /// Datagrams accepted a second from all sources, of each standing; and junk that is read.
        pub datagrams_per_s: u32 = 2_000,
        /// Steps of looking through names for others, a second, whoever asks. A step is some nanoseconds: a character of a
        /// name compared with a pattern of up to 63 elements takes three, a look at a name 32. So they take a fifth of the time.
        pub look_steps_per_s: u32 = 64_000_000,
        /// Of these, for one address.
        pub look_steps_per_source_per_s: u32 = 16_000_000,
        /// Such steps at one moment.
        pub look_steps_at_once: u32 = 500_000,
        /// Such steps for one of those that wait, before the next has its turn.
        pub look_slice_steps: u32 = 64_000,
        /// Such steps for the first slice of a query, which goes before all that waits: so few that all the queries that are read
        /// have one in time, and more than reading any pattern takes.
        pub look_first_steps: u32 = 16_000,
        /// Between two moments at which what waits is looked for.
        pub look_gap: Duration = ms(5),
        /// Queries that wait for their first slice; and those that wait for more, of which the one that took most gives way.
        pub looks_max: usize = 1_024,
        /// Of these, those of one address.
        pub looks_per_source_max: usize = 4,
        /// Datagrams of one announcement round.
        pub announce_datagrams_max: usize = 4,
        /// When a newcomer asks who is there, after its start; after the first time only while nobody was heard.
        pub newcomer_asks: [Duration; 3] = [ms(1), ms(250), s(1)],
        /// The longest random delay before an announcement.
        pub announce_jitter_max: Duration = s(1),
        /// The longest random delay before an announcement of something new.
        pub change_jitter_max: Duration = ms(50),
        /// The shortest time between two announcement rounds.
        pub announce_gap_min: Duration = s(5),
        /// The delay before an answer grows by this for each known peer.
        pub answer_delay_per_peer: Duration = ms(1),
        /// The longest delay before an answer.
        pub answer_delay_max: Duration = ms(50),
        /// The shortest time between two answers to one asker.
        pub answer_gap_min: Duration = ms(250),
        /// How long a peer that leaves finishes what is on the wire and queued.
        pub leave_grace: Duration = s(2),
        /// Where so many have or want a content, each connects to all; where there are more, to some.
        pub neighbours_max: usize = 32,
        /// Offers of ours that are open on one connection at once; more wait their turn.
        pub offers_made_max: usize = 32,
        /// Offers of others that may be open on one connection.
        pub offers_open_max: usize = 64,
        /// Offers of others that may be open, over all connections.
        pub offers_open_all_max: usize = 1_024,
        /// How long somebody who was lost while a file was sent to it is looked for.
        pub offer_grace: Duration = s(15),
        /// Readers by HTTP at once.
        pub http_readers_max: usize = 10_240,
        /// Readers by HTTP from one address at once (this host's own addresses excepted).
        pub http_readers_per_address_max: usize = 64,
        /// A reader by HTTP that may ask again is closed when it did not for this long.
        pub http_idle_max: Duration = s(15),
        /// Classic peers that are remembered.
        pub classic_peers_max: usize = 512,
        /// Names of chunks kept of one classic peer.
        pub classic_names_per_peer_max: usize = 16_384,
        /// Bytes of names kept of all classic peers together.
        pub classic_name_bytes_max: usize = 16 << 20,
        /// Classic connections that are served at once.
        pub classic_served_max: usize = 512,
        /// Classic connections of one address that are served at once (this host's own addresses excepted).
        pub classic_served_per_address_max: usize = 64,
        /// A classic connection that may ask again is closed when it did not for this long.
        pub classic_idle_max: Duration = s(60),
        /// After the last byte of an answer, the other side's end is waited for this long.
        pub classic_linger: Duration = s(10),
        /// Chunks of one classic file that are asked for at once.
        pub classic_asks_max: usize = 16,
        /// From a request to the first byte of its answer, and between two bytes where the answer's end is known.
        pub classic_answer_wait: Duration = s(10),
        /// The longest a classic answer may take, apart from [`Limits::classic_floor_bytes_per_s`].
        pub classic_answer_grace: Duration = s(30),
        /// The slowest rate at which a classic answer may arrive.
        pub classic_floor_bytes_per_s: u64 = 10_000,
        /// So often a chunk is asked of one holder, in rounds over all holders.
        pub classic_rounds_max: u32 = 2,
        /// Between a holder's failure and the next round in which it is asked.
        pub classic_round_pause: Duration = ms(500),
        /// The longest wait before a holder that failed is asked for any chunk again.
        pub classic_redial_wait_max: Duration = s(2),
        /// The longest wait for more chunks of a file that is whole as it is.
        pub classic_whole_wait: Duration = s(3),
        /// The shortest time between two writings of the file that tells who has what.
        pub classic_dictionary_gap: Duration = ms(250),
        /// How often the file that tells who has what is read while something is fetched.
        pub classic_dictionary_interval: Duration = ms(500),
        /// How a swarm is played.
        pub tactics: Tactics = Tactics::default(),
        /// Transfers in the forms of other programs that are taken in at once.
        pub pushes_max: usize = 512,
        /// Of those, from one address (this host's own addresses excepted).
        pub pushes_per_address_max: usize = 64,
        /// From a transfer's first moment, or from an `OK`, to the end of the next message; bytes do not extend it.
        pub transfer_message_wait: Duration = s(10),
        /// The silence that ends a message that looks complete.
        pub transfer_pause_short: Duration = ms(50),
        /// The silence that ends a message that does not.
        pub transfer_pause_long: Duration = ms(500),
        /// How long a person has to say whether a transfer may come.
        pub transfer_answer_wait: Duration = s(60),
        /// A transfer of which no byte comes for this long has failed, however slow it may be.
        pub transfer_stall_max: Duration = s(30),
        /// From a message, or the last byte of the file, to the receiver's `OK`; or to its end where it says none.
        pub transfer_ok_wait: Duration = s(10),
        /// The longest wait before a receiver that failed is dialled for the next file.
        pub transfer_redial_wait_max: Duration = s(2),
        /// The shortest time between two reports of how far a transfer is.
        pub transfer_progress_interval: Duration = ms(500),
    }
}

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
