//! What a node does without, because it could not be read when it started, or cannot any more: it is tried again, and brought into force
//! when it can be.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::answer::context::Served;

use super::super::unread::{Content, Source, Unread, lacks_folder, pauses};
use super::{Command, Control, Reload};

/// Tries to read all of it again and again; the control thread takes in what is new.
pub async fn wait_for(mut unread: watch::Receiver<Vec<Unread>>, commands: mpsc::Sender<Command>) {
    // Without a thread that says what there is the node is stopping.
    while unread.wait_for(|all| !all.is_empty()).await.is_ok() {
        for pause in pauses() {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Ok(()) = unread.changed() => {}
            }
            let left = unread.borrow_and_update().clone();
            if left.is_empty() {
                break;
            }
            // It may be on a disk that does not answer.
            let again = move || left.into_iter().filter_map(Unread::again).collect::<Vec<_>>();
            let Ok(news) = tokio::task::spawn_blocking(again).await else { return };
            for (source, read) in news {
                // As above.
                if commands.send(Command::Late(source, read)).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl Control {
    /// Files were read: those of a folder that has come are seen by who watches it before it is tried again.
    pub(super) fn try_folders(&self) {
        if lacks_folder(&self.unread.borrow(), None) {
            self.unread.send_modify(|_| {});
        }
    }

    /// A folder of zones cannot be read any more. One that is configured no more may have gone before those who watch it heard of that.
    pub(super) fn lost(&self, lost: Unread) {
        let is_known = |unread: &Unread| unread.source == lost.source && !unread.is_found;
        if !self.sources.contains(&lost.source) || self.unread.borrow().iter().any(is_known) {
            return;
        }
        // One that went away while it was read for the first time has not been read.
        let gone = self.unread.borrow().iter().find(|it| it.source == lost.source).is_none_or(|it| it.gone);
        let lost = Unread { gone, ..lost };
        lost.tell();
        self.unread.send_modify(|all| {
            all.retain(|unread| unread.source != lost.source);
            all.push(lost);
        });
    }

    /// All that was in these is read.
    pub(super) fn have_been_read(&self, found: &[Source]) {
        self.unread.send_modify(|all| {
            all.retain(|unread| !unread.is_found || !found.contains(&unread.source));
        });
    }

    /// What became of another try.
    pub(super) fn late(
        &mut self,
        source: Source,
        read: Result<Content, Unread>,
        commands: &mpsc::Sender<Command>,
    ) {
        // A reload that came first has taken in all there is, from wherever the configuration says now; another try has found it.
        if !self.unread.borrow().iter().any(|unread| unread.source == source && !unread.is_found) {
            return;
        }
        match read {
            Ok(content) => {
                self.bring_into_force(content, commands);
                source.tell_read();
                self.unread.send_modify(|all| match source {
                    Source::ZoneDir(_) => all
                        .iter_mut()
                        .filter(|unread| unread.source == source)
                        .for_each(|unread| *unread = unread.clone().found()),
                    _ => all.retain(|unread| unread.source != source),
                });
            }
            Err(new) => {
                new.tell();
                self.unread.send_modify(|all| {
                    all.iter_mut()
                        .filter(|unread| unread.source == source)
                        .for_each(|unread| *unread = new.clone());
                });
            }
        }
    }

    pub(super) fn bring_into_force(&self, content: Content, commands: &mpsc::Sender<Command>) {
        match content {
            Content::ZoneDir(path) => {
                let is_last = !lacks_folder(&self.unread.borrow(), Some(&path));
                let found = vec![Source::ZoneDir(path.clone())];
                let look = Reload::new(None, is_last).of(found);
                let commands = commands.clone();
                self.files.look_at(path, move || drop(commands.blocking_send(Command::Settled(look))));
            }
            // Certificates are renewed every few weeks.
            Content::Identity(identity) => {
                self.shown.iter().for_each(|shown| shown.renew(identity.clone()));
            }
            // Secrets change while all servers of a zone run (RFC 9018 5).
            Content::Cookies(cookies) => {
                let served = Served::clone(&self.served.load());
                self.served.store(Arc::new(Served { cookies: Arc::new(cookies), ..served }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn what_is_there_is_found_at_once_when_a_try_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let missing = |name: &str| {
            let source = Source::ZoneDir(folder.path().join(name));
            source.clone().unread(source.read().unwrap_err())
        };
        let (unread, waiting) = watch::channel(vec![missing("never")]);
        let (commands, mut told) = mpsc::channel(1);
        tokio::spawn(wait_for(waiting, commands));
        let began = Instant::now();
        for name in ["a", "b", "c", "d", "e"] {
            let awaited = missing(name);
            unread.send_replace(vec![missing("never"), awaited.clone()]);
            std::fs::create_dir(folder.path().join(name)).unwrap();
            unread.send_modify(|_| {});
            // The one before may be told twice.
            while !matches!(told.recv().await.unwrap(), Command::Late(source, Ok(_)) if source == awaited.source)
            {
            }
        }
        // The pauses between tries would have been 25 s.
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
}
