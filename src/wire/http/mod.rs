//! HTTP for clients without chunkcast: parses the head of a request, and writes the head of an answer and pages.
//!
//! Requests have no bodies, and the bytes of files do not pass through here. `docs/http.md` describes the protocol.

mod conditions;
mod page;
mod request;
mod response;
mod target;

pub use conditions::{Conditions, Verdict};
pub use page::{PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Row, choices, listing};
pub use request::{HEAD_BYTES_MAX, Request, RequestDecoder, RequestError};
pub use response::{Status, Stays, beyond, content, not_modified, page, refusal};
pub use target::{Cursor, Host, Target, percent_decoded, percent_encoded};
