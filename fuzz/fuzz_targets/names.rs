//! Names are safe wherever they go, and patterns end.
#![no_main]

use chunkcast::types::ContentId;
use chunkcast::types::name::{LOCAL_NAME_BYTES_MAX, local_file_name, printable};
use chunkcast::wire::message::Wanted;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (String, String)| {
    let (name, pattern) = input;
    assert!(!printable(&name).chars().any(char::is_control));
    if let Some(local) = local_file_name(&name) {
        assert!((1..=LOCAL_NAME_BYTES_MAX).contains(&local.len()) && !local.starts_with(['.', '-']));
        assert!(!local.contains(['/', '\\']) && !local.chars().any(char::is_control));
        assert_eq!(local_file_name(&local), Some(local));
    }
    Wanted::Glob(pattern).matches(&name, &ContentId([0; 32]));
});
