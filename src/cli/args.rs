//! What may be typed: the definitions from which parsing, `--help`, completions and manual pages all come.
//!
//! The arguments of a command stand here; a command becomes one of [`Command`] together with its file in `cli/`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::cli::servers::{self, Named};
use crate::config::load::REFERENCE;
use crate::config::value;
use crate::wire::name::Name;

/// An eventually consistent DNS server: primaries serve zone files, secondaries pull changes by serial, caches answer
/// with TTLs, and the lag between them is measured.
#[derive(Debug, Parser)]
#[command(
    name = "tidemark",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  tidemark demo
  tidemark serve --listen 127.0.0.1:5300 zones/example.zone
  tidemark wait example. --at 192.0.2.1 192.0.2.2

`tidemark COMMAND --help` has examples of each command."
)]
pub struct Cli {
    /// When to colour what is printed
    #[arg(long, alias = "color", global = true, value_name = "WHEN", value_enum, default_value_t = Colour::Auto)]
    pub colour: Colour,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands there are.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node in the foreground
    Serve(ServeArgs),
    /// Run a hierarchy on loopback: a primary, two secondaries and a cache
    Demo(DemoArgs),
    /// Look for mistakes in configurations and zone files
    Check(CheckArgs),
    /// Show what a running node serves and how it is
    Status(StatusArgs),
    /// Let a running node read its configuration and zone files again
    Reload(ReloadArgs),
    /// Let secondary zones of a running node ask their primaries now
    Refresh(RefreshArgs),
    /// Let the cache of a running node forget
    Flush(FlushArgs),
    /// Show who serves which serial, and how far behind
    Lag(LagArgs),
    /// Block until a change is visible
    Wait(WaitArgs),
    /// Print a script that completes arguments in a shell
    Completions(CompletionsArgs),
    /// Print the manual pages, or write them into a folder
    Man(ManArgs),
}

/// When to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Even into a file or pipe
    Always,
    /// Not at all
    Never,
}

impl Colour {
    /// Makes this the choice for all that is written through anstream from now on.
    pub fn choose(self) {
        match self {
            Colour::Auto => anstream::ColorChoice::Auto,
            Colour::Always => anstream::ColorChoice::Always,
            Colour::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// `tidemark serve`: run a node in the foreground.
#[derive(Debug, Args)]
#[command(
    override_usage = "tidemark serve --config <FILE>\n       tidemark serve --listen <ADDR:PORT> <ZONEFILE>...",
    after_help = SERVE_EXAMPLES,
    after_long_help = serve_reference()
)]
pub struct ServeArgs {
    /// The configuration
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present_any = ["listen", "zone_files"],
          conflicts_with_all = ["listen", "zone_files"])]
    pub config: Option<PathBuf>,
    /// Without a configuration: where to serve the zone files, over UDP and TCP
    #[arg(long, value_name = "ADDR:PORT", value_parser = value::address, requires = "zone_files")]
    pub listen: Option<SocketAddr>,
    /// Primary zones, each that of its SOA, $ORIGIN or file name less `.zone`, in this order
    #[arg(value_name = "ZONEFILE", value_hint = ValueHint::FilePath, requires = "listen")]
    pub zone_files: Vec<PathBuf>,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  tidemark serve --config /etc/tidemark/tidemark.toml
  tidemark serve --listen 127.0.0.1:5300 zones/example.zone

SIGHUP reloads configuration and zones; SIGTERM and SIGINT stop the node. TIDEMARK_LOG=debug in the environment makes it say
more, TIDEMARK_LOG=warn less; the default is info.";

/// The examples and the configuration reference. It is indented because manual pages run lines together that are not.
fn serve_reference() -> String {
    let mut help = format!("{SERVE_EXAMPLES}\n\nConfiguration (TOML; paths are relative to its folder):\n\n");
    for line in REFERENCE.lines() {
        help.push_str(format!("  {line}").trim_end());
        help.push('\n');
    }
    help
}

/// `tidemark demo`: a hierarchy on loopback.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidemark demo
  dig @127.0.0.1 -p 5302 www.example.     (in another terminal)")]
pub struct DemoArgs {}

/// `tidemark check`: look for mistakes in configurations and zone files.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidemark check tidemark.toml zones/*.zone
  tidemark check --json tidemark.toml
  tidemark check --origin example.org. --print db.example.org

JSON: {\"zones\":[{\"file\":\"db.example.org\",\"zone\":\"example.org.\",\"serial\":42,\"records\":9}],\"findings\":[{\"severity\":\"error\",
\"file\":...,\"line\":3,\"column\":9,\"message\":...,\"expected\":...}],\"errors\":1,\"warnings\":0}")]
pub struct CheckArgs {
    /// Configurations (*.toml; all errors are told, at most 20 of each file) and zone files
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    /// Exit with 1 for warnings too
    #[arg(long)]
    pub strict: bool,
    /// The name that relative names are below, for zone files without $ORIGIN
    #[arg(long, value_name = "NAME", value_parser = value::name)]
    pub origin: Option<Name>,
    /// Write the zone in canonical form to standard output
    #[arg(long, conflicts_with = "json")]
    pub print: bool,
    /// Write what was looked at and what was found as JSON
    #[arg(long)]
    pub json: bool,
}

/// How a running node is found; without either, by `TIDEMARK_CONFIG`, `tidemark.toml` or `state/tidemark.sock` in the working directory,
/// or `/etc/tidemark/tidemark.toml`, whichever is there.
#[derive(Clone, Debug, Default, Args)]
pub struct ControlArgs {
    /// The configuration of the node, for its control socket [default: TIDEMARK_CONFIG, else ./tidemark.toml, else the packaged one]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// The control socket of the node [default: state/tidemark.sock]
    #[arg(long, value_name = "SOCKET", value_hint = ValueHint::FilePath, conflicts_with = "config")]
    pub control: Option<PathBuf>,
}

/// `tidemark status`: what a running node serves and how it is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidemark status --config tidemark.toml
  tidemark status --control /run/tidemark/tidemark.sock example.org. --json

JSON: the node as a whole, such as \"counts\", and \"zones\": [{\"zone\":\"example.org.\",\"role\":\"secondary\",\"state\":\"current\",
\"serial\":42,\"staleness\":{\"low\":0,\"high\":3.1,\"estimate\":0},...}]; docs/API.md has all fields.

Exit status: 0, 1 when one of these zones is not served (failed or expired), or, where no zone is named, an address is not, or a folder
or file that the configuration names cannot be read; 3 when the node does not answer. An address that this machine does not have, such as
one that is handed on between two, is shown and does not count. What it is that fails is said on standard error.")]
pub struct StatusArgs {
    /// Only these zones
    #[arg(value_name = "ZONE", value_parser = value::name)]
    pub zones: Vec<Name>,
    /// The node.
    #[command(flatten)]
    pub node: ControlArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tidemark reload`: read the configuration and zone files again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidemark reload --config tidemark.toml
  tidemark reload --config tidemark.toml example.org.
  tidemark reload --config tidemark.toml --wait example.org.

Zones, cookie secrets and certificates change at once; which zones came and went is told, and under which serial each of the others
is served now. Keys that changed and take effect only when the node is restarted, such as `listen`, are named.

A zone file that another process has open for writing is waited for, 5 seconds at most; then its zone could not be brought up to date,
and its file is read once it is closed.

JSON: {\"zones\":[{\"zone\":\"example.org.\",\"serial\":42}],\"failed\":[],\"files\":[],\"added\":[],\"removed\":[],\"needs_restart\":[]}, with
\"files\" those that were left out and belong to no zone, each with its \"error\"; with --wait also \"waited\": for each zone with other
servers what `tidemark wait` says; \"error\" where it is refused.

With --wait a server counts only with what this node has published. One that shows a serial above that, as when the node has lost its data
and begun again below, is named, and not waited for longer than the others: it takes nothing older.

Exit status: 0 done, 1 refused, or a zone could not be brought up to date, or a file of a folder was left out; with --wait also 2 timed
out, or a server shows what was never published here, 3 nobody answered; 3 too where the node is not reachable.")]
pub struct ReloadArgs {
    /// Only the files of these zones; without any, the configuration and all files
    #[arg(value_name = "ZONE", value_parser = value::name)]
    pub zones: Vec<Name>,
    /// Wait until the other servers of the zones that were read have what is served now: those that the node tells of changes or watches
    #[arg(long)]
    pub wait: bool,
    /// With --wait: give up after this long
    #[arg(long, value_name = "TIME", value_parser = value::duration, default_value = "60s", requires = "wait")]
    pub timeout: Duration,
    /// The node.
    #[command(flatten)]
    pub node: ControlArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tidemark refresh`: let secondary zones ask their primaries now.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidemark refresh --config tidemark.toml
  tidemark refresh --config tidemark.toml example.org.
  tidemark refresh --config tidemark.toml --force example.org.

JSON: {\"zones\":[{\"zone\":\"example.org.\",\"serial\":42}]}, the serials that are served meanwhile; \"error\" where it is refused.

Exit status: 0 the primaries are being asked, 1 refused, 3 where the node is not reachable.")]
pub struct RefreshArgs {
    /// Only these zones
    #[arg(value_name = "ZONE", value_parser = value::name)]
    pub zones: Vec<Name>,
    /// Pull these zones, which have to be named, whole, and serve what comes even if its serial is older than what is served: after the
    /// primary's serial went back. Other primaries that still have what was served do not bring it back before the next restart,
    /// unless the zone expires and nobody else has it
    #[arg(long, requires = "zones")]
    pub force: bool,
    /// The node.
    #[command(flatten)]
    pub node: ControlArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tidemark flush`: let a cache forget.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidemark flush --config cache.toml
  tidemark flush --config cache.toml www.example.org.

How many answers were forgotten is told; in JSON as `flushed`.

Exit status: 0 done, 1 refused, 3 where the node is not reachable.")]
pub struct FlushArgs {
    /// Only what is at or below these names; without any, everything
    #[arg(value_name = "NAME", value_parser = value::name)]
    pub names: Vec<Name>,
    /// The node.
    #[command(flatten)]
    pub node: ControlArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `tidemark lag`: who serves which serial and how far behind.
#[derive(Debug, Args)]
#[command(override_usage = "tidemark lag [OPTIONS] [ZONE [--at ADDR-or-NAME[:PORT]...]]")]
#[command(after_help = LAG_EXAMPLES, after_long_help = format!("{LAG_EXAMPLES}\n\n{LAG_MEANING}"))]
pub struct LagArgs {
    /// Only this zone, which --at needs; named before it, as that takes all that follows it for servers
    #[arg(value_name = "ZONE", value_parser = value::name)]
    pub zone: Option<Name>,
    /// Servers to ask, tidemark nodes or any other, each by an address or a host name, which stands for all its addresses; without any,
    /// those that the node knows, and itself
    #[arg(long, value_name = "ADDR-or-NAME[:PORT]", value_parser = servers::named, num_args = 1.., value_delimiter = ',', requires = "zone")]
    pub at: Vec<Named>,
    /// The node.
    #[command(flatten)]
    pub node: ControlArgs,
    /// Stay and show changes as they come, until interrupted
    #[arg(long)]
    pub watch: bool,
    /// Exit with 1 unless each server is known to lack nothing for longer than this
    #[arg(long, value_name = "TIME", value_parser = value::duration, conflicts_with = "watch")]
    pub max_stale: Option<Duration>,
    /// How often to ask each server with --watch
    #[arg(long, value_name = "TIME", value_parser = value::duration, default_value = "1s", requires = "watch")]
    pub interval: Duration,
    /// Print JSON; with --watch one object per line for each change at a server
    #[arg(long)]
    pub json: bool,
}

const LAG_EXAMPLES: &str = "\
Examples:
  tidemark lag --config tidemark.toml
  tidemark lag example.org. --at 192.0.2.1 192.0.2.2:5302 --watch
  tidemark lag example.org. --at 192.0.2.1 192.0.2.2:5302 --max-stale 1m || echo late";

const LAG_MEANING: &str = "\
The newest serial among the servers counts as the newest there is. STALE is the age of the oldest change that a server
lacks: exact when a tidemark node among the servers tells when it was published, by the clock of the node that publishes the
zone, whose difference to this machine's is measured (`clock_offset` in JSON; named below the table when it is large); else
`>= 12.3s` since this command first saw a newer serial anywhere (--watch); `<= 3.1s`: not known to be behind, and not known to be
current any later; else `-`. VERIFIED is how long ago the server
knew its data to be current, by its own word: from tidemark nodes, or from EDNS EXPIRE (RFC 7314) in whole seconds.
tidemark nodes tell a digest of their content too: where it differs under one serial, nobody counts as current.
--max-stale takes no server's word for more than it can know: where nobody shows a newer serial, one that tells neither stamps nor EXPIRE
counts by what another with the same serial tells, and where none tells anything, all may be cut off and count as later than any time.

JSON, seconds as numbers, null where unknown:
  {\"zones\":[{\"zone\":\"example.org.\",\"head\":42,\"clock_offset\":{\"seconds\":0.0021,\"error\":0.0004},\"servers\":[{\"server\":\"192.0.2.2:5302\",\"serial\":41,
  \"versions_behind\":1,\"staleness\":{\"low\":0.2,\"high\":15.1,\"estimate\":12.3},\"expires_in\":604788,\"verified_age\":12.9,
  \"digest\":\"9f0c...\",\"nsid\":\"ams1\",\"fault\":null}]}]}
With --watch each line is one of these servers with \"time\", \"zone\" and \"head\" besides:
  {\"time\":\"2026-11-21T05:02:25.123Z\",\"zone\":\"example.org.\",\"head\":42,\"server\":\"192.0.2.2:5302\",\"serial\":41, ...}

Exit status: 0, 1 with --max-stale when a server is later than that, may be for all that is known (`high` of its staleness in JSON, which
the table leaves out), or does not answer, 3 when nobody answered. Which servers those are, and why, is said on standard error.";

/// `tidemark wait`: block until a change is visible.
#[derive(Clone, Debug, Args)]
#[command(override_usage = "tidemark wait [OPTIONS] ZONE --at ADDR-or-NAME[:PORT]...")]
#[command(after_help = WAIT_EXAMPLES, after_long_help = format!("{WAIT_EXAMPLES}\n\n{WAIT_MEANING}"))]
pub struct WaitArgs {
    /// The zone that changed; named before --at, which takes all that follows it for servers
    #[arg(value_name = "ZONE", value_parser = value::name)]
    pub zone: Name,
    /// Wait for this serial or a later one; without it, --record and --file, for the newest that any server has
    #[arg(long, value_name = "N", conflicts_with_all = ["record", "file"])]
    pub serial: Option<u32>,
    /// Wait for the next change: for a serial newer than any that the servers show now. Begin this before the change is made, and make it
    /// when it says what it waits for
    #[arg(long, conflicts_with_all = ["serial", "record", "file"])]
    pub next: bool,
    /// Wait for what this zone file holds, however it is numbered: right after an edit, which may not be served yet. At least one of the
    /// servers must be a tidemark node that has the zone
    #[arg(long, value_name = "ZONEFILE", value_hint = ValueHint::FilePath, conflicts_with = "record")]
    pub file: Option<PathBuf>,
    /// Wait for this record, in zone file form without TTL and class
    #[arg(long, value_name = "NAME TYPE RDATA")]
    pub record: Option<String>,
    /// Servers that must all show the change, each by an address or a host name, which stands for all its addresses
    #[arg(long, value_name = "ADDR-or-NAME[:PORT]", value_parser = servers::named, num_args = 1.., value_delimiter = ',', required = true)]
    pub at: Vec<Named>,
    /// Where the change must be visible
    #[arg(long, value_enum, default_value_t = Scope::Authoritative)]
    pub scope: Scope,
    /// With --scope worst-case: a TTL that the old data may have had, if it is longer than what is seen; it may have gone from all servers
    /// before they are asked
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub old_ttl: Option<Duration>,
    /// Give up after this long
    #[arg(long, value_name = "TIME", value_parser = value::duration, default_value = "60s")]
    pub timeout: Duration,
    /// How often to ask each server [default: 50 times a second, after ten seconds 12 times]
    #[arg(long, value_name = "TIME", value_parser = value::duration)]
    pub interval: Option<Duration>,
    /// Print JSON, one object at the end
    #[arg(long)]
    pub json: bool,
}

const WAIT_EXAMPLES: &str = "\
Examples:
  tidemark wait example.org. --serial 2026112101 --at 192.0.2.1 192.0.2.2
  tidemark wait example.org. --file zones/example.org.zone --at 192.0.2.1 192.0.2.2
  tidemark wait example.org. --record 'www.example.org. A 192.0.2.80' --at 192.0.2.53 --scope caches --timeout 5m

Exit status: 0 converged, 1 wrongly called, or the zone file will not be served as it is, 2 timed out, 3 nobody answered.";

const WAIT_MEANING: &str = "\
A server counts as soon as it has shown the change once; with --serial also with a newer serial, if that is a later version as far as the
servers tell. Where one of them is a tidemark node that publishes the zone, a serial that it does not have does not count, unless it does
not answer any more and the server has come to that serial from an older one, or tells that it was published later; nor, where others are
tidemark nodes, one that was published before what they have. Of a server that tells nothing every newer serial counts else,
by serial arithmetic (RFC 1982): name the primary in --at too.

With --scope caches the servers are asked as caches (RD set) for the record, or for the SOA record of the zone.

--scope worst-case waits for the servers named, which hold the zone, and then on until no cache that keeps to TTLs can
hold the old data: for the longest TTL seen at these servers, counted from the moment when the last of them changed. It is
the TTL of the record's RRset, or where there was none the negative TTL of RFC 2308; with a serial, that of the SOA record.
Other records of the zone may have longer ones; name one with --record. Give a --timeout beyond the TTL: where it leaves
less, the wait ends with status 2 once all servers have changed. Where the TTL was lowered
and no server shows the old data any more, only you know what it was: say so with --old-ttl.

JSON, seconds as numbers:
  {\"zone\":\"example.org.\",\"goal\":\"serial 42\",\"converged\":false,\"seconds\":60.0,\"ttl\":null,
  \"ttl_is_of_old_data\":null,\"servers\":[{\"server\":
  \"192.0.2.2:53\",\"converged_after\":null,\"shows\":\"serial 41\",\"since\":\"2026-11-21T05:02:25.123Z\"}]}";

/// Where `wait` wants a change to be visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    /// At the servers named, which hold the zone
    Authoritative,
    /// At the servers named, which are caches
    Caches,
    /// At any cache there may be: until the old data's TTL has run out after the last server changed
    WorstCase,
}

/// `tidemark completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidemark completions bash > /etc/bash_completion.d/tidemark
  tidemark completions zsh > ~/.zfunc/_tidemark
  tidemark completions fish > ~/.config/fish/completions/tidemark.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `tidemark man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tidemark man | man -l -
  tidemark man /usr/local/share/man/man1")]
pub struct ManArgs {
    /// The folder to write one file per command into; it is made when missing
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests;
