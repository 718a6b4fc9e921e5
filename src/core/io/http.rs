//! What goes in or out of the core for readers by HTTP: the setting.

/// How a peer serves readers by HTTP, on the port that its native peers connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// What this host is called by those who find it, in lower case; its addresses need not be named.
    pub names: Vec<String>,
}
