//! The configuration file, read.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::config::convert;
use crate::config::error::Error;
use crate::server::settings::Settings;

/// The largest configuration file that is read: a hundred thousand zones take about ten megabytes.
pub const MAX_FILE: u64 = 64 << 20;
/// Every key that is supported, with its default or an example: the reference that `serve --help` shows.
pub const REFERENCE: &str = include_str!("reference.toml");

/// Reads and checks the configuration file at `path`. Paths in it are relative to its folder.
pub fn load(path: &Path) -> Result<Settings, Error> {
    convert::settings(path, &read(path)?)
}

/// The control socket of the node configured at `path`. Other sections are read but not checked, so that a node can
/// be asked how it is even when its zone files are gone.
pub fn control(path: &Path) -> Result<PathBuf, Error> {
    convert::control(path, &read(path)?)
}

fn read(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes)).map_err(|error| {
        Error::new(path, "", format!("cannot read the configuration: {error}"))
            .help("check the path given with `--config` and the permissions of the file")
    })?;
    if bytes.len() as u64 > MAX_FILE {
        let megabytes = MAX_FILE >> 20;
        return Err(Error::new(path, "", format!("the configuration is larger than {megabytes} MiB"))
            .help("is this the right file? Many zones with the same settings fit into one `[[zone-dir]]`"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::new(path, &String::from_utf8_lossy(error.as_bytes()), "the configuration is not UTF-8")
            .at(at..at + 1, "not UTF-8 from here")
            .help("save the file as UTF-8")
    })
}
