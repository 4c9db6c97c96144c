//! The node that publishes a zone, asked over its control socket about what servers show and it did not have.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;

use super::history::Published;
use crate::cli::control::{self, ControlError};
use crate::time::Mono;
use crate::wire::name::Name;
use crate::zone::serial::Serial;

/// Between two questions to it.
const PAUSE: Duration = Duration::from_millis(250);

/// The node that publishes a zone.
#[derive(Clone, Debug)]
pub struct Publisher {
    socket: PathBuf,
    published: Option<Published>,
}

impl Publisher {
    /// What it had when it was named.
    pub fn has(&self) -> Option<Published> {
        self.published.clone()
    }

    /// The node on this socket, which has said this of the zone ([`Publisher::ask`]).
    pub fn new(socket: &Path, page: &Value) -> Publisher {
        Publisher { socket: socket.to_owned(), published: Publisher::published(page) }
    }

    /// What the node on a socket says of a zone.
    pub async fn ask(socket: &Path, zone: &str) -> Result<Value, ControlError> {
        control::get(socket, &format!("/api/v1/zones?zone={}", control::in_query(zone))).await
    }

    /// What it serves by what it says.
    fn published(page: &Value) -> Option<Published> {
        let zone = &page["zones"][0];
        let serial = zone["serial"].as_u64().and_then(|serial| u32::try_from(serial).ok())?;
        Some(Published { serial: Serial(serial), digest: zone["digest"].as_str().map(str::to_owned) })
    }
}

/// Asks it beside the servers, whose answers are not kept waiting by a node that is slow to say something.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    publisher: Option<&'a Publisher>,
    /// Not before then again.
    from: Mono,
    asked: Option<JoinHandle<Option<Published>>>,
}

impl Asking<'_> {
    /// Nothing has been asked; without a publisher nothing is.
    pub(super) fn new(publisher: Option<&Publisher>, now: Mono) -> Asking<'_> {
        Asking { publisher, from: now, asked: None }
    }

    /// Asks if that is due, and says so. Needs a tokio runtime.
    pub(super) fn ask(&mut self, zone: &Name, now: Mono) -> bool {
        let due = self.publisher.filter(|_| self.asked.is_none() && self.from <= now);
        let Some(publisher) = due.cloned() else { return false };
        self.from = now + PAUSE;
        let zone = zone.to_string();
        self.asked = Some(tokio::spawn(async move {
            // A node that has gone says nothing about what others show.
            Publisher::published(&Publisher::ask(&publisher.socket, &zone).await.ok()?)
        }));
        true
    }

    /// What it said, if that is here.
    pub(super) async fn heard(&mut self) -> Option<Published> {
        self.asked.take_if(|asked| asked.is_finished())?.await.ok()?
    }
}
