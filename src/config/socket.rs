//! The control socket of the node that a configuration belongs to, as far as the text tells it: the node may have started with another
//! text, or with rights that who asks it does not have.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::Value;
use toml::de::{DeTable, Deserializer};

use crate::config::convert;
use crate::config::error::Errors;
use crate::server::settings::{CONTROL_FILE, DATA_DIR};

/// A configuration that does not tell where the control socket is.
#[derive(Debug)]
pub struct NoSocket {
    /// What is wrong with it.
    pub errors: Errors,
    /// Where the socket would be by what can be made out.
    pub likely: PathBuf,
}

impl fmt::Display for NoSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.errors, self.other_way())
    }
}

impl NoSocket {
    /// Nothing could be read.
    pub(super) fn unread(path: &Path, errors: Errors) -> NoSocket {
        NoSocket { errors, likely: Server::default().socket(path) }
    }

    /// What can be done instead.
    pub fn other_way(&self) -> String {
        format!(
            "help: a node that runs goes on with the configuration that it has; name its socket, for example `--control {}`",
            self.likely.display()
        )
    }
}

/// The part that tells it. Whatever else is in the file, or of what type, does not matter.
#[derive(Deserialize)]
struct Written {
    server: Server,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Server {
    data_dir: Option<Value>,
    control: Option<Value>,
}

impl Server {
    /// Whether nothing in it is anything else than a path.
    fn is_sound(&self) -> bool {
        [&self.data_dir, &self.control].into_iter().flatten().all(Value::is_str)
    }

    fn socket(&self, config: &Path) -> PathBuf {
        let folder = config.parent().unwrap_or(Path::new(""));
        let path = |written: &Option<Value>| written.as_ref().and_then(Value::as_str).map(PathBuf::from);
        let in_data_dir = || path(&self.data_dir).unwrap_or(DATA_DIR.into()).join(CONTROL_FILE);
        folder.join(path(&self.control).unwrap_or_else(in_data_dir))
    }
}

/// The control socket by `text`, the content of the configuration at `path`. Where that is broken, what is left of it counts if there is
/// such a socket: the node is the one to say what it does not take.
pub(super) fn find(path: &Path, text: Arc<str>) -> Result<PathBuf, NoSocket> {
    let (root, errors) = DeTable::parse_recoverable(&text);
    let server = Written::deserialize(Deserializer::from(root)).ok().map(|written| written.server);
    let is_certain = errors.is_empty() && server.as_ref().is_some_and(Server::is_sound);
    let likely = server.unwrap_or_default().socket(path);
    if is_certain || likely.exists() {
        return Ok(likely);
    }
    convert::control(path, text).map_err(|errors| NoSocket { errors, likely })
}
