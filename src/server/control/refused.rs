//! Reloads that were refused: what stands in `status` of the last one, and for how long.
//!
//! What is wrong with the text of a configuration stays until a reload takes one. Folders and files that could not be read can be looked
//! at again: once all of them can be, and nothing else was wrong, a start or a reload would take the configuration.

use serde::Serialize;
use tokio::sync::{mpsc, watch};

use crate::node::status::Problem;

use super::super::clock;
use super::super::unread::{Source, pauses};
use super::{Command, Control};

/// Why what was read cannot be brought into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// What is said to who asked for the reload.
    pub told: String,
    /// What cannot be read, where nothing else is wrong.
    pub lacking: Vec<Source>,
}

impl From<String> for Unusable {
    fn from(told: String) -> Unusable {
        Unusable { told, lacking: Vec::new() }
    }
}

/// The last reload was refused: what was in force before is so still.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotReloaded {
    /// Why.
    #[serde(flatten)]
    problem: Problem,
    /// As in [`Unusable::lacking`].
    #[serde(skip)]
    lacking: Vec<Source>,
}

impl NotReloaded {
    /// At this moment, for this.
    pub(super) fn now(why: &Unusable) -> NotReloaded {
        let problem = Problem { what: in_short(&why.told), since: clock::now().utc };
        NotReloaded { problem, lacking: why.lacking.clone() }
    }
}

/// What is told for long of a configuration that was refused: the first error and its place. Lines of the file may hold secrets, and stay
/// with who asked for the reload and in the log.
pub(super) fn in_short(refused: &str) -> String {
    let mut lines = refused.lines().map(str::trim);
    let message = lines.next().unwrap_or_default();
    let place = lines.next().and_then(|line| line.strip_prefix("--> "));
    let place = place.map(|place| format!(" at {place}")).unwrap_or_default();
    format!(
        "{message}{place}; what was in force before is so still: mend the configuration (`tidemark check` shows all that is wrong with it) \
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
    /// What this reload was refused for is no more.
    pub(super) fn readable(&self, refused: &NotReloaded) {
        if self.refused.borrow().as_ref() != Some(refused) {
            return;
        }
        self.refused.send_replace(None);
        self.metrics.reloaded(true);
        tracing::info!(
            "what the configuration was refused for can be read now; `tidemark reload` brings into force what else has changed in it"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refused_configuration_is_told_in_a_line_without_its_text() {
        let told = in_short("unknown key `lissten`\n --> tidemark.toml:2:1\n  |\n2 | lissten = []\n");
        assert!(told.starts_with("unknown key `lissten` at tidemark.toml:2:1; what was in force"), "{told}");
        let told = in_short("cannot read tidemark.toml: No such file or directory (os error 2)");
        assert!(told.starts_with("cannot read tidemark.toml: No such file or directory (os error 2); what"));
    }

    #[tokio::test]
    async fn a_refusal_is_over_when_all_that_it_was_for_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        std::fs::create_dir(&one).unwrap();
        let lacking = [&one, &other].map(|path| Source::ZoneDir(path.clone())).to_vec();
        let broken = NotReloaded::now(&"unknown key".to_owned().into());
        let lacks = NotReloaded::now(&Unusable { told: "cannot read".to_owned(), lacking });
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
