//! What all parts share: the options, the cores, the content, the folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::content::{self, Content, Query};
use super::options::Options;

/// Names that are asked for again and again.
const FEW: usize = 10_000;

/// The benchmark's state between its parts.
pub(crate) struct Bench {
    /// What is asked for.
    pub(crate) options: Options,
    /// The names of the zones and queries.
    pub(crate) content: Content,
    /// Where everything is written.
    pub(crate) root: PathBuf,
    /// Where the load generator writes.
    pub(crate) load_folder: PathBuf,
    /// The core of the server.
    pub(crate) server_core: [usize; 1],
    /// The core of the load generator and of this program.
    pub(crate) load_core: [usize; 1],
    /// Where the load generator runs beside a server on two cores: on the others, or on the same two where there are no others.
    pub(crate) beside_cores: Vec<usize>,
    /// Both.
    pub(crate) both_cores: [usize; 2],
    /// `example.` as text, before any edit.
    pub(crate) registry: String,
    /// Queries for `flat.`, as a file for dnsperf.
    pub(crate) flat_queries: PathBuf,
    /// Queries for `example.`, as a file for dnsperf.
    pub(crate) registry_queries: PathBuf,
    /// Queries for ten thousand names of `flat.`, which any cache holds.
    pub(crate) few_queries: PathBuf,
    /// A query for each name of `flat.`
    pub(crate) each_name: PathBuf,
    /// The queries for `example.`
    pub(crate) registry_list: Vec<Query>,
    /// The same for `flat.`
    pub(crate) flat_list: Vec<Query>,
}

impl Bench {
    /// Generates the zones and queries into `root`.
    pub(crate) fn new(options: Options, cores: &[usize], root: &Path) -> Bench {
        let content = Content::new(|count| options.scaled(count));
        let (flat_list, registry_list) = (content.flat_queries(), content.registry_queries());
        let (flat_queries, registry_queries) = (root.join("flat.queries"), root.join("registry.queries"));
        content::write_queries(&flat_queries, &flat_list);
        content::write_queries(&registry_queries, &registry_list);
        let (few_queries, each_name) = (root.join("few.queries"), root.join("each.queries"));
        let names = content.flat_names();
        content::write_queries(&few_queries, &names[..FEW.min(names.len())]);
        content::write_queries(&each_name, &names);
        let registry = content.registry_zone(0);
        // A server may watch the folders of its zone files: nothing else is written there.
        let (zones, load_folder) = (root.join("zones"), root.join("load"));
        fs::create_dir(&zones).unwrap();
        fs::create_dir(&load_folder).unwrap();
        fs::write(zones.join("flat.zone"), content.flat_zone()).unwrap();
        fs::write(zones.join("example.zone"), &registry).unwrap();
        Bench {
            options,
            content,
            root: root.to_owned(),
            load_folder,
            server_core: [cores[0]],
            load_core: [cores[1]],
            beside_cores: if cores.len() > 2 { cores[2..].to_vec() } else { cores.to_vec() },
            both_cores: [cores[0], cores[1]],
            registry,
            flat_queries,
            registry_queries,
            few_queries,
            each_name,
            registry_list,
            flat_list,
        }
    }

    /// The file of `flat.`, which nobody edits.
    pub(crate) fn flat_file(&self) -> PathBuf {
        self.root.join("zones/flat.zone")
    }

    /// The file of `example.`, which nobody edits.
    pub(crate) fn registry_file(&self) -> PathBuf {
        self.root.join("zones/example.zone")
    }
}

/// Says what goes on, on standard error.
pub(crate) fn say(what: &str) {
    eprintln!("peers: {what}");
}
