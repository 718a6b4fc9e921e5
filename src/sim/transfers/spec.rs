//! What a host does with what senders of the field push to it. Values only.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::ForeignConfig;
use crate::wire::push::{Form, NAMED_PORT};

/// How a host takes in pushes.
#[derive(Debug, Clone)]
pub struct TakesSpec {
    /// Whether whoever sits there accepts.
    pub accepts: bool,
    /// How long that takes.
    pub answer_takes: Duration,
    /// The most bytes it takes in, over all pushes.
    pub quota_bytes: u64,
}

impl Default for TakesSpec {
    /// Everything, after a tenth of a second.
    fn default() -> TakesSpec {
        TakesSpec { accepts: true, answer_takes: Duration::from_millis(100), quota_bytes: u64::MAX }
    }
}

impl TakesSpec {
    /// As the core is told it: a door for the forms that are answered, and one for the named form.
    pub(in crate::sim) fn config(&self) -> ForeignConfig {
        let doors = BTreeMap::from([(Form::Json.port(), false), (NAMED_PORT, true)]);
        ForeignConfig { doors, quota_bytes: self.quota_bytes }
    }
}
