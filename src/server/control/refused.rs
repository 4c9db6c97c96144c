//! Reloads that were refused: what stands in `status` of the last one, and for how long.
//!
//! What is wrong with the text of a configuration stays until a reload takes one. Folders and files that could not be read can be looked
//! at again: once all of them can be, and nothing else was wrong, the reload is carried out.

use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::node::status::Problem;

use super::super::clock;
use super::super::unread::{Source, pauses};
use super::{Command, Control};

/// Why a configuration was not brought into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The first thing that is wrong, without its place.
    pub first: String,
    /// Where that is: a file, with line and column where there are any.
    pub place: Option<String>,
    /// All that is wrong, as people are shown it.
    pub all: String,
    /// What cannot be read, where nothing else is wrong.
    pub lacking: Vec<Source>,
}

impl From<String> for Refusal {
    /// One thing, which has no place in the configuration.
    fn from(why: String) -> Refusal {
        Refusal { first: why.clone(), place: None, all: why, lacking: Vec::new() }
    }
}

/// The last reload was refused: what was in force before is so still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotReloaded {
    /// Why.
    #[serde(flatten)]
    problem: Problem,
    /// As in [`Refusal::lacking`].
    #[serde(skip)]
    lacking: Vec<Source>,
}

impl NotReloaded {
    /// At this moment, for this.
    pub(super) fn now(why: &Refusal) -> NotReloaded {
        let problem = Problem { what: in_short(why), since: clock::now().utc };
        NotReloaded { problem, lacking: why.lacking.clone() }
    }
}

/// What is told for long of a configuration that was refused: the first error and its place. Lines of the file may hold secrets, and stay
/// with who asked for the reload and in the log.
fn in_short(Refusal { first, place, .. }: &Refusal) -> String {
    let place = place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
    format!(
        "{first}{place}; what was in force before is so still: mend the configuration (`tidemark check` shows all that is wrong with it) \
         and run `tidemark reload`"
    )
}

/// Tells the control thread when all can be read that a reload was refused for.
pub(super) async fn wait_until_readable(
    mut refused: watch::Receiver<Option<NotReloaded>>,
    commands: mpsc::Sender<Command>,
) {
    let can_pass = |it: &Option<NotReloaded>| it.as_ref().is_some_and(|it| !it.lacking.is_empty());
    // Without a control thread the node is stopping.
    while refused.wait_for(can_pass).await.is_ok() {
        for pause in pauses() {
            let current = refused.borrow_and_update().clone();
            let Some(current) = current.filter(|it| !it.lacking.is_empty()) else { break };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Ok(()) = refused.changed() => break,
            }
            let lacking = current.lacking.clone();
            // It may be on a disk that does not answer.
            let look = move || lacking.iter().all(|source| source.read().is_ok());
            let Ok(is_there) = tokio::task::spawn_blocking(look).await else { return };
            // As above. What is told now is not the same any more once that is heard.
            if is_there
                && (commands.send(Command::Readable(current)).await.is_err()
                    || refused.changed().await.is_err())
            {
                return;
            }
        }
    }
}

impl Control {
    /// What this reload was refused for is no more: it is carried out now.
    pub(super) fn readable(&mut self, refused: &NotReloaded, commands: &mpsc::Sender<Command>) {
        if self.refused.borrow().as_ref() == Some(refused) {
            tracing::info!("what the configuration was refused for can be read now: it is read again");
            self.reload(Vec::new(), None, commands);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refused_configuration_is_told_in_a_line_without_its_text() {
        let told = in_short(&Refusal {
            place: Some("tidemark.toml:2:1".to_owned()),
            all: "unknown key `lissten`\n --> tidemark.toml:2:1\n  |\n2 | lissten = []\n".to_owned(),
            ..Refusal::from("unknown key `lissten`".to_owned())
        });
        assert!(told.starts_with("unknown key `lissten` at tidemark.toml:2:1; what was in force"), "{told}");
        assert!(!told.contains('\n'), "{told}");
        let told = in_short(&Refusal::from("cannot read the folder z: No such file".to_owned()));
        assert!(told.starts_with("cannot read the folder z: No such file; what was in force"), "{told}");
    }

    #[tokio::test]
    async fn a_refusal_is_over_when_all_that_it_was_for_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        std::fs::create_dir(&one).unwrap();
        let lacking = [&one, &other].map(|path| Source::ZoneDir(path.clone())).to_vec();
        let broken = NotReloaded::now(&"unknown key".to_owned().into());
        let lacks = NotReloaded::now(&Refusal { lacking, ..Refusal::from("cannot read".to_owned()) });
        let (refused, refusal) = watch::channel(Some(broken));
        let (commands, mut told) = mpsc::channel(1);
        let waiting = tokio::spawn(wait_until_readable(refusal, commands));
        refused.send_replace(Some(lacks.clone()));
        std::fs::create_dir(&other).unwrap();
        let next = tokio::time::timeout(Duration::from_secs(60), told.recv()).await.unwrap();
        assert!(matches!(next, Some(Command::Readable(it)) if it == lacks));
        drop(refused);
        waiting.await.unwrap();
        assert!(told.recv().await.is_none());
    }
}
