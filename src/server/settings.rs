//! What a node is told to do, typed and checked: `config` fills it from a file. Every default stands here, but those of zones, which
//! stand in [`crate::node::settings`], and those of the resolvers and of their cache, which stand in [`resolve`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use crate::node::settings::{ZoneConfig, ZoneOptions};
use crate::resolve;
use crate::wire::cookie::Secrets;
use crate::wire::prefix::Prefix;

use super::tls::Identity;
use super::unread::{Source, Unread};

/// The default of `data-dir`, beside the configuration file.
pub const DATA_DIR: &str = "state";
/// The default of `control` is this file in the data folder.
pub const CONTROL_FILE: &str = "tidemark.sock";

/// A whole configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the node listens and keeps its state.
    pub server: Server,
    /// The zones that are named in the configuration; no name occurs twice.
    pub zones: Vec<Zone>,
    /// Primary zones given only as files, each named by its `$ORIGIN` or else by its file name less `.zone`.
    pub zone_files: Vec<PathBuf>,
    /// Folders whose `*.zone` files are primary zones.
    pub zone_dirs: Vec<ZoneDir>,
    /// The cache; `None` when the node is none.
    pub resolver: Option<Resolver>,
    /// Whether each zone has metrics of its own even above a thousand zones.
    pub metrics_per_zone: bool,
    /// All that is named and that a node can do without until it can be read.
    pub sources: Vec<Source>,
    /// Those that could not be read for a start, and are done without until they can be.
    pub unread: Vec<Unread>,
}

/// `[server]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// UDP and TCP; at least one, none twice.
    pub listen: Vec<SocketAddr>,
    /// Metrics, health, API and dashboard; off when absent.
    pub http: Option<SocketAddr>,
    /// Journals, copies of secondaries, history.
    pub data_dir: PathBuf,
    /// The control socket.
    pub control: PathBuf,
    /// DNS over TLS (RFC 7858); off when absent.
    pub tls: Option<Tls>,
    /// Workers, each with threads for UDP, for TCP and TLS, and in a cache for other servers; one per core when absent.
    pub workers: Option<usize>,
    /// What an EDNS NSID request is answered with (RFC 5001); nothing when absent.
    pub nsid: Option<String>,
    /// What DNS cookies are made with (RFC 9018); by chance when absent.
    pub cookies: Option<Secrets>,
    /// The user to become after binding, when started as root.
    pub user: Option<String>,
}

/// `[server.tls]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Where; at least one.
    pub listen: Vec<SocketAddr>,
    /// What the node shows; `None` while that cannot be read.
    pub identity: Option<Identity>,
}

/// `[[zone]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// What the node is to do with it.
    pub config: ZoneConfig,
    /// The file of a primary zone, which is the truth of it.
    pub file: Option<PathBuf>,
}

/// `[[zone-dir]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneDir {
    /// The folder.
    pub path: PathBuf,
    /// What holds for every primary zone in it.
    pub options: Arc<ZoneOptions>,
}

/// `[resolver]`: a cache in front of other resolvers and servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolver {
    /// Who may ask; this machine alone by default, because an open resolver serves attacks on others.
    pub allow: Vec<Prefix>,
    /// Whom to ask.
    pub routes: resolve::settings::Config,
    /// What is kept.
    pub cache: resolve::cache::Config,
}

impl Settings {
    /// Whether there is nothing to answer from.
    pub fn serves_nothing(&self) -> bool {
        let has_zones = !(self.zones.is_empty() && self.zone_files.is_empty() && self.zone_dirs.is_empty());
        !has_zones && self.resolver.is_none()
    }

    /// Keys whose values differ in `new` and take effect only after a restart.
    pub fn needs_restart(&self, new: &Settings) -> Vec<&'static str> {
        let (old, server) = (&self.server, &new.server);
        let listens = |server: &Server| server.tls.as_ref().map(|tls| tls.listen.clone());
        let changed = [
            ("listen", old.listen != server.listen),
            ("[server.tls] listen", listens(old) != listens(server)),
            ("http", old.http != server.http),
            ("data-dir", old.data_dir != server.data_dir),
            ("control", old.control != server.control),
            ("workers", old.workers != server.workers),
            ("nsid", old.nsid != server.nsid),
            ("user", old.user != server.user),
            ("[resolver]", self.resolver != new.resolver),
            ("metrics-per-zone", self.metrics_per_zone != new.metrics_per_zone),
        ];
        changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key).collect()
    }

    /// A node that serves `files` as primary zones on `listen` and is otherwise left at the defaults, with its state in
    /// the working directory.
    pub fn for_files(listen: SocketAddr, files: &[PathBuf]) -> Settings {
        let data_dir = PathBuf::from(DATA_DIR);
        Settings {
            server: Server {
                listen: vec![listen],
                http: None,
                control: data_dir.join(CONTROL_FILE),
                data_dir,
                tls: None,
                workers: None,
                nsid: None,
                cookies: None,
                user: None,
            },
            zones: Vec::new(),
            zone_files: files.to_vec(),
            zone_dirs: Vec::new(),
            resolver: None,
            metrics_per_zone: false,
            sources: Vec::new(),
            unread: Vec::new(),
        }
    }
}

/// Says that these keys, changed in the configuration, take effect only after a restart; `None` without any.
pub fn takes_restart(keys: &[&str]) -> Option<String> {
    let told = format!("changed, but only a restart of the node brings it into force: {}", keys.join(", "));
    (!keys.is_empty()).then_some(told)
}

/// This machine: the default of `[resolver] allow`.
pub fn loopback() -> Vec<Prefix> {
    vec![
        Prefix { addr: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), length: 8 },
        Prefix { addr: IpAddr::V6(Ipv6Addr::LOCALHOST), length: 128 },
    ]
}
