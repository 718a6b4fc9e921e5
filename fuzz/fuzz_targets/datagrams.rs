//! Whatever datagram is accepted can be sent again within the bounds of one that is sent.
#![no_main]

use chunkcast::wire::datagram::{DATAGRAM_BYTES_MAX, MAGIC, decode, encode_announcement, encode_query};
use chunkcast::wire::message::Datagram;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for bytes in [input.to_vec(), [MAGIC, b"1,\"announce\":{", input].concat()] {
        match decode(&bytes) {
            Ok(Datagram::Announcement(announcement)) => {
                let (sent, taken) = encode_announcement(&announcement);
                assert!(sent.len() <= DATAGRAM_BYTES_MAX && taken <= announcement.entries.len());
                assert!(decode(&sent).is_ok());
            }
            Ok(Datagram::Query(query)) => {
                let sent = encode_query(&query);
                assert!(sent.is_none_or(|sent| sent.len() == DATAGRAM_BYTES_MAX && decode(&sent).is_ok()));
            }
            Err(_) => {}
        }
    }
});
