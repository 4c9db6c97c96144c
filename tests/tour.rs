//! The README's tour as a reader takes it: each block is run by a shell against a real demo, and shows what the README says.
//! Blocks for other servers are given to those servers' own checkers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod blocks;
mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use blocks::{Block, in_languages, read, root};
use support::await_until::{await_until, becomes_true};
use support::process::{Process, program};
use support::tidemark;

const LIMIT: Duration = Duration::from_secs(30);
/// The section that is the tour.
const TOUR: &str = "Five minutes";

#[test]
fn the_tour_shows_what_it_says() {
    let dir = tempfile::tempdir().unwrap();
    provide(dir.path());
    let mut command = tidemark::command();
    // The newest demo there is this one.
    command.arg("demo").current_dir(dir.path()).env("TMPDIR", dir.path());
    let mut demo = Process::start(command, &dir.path().join("log"));
    await_until("the demo to say what to try", LIMIT, || {
        assert!(demo.is_running(), "the demo ended: {}", demo.log());
        demo.log().contains("Ctrl-C stops all of it")
    });

    let (_, blocks) = read(&root().join("README.md"));
    let tour: Vec<&Block> = blocks.iter().filter(|block| block.section == TOUR).collect();
    let (begin, steps) = tour.split_first().unwrap();
    let begin = format!("shopt -s expand_aliases\nexec 2>&1\n{}", begin.text);
    let steps: Vec<(&Block, &Block)> = steps.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    assert!(steps.len() > 6, "{} steps", steps.len());
    let watch = steps.iter().find(|(step, _)| step.text.contains("--watch")).expect("a step that watches");
    let shell = Shell { dir: dir.path(), begin: &begin };
    let mut watching = None;
    for (step, shown) in &steps {
        assert_eq!((step.language.as_str(), shown.language.as_str()), ("sh", "text"), "{}", step.at);
        if step.at == watch.0.at {
            continue;
        }
        let edits = step.text.contains("perl -pi") || step.text.contains(">>");
        if edits && watching.is_none() {
            // It shows the edit, so it has to run before.
            let running = shell.start(&watch.0.text, "watch");
            await_until("the watch to have begun", LIMIT, || running.log().contains("serial"));
            await_until("the cache to hold a fresh answer", LIMIT, || {
                let answer = shell.run("dig @127.0.0.1 -p 5300 www.example A +noall +answer");
                answer.split_whitespace().nth(1).is_some_and(|ttl| ["4", "5"].contains(&ttl))
            });
            watching = Some(running);
        }
        let mut said = shell.run(&step.text);
        // What only looks may look again: a reader is slower than this.
        if !edits {
            becomes_true(LIMIT, || {
                let same = general(&said) == general(&shown.text);
                if !same {
                    said = shell.run(&step.text);
                }
                same
            });
        }
        assert_eq!(general(&said), general(&shown.text), "{} says\n{}and it is\n{said}", step.at, shown.text);
    }

    let mut watching = watching.expect("a step that edits");
    let seen = |log: &str| -> Vec<String> {
        let lines = log.lines().filter(|line| line.contains(" -> ")).map(line);
        let mut lines: Vec<String> = lines.take(watch.1.text.lines().count()).collect();
        lines.sort();
        lines
    };
    let log = watching.log();
    assert_eq!(seen(&log), seen(&watch.1.text), "{}: {log}", watch.0.at);
    watching.stop();
    demo.signal(libc::SIGINT);
    assert_eq!(demo.wait(LIMIT).code(), Some(0), "{}", demo.log());
}

/// The zones as they are checked in, and the program where the README has it.
fn provide(dir: &Path) {
    fs::create_dir_all(dir.join("zones")).unwrap();
    for entry in fs::read_dir(root().join("zones")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.join("zones").join(entry.file_name())).unwrap();
    }
    // The checkout's zones are there to be edited, and may have been.
    let file = dir.join("zones/example.zone");
    let text = fs::read_to_string(&file).unwrap();
    let lines = text.lines().map(|line| match line.split_once("; <- EDIT ME") {
        Some((_, comment)) => format!("www     5       A       192.0.2.80      ; <- EDIT ME{comment}\n"),
        None => format!("{line}\n"),
    });
    fs::write(&file, lines.collect::<String>()).unwrap();
    fs::create_dir_all(dir.join("target/release")).unwrap();
    std::os::unix::fs::symlink(tidemark::PROGRAM, dir.join("target/release/tidemark")).unwrap();
}

/// A shell in the folder of the demo that has read the first block.
struct Shell<'a> {
    dir: &'a Path,
    begin: &'a str,
}

impl Shell<'_> {
    fn command(&self, text: &str) -> Command {
        let mut command = Command::new("bash");
        // From a file, line by line: an alias holds from the next line on.
        let file = tempfile::Builder::new().prefix("step-").tempfile_in(self.dir).unwrap();
        let (_, path) = file.keep().unwrap();
        fs::write(&path, format!("{}{text}\n", self.begin)).unwrap();
        command.arg(&path).current_dir(self.dir).env("TMPDIR", self.dir);
        command
    }

    fn run(&self, text: &str) -> String {
        String::from_utf8(self.command(text).output().unwrap().stdout).unwrap()
    }

    fn start(&self, text: &str, name: &str) -> Process {
        // The shell gives way to the program, so that the signal that ends it reaches the program.
        let text = text.replacen("tidemark ", &format!("exec {} ", tidemark::PROGRAM), 1);
        Process::start(self.command(&text), &self.dir.join(name))
    }
}

/// A text without what differs from run to run: spaces, TTLs, times, serials, and numbers that are more than a count.
fn general(text: &str) -> String {
    text.lines().map(|text| line(text) + "\n").collect()
}

fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_record = words.get(2) == Some(&"IN");
    let general = words.iter().enumerate().map(|(at, text)| match (is_record, at) {
        (true, 1) => "TTL".to_owned(),
        _ => word(text),
    });
    general.collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    let is_address = word.contains("192.0.2.") || word.contains("127.0.0.1");
    let is_count = word.len() == 1;
    // A rule of a table or below a mistake is as long as what stands above it.
    if word.starts_with(['^', '-']) {
        return word[..1].to_owned();
    }
    if is_address || is_count {
        return word.to_owned();
    }
    let mut general = String::new();
    for c in word.chars() {
        match c {
            '0'..='9' | '.' if general.ends_with('#') => {}
            '0'..='9' => general.push('#'),
            c => general.push(c),
        }
    }
    // A time in whichever unit it was.
    if ["#ms", "#us", "#d#h", "#m#s", "#h#m"].contains(&general.as_str()) { "#s".to_owned() } else { general }
}

#[test]
fn other_servers_accept_what_is_written_for_them() {
    let languages =
        ["named.conf", "named.conf primary", "knot.conf", "knot.conf primary", "nsd.conf", "unbound.conf"];
    let blocks = in_languages(&languages);
    assert!(languages.iter().all(|language| blocks.iter().any(|block| block.language == *language)));
    for block in blocks {
        let dir = tempfile::tempdir().unwrap();
        let server = block.language.split('.').next().unwrap();
        let file = dir.path().join("checked.conf");
        let (head, checker, arguments): (String, &str, &[&str]) = match server {
            "named" => (String::new(), "named-checkconf", &[]),
            "knot" => (String::new(), "knotc", &["-c"]),
            "nsd" => (
                format!("server:\n    zonesdir: \"{}\"\n    username: \"\"\n", dir.path().display()),
                "nsd-checkconf",
                &[],
            ),
            _ => (
                "server:\n    chroot: \"\"\n    username: \"\"\n    directory: \".\"\n".to_owned(),
                "unbound-checkconf",
                &[],
            ),
        };
        fs::write(&file, format!("{head}{}", block.text)).unwrap();
        let mut command = Command::new(program(checker));
        command.args(arguments).arg(&file).current_dir(dir.path());
        if server == "knot" {
            command.arg("conf-check");
        }
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}: {checker}: {}", block.at, String::from_utf8_lossy(&said));
    }
}
