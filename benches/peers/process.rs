//! Servers and load generators as processes: pinned to cores, their CPU time and memory read, and none left behind.
//!
//! Each is the leader of a session of its own, which its own children stay in. So all processes of a server are found, and
//! ended, by the session's number; also when the benchmark is interrupted.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// How often the processes of a session are looked for until none is left: one may fork while it is being ended.
const KILL_TURNS: usize = 100;
/// How many lines of a log are shown when its process fails.
const LOG_TAIL: usize = 20;
/// A server is at rest when it has used no CPU for so long ...
const REST: Duration = Duration::from_millis(400);
/// ... and this much of its time goes by unseen (its timers).
const REST_TICKS: u64 = 1;
/// How long to wait for rest.
const REST_LIMIT: Duration = Duration::from_secs(30);

/// The sessions that are alive, and the folder to remove when interrupted.
static LIVE: Mutex<(Vec<u32>, Option<PathBuf>)> = Mutex::new((Vec::new(), None));

/// The nice value of new sessions as text; empty for the usual one.
static NICE: Mutex<String> = Mutex::new(String::new());

/// CPU time of all processes of a session, in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu {
    /// In user space.
    pub(crate) user: f64,
    /// In the kernel.
    pub(crate) system: f64,
}

impl Cpu {
    /// Both.
    pub(crate) fn total(self) -> f64 {
        self.user + self.system
    }

    /// What has been used since `earlier`.
    pub(crate) fn since(self, earlier: Cpu) -> Cpu {
        Cpu { user: self.user - earlier.user, system: self.system - earlier.system }
    }
}

/// A running session. It ends with this value.
pub(crate) struct Session {
    child: Child,
    log: PathBuf,
    /// CPU time used before the program began.
    begun: Duration,
}

impl Session {
    /// Starts `command` on these cores with its output in the file `log`.
    pub(crate) fn start(mut command: Command, cores: &[usize], log: &Path) -> Session {
        let out = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
        let mask = core_mask(cores);
        let nice = NICE.lock().unwrap().clone();
        // SAFETY: between fork and exec only system calls are made, on values made before the fork.
        unsafe {
            command.pre_exec(move || {
                let mut none: libc::sigset_t = std::mem::zeroed();
                libc::sigemptyset(&mut none);
                libc::sigprocmask(libc::SIG_SETMASK, &none, std::ptr::null_mut());
                libc::setsid();
                if !nice.is_empty() {
                    let file = libc::open(c"/proc/self/autogroup".as_ptr(), libc::O_WRONLY);
                    libc::write(file, nice.as_ptr().cast(), nice.len());
                    libc::close(file);
                }
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                match libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &mask) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        let mut live = LIVE.lock().unwrap();
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        live.0.push(child.id());
        // Until here it has taken the memory of this process apart, which it was forked with: some hundredths of a second where that is large.
        let begun = used(child.id());
        Session { child, log: log.to_owned(), begun }
    }

    /// The process that was started.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far.
    pub(crate) fn cpu(&self) -> Cpu {
        // SAFETY: sysconf only reads.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        members(self.child.id()).iter().fold(Cpu::default(), |sum, member| Cpu {
            user: sum.user + member.user as f64 / per_second,
            system: sum.system + member.system as f64 / per_second,
        })
    }

    /// CPU time used since the start by the processes that live now, without the rounding to ticks.
    pub(crate) fn exact_cpu(&self) -> Duration {
        let all: Duration = members(self.child.id()).iter().map(|member| used(member.pid)).sum();
        all.saturating_sub(self.begun)
    }

    /// Asks the process to end, and waits until it has.
    pub(crate) fn stop(&mut self, limit: Duration) {
        // SAFETY: kill takes two integers; the id is of our own child that has not been waited for.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        self.await_end(limit);
    }

    /// Proportional set size in bytes: shared pages count for each process in part.
    pub(crate) fn memory(&self) -> u64 {
        let pss = |pid: u32| -> Option<u64> {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = text.lines().find(|line| line.starts_with("Pss:"))?;
            line.split_whitespace().nth(1)?.parse::<u64>().ok()
        };
        members(self.child.id()).iter().filter_map(|member| pss(member.pid)).sum::<u64>() * 1_024
    }

    /// Waits until the server has done all that it does after a start or a change.
    pub(crate) fn settle(&self) {
        let ticks = || -> u64 { members(self.child.id()).iter().map(|m| m.user + m.system).sum() };
        let begun = Instant::now();
        let mut before = ticks();
        while begun.elapsed() < REST_LIMIT {
            thread::sleep(REST);
            let after = ticks();
            if after <= before + REST_TICKS {
                return;
            }
            before = after;
        }
        eprintln!("note: a server was still busy {REST_LIMIT:?} after its start or change");
    }

    /// Panics, with the end of its log, when the process has ended.
    pub(crate) fn must_run(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("a server ended with {status}:\n{}", self.log_tail());
        }
    }

    /// The last lines that the process wrote.
    pub(crate) fn log_tail(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
    }

    /// Waits until the process ends by itself.
    pub(crate) fn wait(mut self, limit: Duration) {
        self.await_end(limit);
    }

    fn await_end(&mut self, limit: Duration) {
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < limit, "a process did not end within {limit:?}:\n{}", self.log_tail());
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let id = self.child.id();
        kill_session(id);
        let _ = self.child.wait();
        if let Ok(mut live) = LIVE.lock() {
            live.0.retain(|&other| other != id);
        }
    }
}

/// From here on SIGINT, SIGTERM and SIGHUP end every session and remove `folder`. To be called before threads are started.
pub(crate) fn clean_up_when_interrupted(folder: &Path) {
    LIVE.lock().unwrap().1 = Some(folder.to_owned());
    // SAFETY: the set is initialised by sigemptyset before it is used.
    let signals = unsafe {
        let mut signals: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut signals);
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            libc::sigaddset(&mut signals, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &signals, std::ptr::null_mut());
        signals
    };
    thread::spawn(move || {
        let mut received = 0;
        // SAFETY: both point to live values.
        unsafe { libc::sigwait(&signals, &mut received) };
        // The lock is kept: nothing is started any more.
        let live = LIVE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        live.0.iter().for_each(|&session| kill_session(session));
        if let Some(folder) = &live.1 {
            let _ = fs::remove_dir_all(folder);
        }
        eprintln!("interrupted; the servers are ended");
        std::process::exit(128 + received);
    });
}

/// Pins the calling thread, and the threads that it starts, to these cores.
pub(crate) fn pin(cores: &[usize]) {
    // SAFETY: the mask is a live value of the size given.
    let done = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &core_mask(cores)) };
    assert!(done == 0, "cannot pin to cores {cores:?}");
}

/// Gives this process, and those that it starts, this nice value.
pub(crate) fn set_nice(nice: i32) {
    // SAFETY: setpriority takes three integers.
    let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    assert!(done == 0, "not allowed to set the nice value {nice}");
    // Where the scheduler weighs sessions against each other first (sched_autogroup), it is the session's that counts.
    let _ = fs::write("/proc/self/autogroup", nice.to_string());
    NICE.lock().unwrap().replace_range(.., &nice.to_string());
}

/// The cores that this process may use.
pub(crate) fn cores() -> Vec<usize> {
    // SAFETY: the mask is a live value of the size given, and the cores asked about are within it.
    unsafe {
        let mut mask: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut mask);
        (0..libc::CPU_SETSIZE as usize).filter(|&core| libc::CPU_ISSET(core, &mask)).collect()
    }
}

fn core_mask(cores: &[usize]) -> libc::cpu_set_t {
    // SAFETY: an all-zero set is an empty one; CPU_SET checks its bounds.
    unsafe {
        let mut mask: libc::cpu_set_t = std::mem::zeroed();
        cores.iter().for_each(|&core| libc::CPU_SET(core, &mut mask));
        mask
    }
}

/// One process of a session, its time in clock ticks with that of its ended children.
struct Member {
    pid: u32,
    /// Ended, and only waiting for its parent to look.
    ended: bool,
    user: u64,
    system: u64,
}

/// The CPU time that a process has used.
fn used(pid: u32) -> Duration {
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: both point to live values; a process that has ended has no clock.
    let known = unsafe {
        libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) == 0
            && libc::clock_gettime(clock, &mut time) == 0
    };
    if known { Duration::new(time.tv_sec as u64, time.tv_nsec as u32) } else { Duration::ZERO }
}

fn members(session: u32) -> Vec<Member> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses, which may hold anything.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        (number(3) == u64::from(session)).then(|| Member {
            pid,
            ended: matches!(fields.first(), Some(&"Z" | &"X")),
            user: number(11) + number(13),
            system: number(12) + number(14),
        })
    });
    processes.collect()
}

fn kill_session(session: u32) {
    for _ in 0..KILL_TURNS {
        let alive: Vec<u32> = members(session).iter().filter(|member| !member.ended).map(|m| m.pid).collect();
        if alive.is_empty() {
            return;
        }
        for pid in alive {
            // SAFETY: kill takes two integers; the id is of a process of our own session.
            unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
        }
        thread::sleep(Duration::from_millis(2));
    }
}
