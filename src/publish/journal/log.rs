//! Why entries are not kept.

/// The entries could not be kept; nothing that depends on them may be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal: {0}")]
pub struct LogError(pub String);
