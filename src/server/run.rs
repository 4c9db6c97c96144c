//! A node from start to stop: bind, take back what the journal holds, read the zone files, serve, end on a signal.

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use crate::answer::context::{Recursion, Served};
use crate::metrics::registry::Metrics;
use crate::node::event::Input;
use crate::node::router::Node;
use crate::publish::store::ZoneStore;
use crate::resolve::cache::Cache;
use crate::resolve::settings::Reach;
use crate::resolve::special_use::SpecialUse;
use crate::wire::cookie::{Secret, Secrets};

use super::admin::{self, Admin};
use super::control::{self, Command, Control, Reload, Reloads, Reread, Warned};
use super::exchange::Exchanges;
use super::files::watch::Files;
use super::jobs::Jobs;
use super::journal::folder::{Folder, FolderError};
use super::journal::open::{Opened, Ready};
use super::journal::thread::Journal;
use super::listening::{BindError, Bound, Tls};
use super::pulse::Pulse;
use super::settings::{self, Settings};
use super::tls::{self, Shown};
use super::unread::{Source, Unread, lacks_folder};
use super::worker::resolver::Resolvers;
use super::worker::respond::Context;
use super::{http, memory, privileges, supervisor, threads};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No address can be had, or one of them not by this user.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There is no place for the control socket.
    #[error("cannot make the control socket {path}: {error}{}", place_advice(.error))]
    Control {
        /// Where it was to be.
        path: String,
        /// Why not.
        error: io::Error,
    },
    /// The user to become is not one, or may not be become.
    #[error("cannot become user `{user}`: {error}; check `user` in the configuration")]
    User {
        /// Who.
        user: String,
        /// Why not.
        error: io::Error,
    },
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A zone file given on the command line cannot be served.
    #[error("{0}")]
    Zones(String),
    /// The system would not give a thread, a timer, or the like.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// The library for TLS does not work here.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The metrics do not fit together.
    #[error("cannot set up metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

fn place_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; stop it, or give this node a `data-dir` of its own",
        io::ErrorKind::IsADirectory => "; move that folder away, or set `control` to another place",
        _ => "; set `data-dir` or `control` to a place where this node may write",
    }
}

/// Runs a node until SIGTERM or SIGINT; SIGHUP reloads what `reread` returns.
pub fn run(mut settings: Settings, reread: Reread) -> Result<(), StartError> {
    privileges::raise_open_files();
    privileges::outlive_file_limit();
    memory::return_large_pieces();
    let workers =
        settings.server.workers.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let control = admin::bind_control(&settings.server.control).map_err(|error| StartError::Control {
        path: settings.server.control.display().to_string(),
        error,
    })?;
    let bound = Bound::bind(&settings, workers)?;
    if let Some(user) = &settings.server.user {
        let owned = [settings.server.data_dir.as_path(), settings.server.control.as_path()];
        let dir = &settings.server.data_dir;
        std::fs::create_dir_all(dir).map_err(|error| FolderError::Io {
            action: "create",
            path: dir.clone(),
            error,
        })?;
        privileges::drop_to(user, &owned).map_err(|error| StartError::User { user: user.clone(), error })?;
        read_as_user(&mut settings);
    }
    // Threads have what this one may do from here on.
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.enable_all().on_thread_start(threads::make_room).build()?;
    // One that comes before the node is ready would end the process, and is for when it is.
    let hangup = {
        let _within = runtime.enter();
        signal(SignalKind::hangup())?
    };
    let folder = Folder::open(&settings.server.data_dir, rand::random())?;
    let store = Arc::new(ZoneStore::new(folder.node_id()));
    // Large zones take long to take to pieces, and the end of the process does it at once.
    std::mem::forget(Arc::clone(&store));
    store.leave_remains_to(memory::start_to_retire()?);
    let opened = Opened::read(folder, |zone, happened| store.replay(&zone, happened))?;
    if opened.is_doubtful() {
        store.doubt(opened.is_boundless());
    }
    let journal = opened.settle(store.checkpoint_bytes(), || store.checkpoint())?;
    let served = runtime.block_on(serve(settings, bound, control, store, journal, (reread, hangup)));
    // Threads that wait for datagrams end with the process.
    runtime.shutdown_background();
    served
}

/// Looks for what root could read and the user of the node cannot: told now, and not when a certificate has been renewed months later.
fn read_as_user(settings: &mut Settings) {
    for source in &settings.sources {
        // Where it could not be read as it is, that is told.
        if settings.unread.iter().any(|unread| unread.source == *source) {
            continue;
        }
        let Err(fault) = source.read() else { continue };
        let closed = source.clone().unread(fault);
        match source {
            Source::ZoneDir(_) => settings.unread.push(closed),
            // What was read is in force.
            Source::Identity(_) | Source::Cookies(_) => {
                tracing::warn!("a reload will fail: {}", closed.reason);
            }
        }
    }
}

async fn serve(
    settings: Settings,
    mut bound: Bound,
    control: UnixListener,
    store: Arc<ZoneStore>,
    journal: Ready,
    (reread, hangup): (Reread, Signal),
) -> Result<(), StartError> {
    let metrics = Arc::new(Metrics::new()?);
    let cache = settings.resolver.as_ref().map(|resolver| Arc::new(Cache::new(&resolver.cache)));
    let served = Arc::new(ArcSwap::from_pointee(served(&settings, &store, cache.as_ref())));
    let (commands, queue) = mpsc::channel(control::QUEUE);
    let resolvers = settings
        .resolver
        .as_ref()
        .zip(cache.as_ref())
        .map(|(it, cache)| Resolvers::start(bound.workers, &it.routes, cache, &served, &metrics, &commands))
        .transpose()?;
    let reports = commands.clone();
    // When nobody listens to reports any more the node is stopping.
    let files = Files::start(Arc::clone(&store), move |changed| {
        drop(reports.blocking_send(Command::Files(changed)))
    })?;
    let tls = settings.server.tls.as_ref().map(tls).transpose()?;
    settings.unread.iter().for_each(Unread::tell);
    let (unread, unreads) = watch::channel(settings.unread.clone());
    let (overview, overviews) = watch::channel(Arc::default());
    let (refused, refusal) = watch::channel(None);
    let (needs_restart, restart) = watch::channel(Vec::new());
    let pulse = Pulse::default();
    let answers = Arc::new(AtomicBool::new(false));
    let admin = Admin {
        commands: commands.clone(),
        overview: overviews,
        pulse: pulse.clone(),
        answers: Arc::clone(&answers),
        store: Arc::clone(&store),
        metrics: Arc::clone(&metrics),
        cache,
        listen: settings.server.listen.clone(),
        listen_tls: settings.server.tls.as_ref().map_or(Vec::new(), |tls| tls.listen.clone()),
        not_listening: Arc::clone(&bound.not_listening),
        unread: unreads.clone(),
        refused: refusal,
        needs_restart: restart,
        per_zone: settings.metrics_per_zone,
        readers: Arc::new(Semaphore::new(http::MAX_CONNECTIONS / 2)),
    };
    let context = Context {
        served: Arc::clone(&served),
        resolvers,
        node: commands.clone(),
        tally: metrics.tally(),
        metrics: Arc::clone(&metrics),
        stuck: Arc::new(Mutex::default()),
        refusals: Arc::new(Mutex::default()),
    };
    let journal = start_journal(journal, Arc::clone(&store), commands.clone())?;
    let prepared = commands.clone();
    let jobs = Jobs::start(move |done| {
        drop(prepared.blocking_send(Command::Input(Input::Prepared(done))));
    })?;
    let belongings = Control {
        node: Node::new(Arc::clone(&store), rand::random()),
        store: Arc::clone(&store),
        journal,
        jobs,
        overview,
        pulse,
        metrics: Arc::clone(&metrics),
        files: files.clone(),
        served,
        settings: settings.clone(),
        shown: tls.as_ref().map(|tls| Arc::clone(&tls.shown)),
        sources: settings.sources.clone(),
        unread,
        refused,
        needs_restart,
        reloads: Reloads::new(reread, admin.refused.clone(), commands.clone()),
        warned: Warned::default(),
    };
    let thread = start_control(belongings, commands.clone(), queue)?;
    serve_control(control, admin.clone())?;
    bound.serve_http(&admin)?;
    first_reading(&settings, &files, unreads, commands.clone()).await?;
    answers.store(true, Ordering::Release);
    bound.start(context, tls, admin)?;
    // A control thread that is gone tells nobody.
    let _ = commands.send(Command::Input(Input::Listening)).await;
    tell_what(&settings, &store);
    // Nobody waits for it.
    tokio::task::spawn_blocking(memory::tidy_after_the_start);
    stopped(&commands, hangup).await?;
    stop(&commands, thread).await;
    Ok(())
}

fn start_journal(
    journal: Ready,
    kept: Arc<ZoneStore>,
    reports: mpsc::Sender<Command>,
) -> Result<Journal, StartError> {
    let journal = Journal::start(
        journal,
        move || kept.checkpoint_bytes(),
        // A node that stops has waited for what it gave to the journal.
        move |report| drop(reports.blocking_send(Command::Journal(report))),
    )?;
    Ok(journal)
}

async fn stop(commands: &mpsc::Sender<Command>, control: JoinHandle<()>) {
    supervisor::stopping();
    // A node that is gone already needs no telling.
    let _ = commands.send(Command::Stop).await;
    let joined = tokio::task::spawn_blocking(|| control.join()).await;
    if !matches!(joined, Ok(Ok(()))) {
        tracing::error!("the control thread did not end well");
    }
}

/// What connections with TLS are set up with.
fn tls(tls: &settings::Tls) -> Result<Tls, rustls::Error> {
    let shown = Arc::new(Shown::new(tls.identity.clone()));
    Ok(Tls { config: tls::config(&shown)?, shown })
}

/// What requests are answered from.
fn served(settings: &Settings, store: &Arc<ZoneStore>, cache: Option<&Arc<Cache>>) -> Served {
    Served {
        store: Arc::clone(store),
        recursion: settings.resolver.as_ref().zip(cache).map(|(resolver, cache)| Recursion {
            cache: Arc::clone(cache),
            allow: resolver.allow.clone(),
            special_use: SpecialUse::beside(&resolver.routes),
            reach: Reach::of(&resolver.routes),
        }),
        nsid: settings.server.nsid.as_ref().map(|nsid| nsid.as_bytes().into()),
        cookies: Arc::new(settings.server.cookies.clone().unwrap_or_else(|| {
            // Good until the next start, and at no other server: clients then get a new cookie, and no harm is done.
            Secrets::new(Secret::new(rand::random()), Vec::new())
        })),
    }
}

/// Answers on the control socket.
fn serve_control(control: UnixListener, admin: Admin) -> io::Result<()> {
    let control = http::Listener::Unix(tokio::net::UnixListener::from_std(control)?);
    tokio::spawn(http::serve(control, admin::private(admin)));
    Ok(())
}

/// Waits until every zone file has been read once. Zone files given by name must all be good; what is wrong with those of a
/// configuration is logged, and the others are served.
async fn first_reading(
    settings: &Settings,
    files: &Files,
    unread: watch::Receiver<Vec<Unread>>,
    commands: mpsc::Sender<Command>,
) -> Result<(), StartError> {
    let by_file = !settings.zone_files.is_empty();
    let (settled, all_read) = oneshot::channel();
    let (counted, refused) = oneshot::channel();
    let first = Reload::new(Some(settled), !lacks_folder(&settings.unread, None));
    let told = commands.clone();
    files.configure(settings, move |refused| {
        // A start that was given up asks no more.
        let _ = counted.send(refused);
        drop(told.blocking_send(Command::Settled(first)))
    });
    // Not before: those who watch the files have to know of a folder that can be read later.
    tokio::spawn(control::wait_for(unread, commands));
    let problems = all_read.await;
    if by_file && refused.await.is_ok_and(|refused| !refused.is_empty()) {
        return Err(StartError::Zones(
            "not every zone file given can be served; what is wrong stands above".to_owned(),
        ));
    }
    match problems {
        Ok(Err(problem)) if by_file => Err(StartError::Zones(problem)),
        Ok(Ok(reloaded)) if by_file => {
            reloaded.complaint_of_start().map_or(Ok(()), |it| Err(StartError::Zones(it)))
        }
        _ => Ok(()),
    }
}

fn tell_what(settings: &Settings, store: &ZoneStore) {
    let zones = store.directory();
    if !zones.is_empty() {
        // Those that a former life left are not told of one by one.
        let served = zones.iter().filter(|zone| zone.current().is_some()).count();
        tracing::info!("serving {served} of {} zones", zones.len());
    }
    if settings.serves_nothing() {
        tracing::warn!("every query is refused: the configuration has neither a zone nor `[resolver]`");
    }
}

fn start_control(
    control: Control,
    commands: mpsc::Sender<Command>,
    queue: mpsc::Receiver<Command>,
) -> io::Result<JoinHandle<()>> {
    let connections = tokio::runtime::Handle::current();
    // A thread and a runtime of its own: what it does for one command holds up no other task, and what comes in wakes no other thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let exchanges = {
        let _within = runtime.enter();
        Exchanges::new(connections)?
    };
    threads::start_fallible("control", move || runtime.block_on(control.run(commands, queue, exchanges)))
}

/// Waits for the signal to stop, and has everything reloaded at each SIGHUP. The node is ready.
async fn stopped(commands: &mpsc::Sender<Command>, mut hangup: Signal) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    supervisor::ready();
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {
                // A signal during a reload asks for one more, however many there are (signals do not count).
                supervisor::reloading();
                let (reloaded, done) = oneshot::channel();
                drop(commands.send(Command::Reload(Vec::new(), Some(reloaded))).await);
                tokio::select! {
                    _ = terminate.recv() => return Ok(()),
                    _ = interrupt.recv() => return Ok(()),
                    // What became of it is in the log.
                    _ = done => supervisor::ready(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_the_user_cannot_read_is_done_without_if_it_is_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let [there, known, closed] =
            ["there", "known", "closed"].map(|name| Source::ZoneDir(dir.path().join(name)));
        fs::create_dir(dir.path().join("there")).unwrap();
        let cookies = Source::Cookies(dir.path().join("cookies.key"));
        let unread = |source: &Source| source.clone().unread(source.read().unwrap_err());
        let mut settings = Settings::for_files("127.0.0.1:53".parse().unwrap(), &[]);
        settings.sources = vec![there, known.clone(), closed.clone(), cookies];
        settings.unread = vec![unread(&known)];
        read_as_user(&mut settings);
        // The secrets that root has read are in force.
        assert_eq!(settings.unread, [unread(&known), unread(&closed)]);
    }
}
