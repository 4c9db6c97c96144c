//! HTTP: metrics, health, the API and the dashboard on the `http` address; the same and the commands that change something
//! on the control socket, which only local users with access to its file can reach.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::extract::{Path as UrlPath, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::sse::{self, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use serde::Serialize;
use serde_json::json;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use crate::metrics::registry::Metrics;
use crate::metrics::render::Gauges;
use crate::node::board::Overview;
use crate::node::status::{Ask, From, Page, State as ZoneState, ZoneStatus};
use crate::publish::store::ZoneStore;
use crate::resolve::cache::Cache;
use crate::wire::name::Name;
use crate::zone::serial::Serial;

use super::control::{Command, NotReloaded, Reloaded};
use super::pulse::Pulse;
use super::unread::{Source, Unread, missing_folder};

use query::{Malformed, Query};

mod query;

/// Versions told of at once by the history endpoint.
const MAX_HISTORY: usize = 1_000;
/// Zones on one page at most: to put them together keeps the control thread for a few milliseconds.
const MAX_PAGE: usize = 1_000;
/// Zones above which each has metrics of its own only when asked for.
const MANY_ZONES: u64 = 1_000;
/// Zones in one event at most.
const EVENT_PAGE: usize = 200;
/// Events of one reader are at least so far apart.
const EVENT_GAP: Duration = Duration::from_millis(200);
/// After so many seconds a reader of events that found no turn may try again.
const EVENT_RETRY: &str = "10";

/// What the handlers need.
#[derive(Clone)]
pub struct Admin {
    /// To the node.
    pub commands: mpsc::Sender<Command>,
    /// The zones, for their histories.
    pub store: Arc<ZoneStore>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The cache, if there is one.
    pub cache: Option<Arc<Cache>>,
    /// Where DNS is served.
    pub listen: Vec<SocketAddr>,
    /// Where it listens for TLS.
    pub listen_tls: Vec<SocketAddr>,
    /// Those of them, and the `http` address, that are not served yet.
    pub not_listening: Arc<ArcSwap<Vec<NotListening>>>,
    /// What the configuration names and could not be read yet.
    pub unread: watch::Receiver<Vec<Unread>>,
    /// Why the configuration was refused when it was read last, if it was.
    pub refused: watch::Receiver<Option<NotReloaded>>,
    /// Keys that have changed in the configuration and take effect only after a restart.
    pub needs_restart: watch::Receiver<Vec<&'static str>>,
    /// All zones together.
    pub overview: watch::Receiver<Arc<Overview>>,
    /// Whether the control thread is at work.
    pub pulse: Pulse,
    /// Whether all that is configured was read once, and DNS is answered.
    pub answers: Arc<AtomicBool>,
    /// Whether every zone has metrics of its own.
    pub per_zone: bool,
    /// Turns of readers of events: fewer than connections, for they stay, and probes of health must find one.
    pub readers: Arc<Semaphore>,
}

/// An address of the configuration that is not served yet.
#[derive(Clone, Debug, Serialize)]
pub struct NotListening {
    /// Which.
    pub address: SocketAddr,
    /// In which way.
    pub state: AddressState,
    /// Why not, and what to do about it.
    pub reason: String,
}

/// In which way an address is not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
pub enum AddressState {
    /// It cannot be bound.
    Unbound,
    /// Sockets are bound to it, and there is no certificate to show to those who connect.
    Closed,
    /// Sockets are bound to it, and this machine does not have it.
    Absent,
    /// Its sockets were there, and the system gave no thread for them. Some of them may be served, so that they are in their own way.
    Lost,
}

impl AddressState {
    /// All of them.
    const ALL: [AddressState; 4] =
        [AddressState::Unbound, AddressState::Closed, AddressState::Absent, AddressState::Lost];
}

impl std::convert::From<AddressState> for &'static str {
    fn from(state: AddressState) -> &'static str {
        match state {
            AddressState::Unbound => "unbound",
            AddressState::Closed => "closed",
            AddressState::Absent => "absent",
            AddressState::Lost => "lost",
        }
    }
}

/// Binds the control socket, in the place of one that a process which is gone has left.
pub fn bind_control(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    match std::os::unix::net::UnixStream::connect(path).map_err(|error| error.raw_os_error()) {
        Ok(_) => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another tidemark process listens there"));
        }
        Err(Some(libc::EPROTOTYPE)) => {
            let reason = "another process has a socket for datagrams there: set `control` to another path";
            return Err(io::Error::new(io::ErrorKind::AddrInUse, reason));
        }
        Err(_) => {}
    }
    match std::fs::symlink_metadata(path) {
        Ok(left) if left.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => {
            let reason =
                "a file stands there that is no socket: move it away, or set `control` to another path";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, reason));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// What the `http` address offers.
pub fn public(admin: Admin) -> Router {
    Router::new()
        .route("/", get(dashboard))
        .route("/metrics", get(metrics))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/api/v1/summary", get(summary))
        .route("/api/v1/status", get(status))
        .route("/api/v1/zones", get(zones))
        .route("/api/v1/events", get(events))
        .route("/api/v1/zones/{zone}/history", get(history))
        .with_state(admin)
}

/// What the control socket offers: all that, and what changes something.
pub fn private(admin: Admin) -> Router {
    public(admin.clone()).merge(
        Router::new()
            .route("/api/v1/reload", post(reload))
            .route("/api/v1/refresh", post(refresh))
            .route("/api/v1/flush", post(flush))
            .with_state(admin),
    )
}

/// A refusal: its status and, in JSON, why.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl std::convert::From<Malformed> for Refusal {
    fn from(Malformed(why): Malformed) -> Refusal {
        Refusal(StatusCode::BAD_REQUEST, why)
    }
}

impl Admin {
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Refusal> {
        let stopping = || Refusal(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping".to_owned());
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())
    }

    fn overview(&self) -> Arc<Overview> {
        Arc::clone(&self.overview.borrow())
    }

    async fn page(&self, from: From, limit: usize) -> Result<Page, Refusal> {
        let ask = Ask { from, limit: limit.min(MAX_PAGE) };
        self.ask(|answer| Command::Page(ask, answer)).await
    }

    /// How many addresses are not served, in each way.
    fn not_listening(&self) -> Vec<(&'static str, usize)> {
        let all = self.not_listening.load();
        let count = |state| all.iter().filter(|one| one.state == state).count();
        AddressState::ALL.map(|state| (state.into(), count(state))).to_vec()
    }

    /// How many sources of each kind cannot be read.
    fn not_read(&self) -> Vec<(&'static str, usize)> {
        let all = self.unread.borrow();
        let count = |kind| all.iter().filter(|one| one.source.kind() == kind).count();
        Source::KINDS.map(|kind| (kind, count(kind))).to_vec()
    }

    /// All zones, page by page: others are served by the control thread in between.
    async fn all_zones(&self) -> Result<Vec<ZoneStatus>, Refusal> {
        let mut zones = Vec::new();
        let mut after = None;
        loop {
            let page = self.page(From::Name(after), MAX_PAGE).await?;
            zones.extend(page.zones);
            after = page.next;
            if after.is_none() {
                return Ok(zones);
            }
        }
    }
}

async fn dashboard() -> Html<&'static str> {
    Html(include_str!("dashboard.html"))
}

async fn metrics(State(admin): State<Admin>) -> Result<Response, Refusal> {
    let overview = admin.overview();
    let zones = if admin.per_zone || overview.counts.iter().sum::<u64>() <= MANY_ZONES {
        admin.all_zones().await?
    } else {
        admin.page(From::Troubled, MAX_PAGE).await?.zones
    };
    let gauges = Gauges {
        overview: Overview::clone(&overview),
        zones,
        cache_entries: admin.cache.as_ref().map(|cache| cache.entry_count()),
        not_listening: admin.not_listening(),
        not_read: admin.not_read(),
    };
    let text = admin.metrics.render(&gauges);
    let text = text.map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// Alive: the control thread takes commands.
async fn health(State(admin): State<Admin>) -> Result<&'static str, Refusal> {
    let dead = |what: String| Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, what));
    if admin.commands.is_closed() {
        return dead("the control thread has ended".to_owned());
    }
    match admin.pulse.hangs_for() {
        Some(busy) => dead(format!("the control thread has been at one command for {busy:?}")),
        None => Ok("ok\n"),
    }
}

/// Ready for traffic: all that is configured was read once, DNS is answered, and every zone is served.
async fn ready(State(admin): State<Admin>) -> Result<&'static str, Refusal> {
    let not_yet = |what: String| Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, what));
    if !admin.answers.load(Ordering::Acquire) {
        return not_yet("zone files are being read, and DNS is not answered yet".to_owned());
    }
    // The node knows of no zone of it.
    if let Some(reason) = missing_folder(&admin.unread.borrow()) {
        return not_yet(format!("not served: what is in a folder of zones: {reason}"));
    }
    let overview = admin.overview();
    let unserved = overview.unserved() as usize;
    if unserved == 0 {
        return Ok("ready\n");
    }
    // The worst come first, and those that are not served are worse than those behind.
    let named: Vec<String> = overview.worst.iter().take(unserved).map(Name::to_string).collect();
    let more =
        if unserved > named.len() { format!(" and {} more", unserved - named.len()) } else { String::new() };
    not_yet(format!("not served: {}{more}", named.join(" ")))
}

/// The node as a whole.
fn about(admin: &Admin) -> serde_json::Value {
    let overview = admin.overview();
    let counts: serde_json::Map<String, serde_json::Value> =
        ZoneState::ALL.iter().map(|state| (state.word().to_owned(), overview.count(*state).into())).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listen": admin.listen,
        "listen_tls": admin.listen_tls,
        "not_listening": &**admin.not_listening.load(),
        "not_read": &*admin.unread.borrow(),
        "not_reloaded": &*admin.refused.borrow(),
        "needs_restart": &*admin.needs_restart.borrow(),
        "counts": counts,
        "worst": overview.worst,
        "change": overview.change,
        "cache": admin.cache.as_ref().map(|cache| json!({ "entries": cache.entry_count() })),
    })
}

async fn summary(State(admin): State<Admin>, uri: Uri) -> Result<Json<serde_json::Value>, Refusal> {
    Query::read(&uri, &[])?;
    Ok(Json(about(&admin)))
}

/// The node as a whole, with the first page of its zones.
async fn status(State(admin): State<Admin>, uri: Uri) -> Result<Json<serde_json::Value>, Refusal> {
    Query::read(&uri, &[])?;
    let page = admin.page(From::Name(None), MAX_PAGE).await?;
    let mut status = about(&admin);
    status["zones"] = json!(page.zones);
    status["next"] = json!(page.next);
    Ok(Json(status))
}

/// A page of zones: by name behind `after`, or those that have changed since the change `since`; at most `limit`.
async fn zones(State(admin): State<Admin>, uri: Uri) -> Result<Json<Page>, Refusal> {
    let query = Query::read(&uri, &["after", "zone", "since", "limit"])?;
    let limit = query.one::<NonZeroUsize>("limit", "a whole number from 1")?;
    let limit = limit.map_or(MAX_PAGE, NonZeroUsize::get);
    query.at_most_one_of(&["after", "zone", "since"])?;
    let wanted = query.names("zone")?;
    let from = match query.one("since", "the number of a change, `change` of a page")? {
        Some(since) => From::Change(since),
        None if !wanted.is_empty() => From::These(wanted),
        None => From::Name(query.one("after", "the name of a zone")?),
    };
    admin.page(from, limit).await.map(Json)
}

/// The zones that change, as server-sent events: each is a page of those that have changed since the one before.
async fn events(State(admin): State<Admin>, uri: Uri) -> Result<Response, Refusal> {
    Query::read(&uri, &[])?;
    let Ok(turn) = Arc::clone(&admin.readers).try_acquire_owned() else {
        let reason = "as many clients read events as may; ask for /api/v1/zones?since=N now and then";
        let refusal = Refusal(StatusCode::SERVICE_UNAVAILABLE, reason.to_owned());
        return Ok(([(header::RETRY_AFTER, EVENT_RETRY)], refusal).into_response());
    };
    let overview = admin.overview.clone();
    let since = overview.borrow().change;
    // What changes in quick succession goes together; what changes after a while goes at once.
    let mut gap = tokio::time::interval(EVENT_GAP);
    gap.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = (admin, overview, gap, since, turn);
    let stream = stream::unfold(state, |(admin, mut overview, mut gap, since, turn)| async move {
        // Ends with the node.
        overview.wait_for(|overview| overview.change > since).await.ok()?;
        gap.tick().await;
        let page = admin.page(From::Change(since), EVENT_PAGE).await.ok()?;
        let next = page.change;
        let event = sse::Event::default().id(next.to_string()).json_data(page);
        Some((event, (admin, overview, gap, next, turn)))
    });
    Ok(Sse::new(stream).keep_alive(sse::KeepAlive::default()).into_response())
}

async fn history(
    State(admin): State<Admin>,
    UrlPath(zone): UrlPath<String>,
    uri: Uri,
) -> Result<Json<serde_json::Value>, Refusal> {
    let bad = |what: String| Refusal(StatusCode::BAD_REQUEST, what);
    let from = Query::read(&uri, &["from"])?.one("from", "a serial number")?;
    let name: Name = zone.parse().map_err(|error| bad(format!("`{zone}` is not a zone name: {error}")))?;
    let zone = admin
        .store
        .get(&name)
        .ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("zone `{name}` is not configured here")))?;
    let history = zone.history();
    let stamps = match from {
        Some(serial) => {
            let after = history.after(Serial(serial));
            let after = after.ok_or_else(|| {
                Refusal(StatusCode::NOT_FOUND, format!("serial {serial} is not in the history"))
            })?;
            after.take(MAX_HISTORY).copied().collect::<Vec<_>>()
        }
        None => {
            let mut newest: Vec<_> = history.stamps().rev().take(MAX_HISTORY).copied().collect();
            newest.reverse();
            newest
        }
    };
    Ok(Json(json!({ "zone": name, "versions": stamps })))
}

async fn reload(
    State(admin): State<Admin>,
    uri: Uri,
) -> Result<(StatusCode, Json<serde_json::Value>), Refusal> {
    let zones = Query::read(&uri, &["zone"])?.names("zone")?;
    let outcome = admin.ask(|answer| Command::Reload(zones, Some(answer))).await?;
    let reloaded = outcome.map_err(|error| Refusal(StatusCode::CONFLICT, error))?;
    let complaint = reloaded.complaint();
    let Reloaded { zones, failed, added, removed, refused, needs_restart } = reloaded;
    let zones = with_serials(zones);
    let failed: Vec<_> = failed.iter().map(|(zone, error)| json!({ "zone": zone, "error": error })).collect();
    let files: Vec<_> = refused
        .iter()
        .map(|file| json!({ "file": file.path.display().to_string(), "error": file.why }))
        .collect();
    let status = if complaint.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    Ok((
        status,
        Json(json!({ "zones": zones, "failed": failed, "files": files, "added": added, "removed": removed,
            "needs_restart": needs_restart, "error": complaint })),
    ))
}

async fn refresh(State(admin): State<Admin>, uri: Uri) -> Result<Json<serde_json::Value>, Refusal> {
    let query = Query::read(&uri, &["zone", "force"])?;
    let zones = query.names("zone")?;
    let is_forced = query.one("force", "`true` or `false`")?.unwrap_or(false);
    let asked = admin.ask(|answer| Command::Refresh(zones, is_forced, answer)).await?;
    let asked = asked.map_err(|error| Refusal(StatusCode::CONFLICT, error))?;
    Ok(Json(json!({ "zones": with_serials(asked) })))
}

/// Zones, each with the serial that is served, as every order tells them that is about zones.
fn with_serials(zones: impl IntoIterator<Item = (Name, Option<Serial>)>) -> Vec<serde_json::Value> {
    zones.into_iter().map(|(zone, serial)| json!({ "zone": zone, "serial": serial })).collect()
}

async fn flush(State(admin): State<Admin>, uri: Uri) -> Result<Json<serde_json::Value>, Refusal> {
    let names = Query::read(&uri, &["name"])?.names("name")?;
    let Some(cache) = &admin.cache else {
        let reason = "this node has no cache; ask one that has `[resolver]` in its configuration";
        return Err(Refusal(StatusCode::CONFLICT, reason.to_owned()));
    };
    if names.is_empty() {
        return Ok(Json(json!({ "flushed": cache.flush_all() })));
    }
    let flushed: usize = names.iter().map(|name| cache.flush_below(name)).sum();
    Ok(Json(json!({ "flushed": flushed })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_that_was_left_behind_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tidemark.sock");
        std::fs::write(&path, "$ORIGIN example.").unwrap();
        let refused = bind_control(&path).unwrap_err();
        assert!(refused.to_string().contains("that is no socket: move it away"), "{refused}");
        assert_eq!(std::fs::read(&path).unwrap(), b"$ORIGIN example.");
        std::fs::remove_file(&path).unwrap();
        let datagrams = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        assert!(bind_control(&path).unwrap_err().to_string().contains("socket for datagrams"));
        drop(datagrams);
        std::fs::remove_file(&path).unwrap();
        let first = bind_control(&path).unwrap();
        assert_eq!(bind_control(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(first);
        assert!(bind_control(&path).is_ok());
    }
}
