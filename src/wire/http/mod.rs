//! HTTP, as far as somebody without chunkcast needs it to read: the head of a request in, the head of an answer and pages out.
//!
//! Requests have no bodies, and the bytes of a file pass by here. `docs/http.md` says what is spoken.

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
