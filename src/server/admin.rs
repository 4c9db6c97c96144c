//! HTTP: metrics, health, the API and the dashboard on the `http` address; the same and the commands that change something
//! on the control socket, which only local users with access to its file can reach.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Path as UrlPath, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use crate::metrics::registry::Metrics;
use crate::metrics::render::Gauges;
use crate::node::status::{State as ZoneState, Status};
use crate::publish::store::ZoneStore;
use crate::resolve::cache::Cache;
use crate::wire::name::Name;

use super::control::Command;

/// Versions told of at once by the history endpoint.
const MAX_HISTORY: usize = 1_000;

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
    /// Whether every zone has metrics of its own.
    pub per_zone: bool,
}

/// Binds the control socket, in the place of one that a process which is gone has left.
pub fn bind_control(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another tidemark process listens there"));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
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
        .route("/api/v1/status", get(status))
        .route("/api/v1/zones", get(status))
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

impl Admin {
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Refusal> {
        let stopping = || Refusal(StatusCode::SERVICE_UNAVAILABLE, "the node is stopping".to_owned());
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())
    }

    async fn status(&self) -> Result<Status, Refusal> {
        self.ask(Command::Status).await
    }
}

async fn dashboard() -> Html<&'static str> {
    Html(include_str!("dashboard.html"))
}

async fn metrics(State(admin): State<Admin>) -> Result<Response, Refusal> {
    let gauges = Gauges {
        status: admin.status().await?,
        cache_entries: admin.cache.as_ref().map(|cache| cache.entry_count()),
        per_zone: admin.per_zone,
    };
    let text = admin.metrics.render(&gauges);
    let text = text.map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// Alive: the node answers.
async fn health(State(admin): State<Admin>) -> Result<&'static str, Refusal> {
    admin.status().await.map(|_| "ok\n")
}

/// Ready for traffic: every zone is served.
async fn ready(State(admin): State<Admin>) -> Result<&'static str, Refusal> {
    let status = admin.status().await?;
    let unserved = |state| matches!(state, ZoneState::Expired | ZoneState::Failed);
    let missing: Vec<String> = status
        .zones
        .iter()
        .filter(|zone| zone.role != "stub" && unserved(zone.state))
        .map(|zone| zone.zone.to_string())
        .collect();
    if missing.is_empty() {
        Ok("ready\n")
    } else {
        Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, format!("not served: {}", missing.join(" "))))
    }
}

async fn status(State(admin): State<Admin>) -> Result<Json<serde_json::Value>, Refusal> {
    let status = admin.status().await?;
    Ok(Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listen": admin.listen,
        "listen-tls": admin.listen_tls,
        "zones": status.zones,
        "cache": admin.cache.as_ref().map(|cache| json!({ "entries": cache.entry_count() })),
    })))
}

async fn history(
    State(admin): State<Admin>,
    UrlPath(zone): UrlPath<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let bad = |what: String| Refusal(StatusCode::BAD_REQUEST, what);
    let name: Name = zone.parse().map_err(|error| bad(format!("`{zone}` is not a zone name: {error}")))?;
    let zone = admin
        .store
        .get(&name)
        .ok_or_else(|| Refusal(StatusCode::NOT_FOUND, format!("zone `{name}` is not configured here")))?;
    let history = zone.history();
    let stamps = match query.get("from") {
        Some(from) => {
            let serial = from.parse().map_err(|_| bad(format!("`from={from}` is not a serial number")))?;
            let after = history.after(crate::zone::serial::Serial(serial));
            let after = after.ok_or_else(|| {
                Refusal(StatusCode::NOT_FOUND, format!("serial {from} is not in the history"))
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
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let zones = names(&query, "zone")?;
    let outcome = admin.ask(|answer| Command::Reload(zones, Some(answer))).await?;
    let outcome = outcome.map_err(|error| Refusal(StatusCode::CONFLICT, error))?;
    Ok(Json(json!({ "zones": outcome })))
}

async fn refresh(
    State(admin): State<Admin>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let zones = names(&query, "zone")?;
    let asked = admin.ask(|answer| Command::Refresh(zones, answer)).await?;
    let asked = asked.map_err(|error| Refusal(StatusCode::CONFLICT, error))?;
    Ok(Json(json!({ "zones": asked })))
}

async fn flush(
    State(admin): State<Admin>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<serde_json::Value>, Refusal> {
    let Some(cache) = &admin.cache else {
        return Err(Refusal(StatusCode::CONFLICT, "this node has no cache".to_owned()));
    };
    let names = names(&query, "name")?;
    if names.is_empty() {
        cache.flush_all();
        return Ok(Json(json!({ "flushed": "all" })));
    }
    let flushed: usize = names.iter().map(|name| cache.flush_below(name)).sum();
    Ok(Json(json!({ "flushed": flushed })))
}

fn names(query: &[(String, String)], key: &str) -> Result<Vec<Name>, Refusal> {
    let values = query.iter().filter(|(name, _)| name == key);
    let parsed = values.map(|(_, value)| {
        value
            .parse()
            .map_err(|error| Refusal(StatusCode::BAD_REQUEST, format!("`{value}` is not a name: {error}")))
    });
    parsed.collect()
}
