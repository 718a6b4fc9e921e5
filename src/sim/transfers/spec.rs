//! What a host does with what senders of other programs send to it. Values only.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::TransferConfig;
use crate::wire::transfer::{Form, NAMED_PORT};

/// How a host takes in transfers.
#[derive(Debug, Clone)]
pub struct TakesSpec {
    /// Whether whoever sits there accepts.
    pub accepts: bool,
    /// How long that takes.
    pub answer_takes: Duration,
    /// The most bytes it takes in, over all transfers.
    pub quota_bytes: u64,
}

impl Default for TakesSpec {
    /// Everything, after a tenth of a second.
    fn default() -> TakesSpec {
        TakesSpec { accepts: true, answer_takes: Duration::from_millis(100), quota_bytes: u64::MAX }
    }
}

impl TakesSpec {
    /// As the core is told it: a port for the forms that are answered, and one for the named form.
    pub(in crate::sim) fn config(&self) -> TransferConfig {
        let ports = BTreeMap::from([(Form::Json.port(), false), (NAMED_PORT, true)]);
        TransferConfig { ports, quota_bytes: self.quota_bytes }
    }
}
