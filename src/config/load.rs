//! The configuration file, read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::convert::{self, Purpose};
use crate::config::error::{Error, Errors};
use crate::config::look::{Look, Named};
use crate::config::socket::{self, NoSocket};
use crate::server::content::content;
use crate::server::settings::Settings;

/// The largest configuration file that is read: a hundred thousand zones take about ten megabytes.
pub const MAX_FILE: u64 = 64 << 20;
/// Every key that is supported, with its default or an example: the reference that `serve --help` shows.
pub const REFERENCE: &str = include_str!("reference.toml");

/// Reads and checks the configuration file at `path`, and goes on behind whatever is wrong with it. Paths in it are relative to its
/// folder.
pub fn load(path: &Path) -> Result<Settings, Errors> {
    convert::settings(path, read(path)?, Purpose::Check)
}

/// The same to be checked: what it names can be looked at whatever is wrong with it.
pub fn look(path: &Path) -> Look {
    match read(path) {
        Ok(text) => convert::look(path, text),
        Err(error) => {
            let (path, text) = (path.to_owned(), Arc::default());
            Look { path, text, settings: Err(error.into()), named: Named::default() }
        }
    }
}

/// The same for a node that starts: folders of zones, a certificate and cookie secrets that cannot be read keep nothing else down, and
/// stand in [`Settings::unread`].
pub fn load_to_start(path: &Path) -> Result<Settings, Errors> {
    convert::settings(path, read(path)?, Purpose::Start)
}

/// The control socket of the node configured at `path`: it can be asked how it is, and to reload, whatever else is wrong there.
pub fn control(path: &Path) -> Result<PathBuf, NoSocket> {
    let text = read(path).map_err(|error| NoSocket::unread(path, error.into()))?;
    socket::find(path, text)
}

fn read(path: &Path) -> Result<Arc<str>, Error> {
    let too_large = || {
        let megabytes = MAX_FILE >> 20;
        format!(
            "it is larger than {megabytes} MiB; many zones with the same settings fit into one `[[zone-dir]]`"
        )
    };
    let bytes = content(path, MAX_FILE, too_large).map_err(|error| {
        Error::new(path, &Arc::default(), format!("cannot read the configuration: {error}"))
            .help("check the path and its permissions; a pipe will not do, for a reload reads it again")
    })?;
    String::from_utf8(bytes).map(Arc::from).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::new(path, &String::from_utf8_lossy(error.as_bytes()).into(), "the configuration is not UTF-8")
            .at(at..at + 1, "not UTF-8 from here")
            .help("save the file as UTF-8")
    })
}
