//! A listing of a folder that can be read is written in one way only, and nothing in it leads out of the folder.
#![no_main]

use chunkcast::types::listing::Listing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|tail: &[u8]| {
    let bytes = [b"chunkcast folder 1\n", tail].concat();
    if let Ok(listing) = Listing::decode(&bytes) {
        assert_eq!(listing.encode(), bytes);
        for entry in listing.entries() {
            assert!(entry.path.split('/').all(|component| !matches!(component, "" | "." | "..")));
        }
    }
});
