//! HTTP for clients without chunkcast: parses the head of a request, and writes the head of an answer and pages.
//!
//! Requests have no bodies, and the bytes of files do not pass through here. `docs/http.md` describes the protocol.

mod request;
mod response;

pub use request::{
    Conditions, Cursor, HEAD_BYTES_MAX, Host, Request, RequestDecoder, RequestError, Target, Verdict,
    percent_decoded, percent_encoded,
};
pub use response::{
    PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Row, Status, Stays, beyond, choices, content, listing, not_modified,
    page, refusal,
};
