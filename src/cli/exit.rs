//! What a command comes to: its exit status, and what is said when it failed.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::builder::styling::{AnsiColor, Style};

use crate::config;

/// The exit statuses of all commands; scripts rely on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Done, clean, or converged.
    Done = 0,
    /// Refused, failed, or wrongly called.
    Failed = 1,
    /// `wait` ran out of time, or `plan` found changes.
    Pending = 2,
    /// The node, or every server asked, could not be reached.
    Unreachable = 3,
    /// `sim` found an invariant broken.
    Broken = 4,
}

/// Why a command ended early. The message names the place and the next step.
#[derive(Debug)]
pub enum Failure {
    /// The configuration cannot be used; exit status 1.
    Config(config::error::Errors),
    /// The same where it only had to tell the control socket of a node; exit status 1.
    Socket(config::socket::NoSocket),
    /// Anything else.
    Told(Exit, String),
}

/// So many things that are wrong are told each; a node may have very many zones.
const MAX_TOLD: usize = 10;

impl Failure {
    /// A failure with exit status 1.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure::Told(Exit::Failed, message.into())
    }

    /// A failure with exit status 1, for several reasons.
    pub fn of(head: &str, reasons: &[String]) -> Failure {
        let told = reasons.iter().take(MAX_TOLD).map(|reason| format!("\n  {reason}"));
        let more = reasons.len().checked_sub(MAX_TOLD).filter(|more| *more > 0);
        let more = more.map(|more| format!("\n  and {more} more"));
        Failure::new(format!("{head}:{}", told.chain(more).collect::<String>()))
    }

    /// The exit status it leads to.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Config(_) | Failure::Socket(_) => Exit::Failed,
            Failure::Told(exit, _) => *exit,
        }
    }

    /// The message, to stand behind words that say that it is an error.
    pub fn message(&self) -> String {
        let told = self.to_string();
        told.strip_prefix("error: ").unwrap_or(&told).to_owned()
    }

    /// Says it on standard error.
    pub fn tell(&self) {
        anstream::eprintln!("{}", self.render());
    }

    /// The message as it is shown, with ANSI escapes.
    fn render(&self) -> String {
        const RED: Style = AnsiColor::BrightRed.on_default().bold();
        match self {
            Failure::Config(error) => error.render(true),
            Failure::Socket(error) => format!("{}\n{}", error.errors.render(true), error.other_way()),
            Failure::Told(_, message) => format!("{RED}error{RED:#}: {message}"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Config(error) => fmt::Display::fmt(error, f),
            Failure::Socket(error) => fmt::Display::fmt(error, f),
            Failure::Told(_, message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Failure {}

impl From<config::error::Errors> for Failure {
    fn from(error: config::error::Errors) -> Failure {
        Failure::Config(error)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Says on standard error what failed, if anything did, and gives the exit status.
pub fn report(result: Result<Exit, Failure>) -> ExitCode {
    let exit = result.unwrap_or_else(|failure| {
        failure.tell();
        failure.exit()
    });
    exit.into()
}

/// Prints the help that was asked for, or what is wrong with the arguments. The latter is status 1 and not 2 as clap has
/// it, because 2 says of `wait` that time ran out.
pub fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done for a reader who has gone away.
    let _ = error.print();
    if error.use_stderr() { Exit::Failed.into() } else { Exit::Done.into() }
}

/// So many of something, as in `1 answer` and `2 answers`.
pub fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

/// Writes to standard output at once.
pub fn say(text: &str) -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What became of writing to standard output: a reader that has gone away (`| head`) has seen enough.
pub fn written(result: io::Result<()>) -> Result<Exit, Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(Exit::Done),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_reasons_are_cut_short() {
        let reasons: Vec<String> = (0..12).map(|number| format!("z{number}. is failed")).collect();
        assert_eq!(Failure::of("bad", &reasons[..1]).to_string(), "bad:\n  z0. is failed");
        let told = Failure::of("bad", &reasons).to_string();
        assert!(told.ends_with("z9. is failed\n  and 2 more"), "{told}");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "answer")), ["0 answers", "1 answer", "2 answers"]);
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        assert_eq!(written(Err(io::ErrorKind::BrokenPipe.into())).unwrap(), Exit::Done);
        assert_eq!(written(Err(io::ErrorKind::StorageFull.into())).unwrap_err().exit(), Exit::Failed);
    }
}
