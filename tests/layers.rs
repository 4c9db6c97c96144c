//! The house test: reads `src/` and fails on an upward import, a circle, a clock or a socket on the wrong floor, code in
//! `mod.rs`, a name that says nothing, or a file that has outgrown its one idea.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may end")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, lowest first: a module may use what is on lower floors and itself, never a sibling.
const FLOORS: [&[&str]; 9] = [
    &["panic", "time", "wire"],
    &["zone", "text"],
    &["publish", "ask"],
    &["transfer", "update", "catalog", "sign", "resolve", "cluster", "probe", "lag"],
    &["answer", "node"],
    &["sim", "metrics"],
    &["server"],
    &["config"],
    &["cli", "main"],
];
/// The floors within `server`, lowest first; the same holds for them.
const SERVER_FLOORS: [&[&str]; 10] = [
    &[
        "address",
        "clock",
        "content",
        "log",
        "pages",
        "poll",
        "priority",
        "privileges",
        "received",
        "supervisor",
        "threads",
    ],
    &["courtesy", "sockets"],
    &["cookies", "exchange", "memory", "pulse", "tls"],
    &["unread"],
    &["settings"],
    &["files", "journal", "jobs"],
    &["control"],
    &["admin", "http", "worker"],
    &["listening"],
    &["run"],
];
/// The lowest floor of the real world: below it there is no I/O, no clock, no chance that is not seeded.
const REAL: usize = 7;
/// What only the real world may name.
const REAL_NAMES: [&str; 13] = [
    "tokio",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "std::fs",
    "std::thread",
    "std::process",
    "std::env",
    "Instant",
    "SystemTime",
    "rand::random",
    "rand::rng(",
];
/// Names that say nothing.
const EMPTY_NAMES: [&str; 7] = ["util", "utils", "common", "types", "manager", "helpers", "misc"];
/// A file longer than this has more than one idea in it, or says in its head why not.
const MAX_LINES: usize = 500;
/// What begins the reason, in the documentation at the head of a file.
const REASON: &str = "Long because ";
/// A function longer than this does more than one thing.
const MAX_FUNCTION: usize = 100;
/// What may stand behind `dyn` below the real world: closures and iterators over data. A trait object of any other kind would let
/// the real world in unseen.
const DATA_TRAITS: [&str; 4] = ["Fn", "FnMut", "FnOnce", "Iterator"];

/// A source file: its module path (`text::file::read`) and its code without comments and test modules.
struct Source {
    path: PathBuf,
    module: Vec<String>,
    code: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let inside = path.strip_prefix(&root).unwrap().with_extension("");
                let mut module: Vec<String> =
                    inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
                if module.last().is_some_and(|last| last == "mod") {
                    module.pop();
                }
                // Test files may use what they like.
                if !module.iter().any(|part| part == "tests" || part == "sample") {
                    found.push(Source { path, module, code: code(&text), lines: text.lines().count() });
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The text without line comments and without what stands behind `#[cfg(test)] mod tests {`.
fn code(text: &str) -> String {
    let lines = without_tests(text).lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn without_tests(text: &str) -> &str {
    &text[..text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len())]
}

/// The paths that a file uses within the crate, each as far as it is written, relative ones made absolute.
fn imports(source: &Source) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for (root, prefix) in
        [("crate::", Vec::new()), ("super::", parent(source)), ("super::super::", grandparent(source))]
    {
        for (at, _) in source.code.match_indices(root) {
            let before = source.code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            expand(&source.code[at + root.len()..], prefix.clone(), &mut found);
        }
    }
    found
}

fn parent(source: &Source) -> Vec<String> {
    source.module[..source.module.len().saturating_sub(1)].to_vec()
}

fn grandparent(source: &Source) -> Vec<String> {
    source.module[..source.module.len().saturating_sub(2)].to_vec()
}

/// Reads `a::b::{c, d::e}` from the start of `text`.
fn expand(text: &str, mut prefix: Vec<String>, found: &mut BTreeSet<Vec<String>>) {
    let mut rest = text;
    loop {
        let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        rest = &rest[word.len()..];
        if word.is_empty() {
            if let Some(inside) = rest.strip_prefix('{') {
                let mut depth = 0;
                let mut start = 0;
                for (at, c) in inside.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => {
                            expand(inside[start..at].trim_start(), prefix.clone(), found);
                            return;
                        }
                        '}' => depth -= 1,
                        ',' if depth == 0 => {
                            expand(inside[start..at].trim_start(), prefix.clone(), found);
                            start = at + 1;
                        }
                        _ => {}
                    }
                }
            }
            break;
        }
        if word != "super" {
            prefix.push(word);
        }
        match rest.strip_prefix("::") {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    if !prefix.is_empty() {
        found.insert(prefix);
    }
}

fn floor(module: &str) -> Option<usize> {
    floor_among(&FLOORS, module)
}

fn floor_among(floors: &[&[&str]], module: &str) -> Option<usize> {
    floors.iter().position(|floor| floor.contains(&module)).map(|index| index + 1)
}

fn home(source: &Source) -> Option<(&str, usize)> {
    let top = source.module.first().map(String::as_str).filter(|top| *top != "lib")?;
    Some((top, floor(top).unwrap_or_else(|| panic!("{}: `{top}` stands on no floor", source.path.display()))))
}

#[test]
fn imports_only_run_downwards() {
    for source in sources() {
        let Some((top, own)) = home(&source) else { continue };
        for import in imports(&source) {
            let Some(target) = floor(&import[0]).filter(|_| import[0] != top) else { continue };
            assert!(
                target < own,
                "{}: `{top}` (floor {own}) uses `{}` (floor {target}); imports only run downwards, and not to siblings",
                source.path.display(),
                import.join("::")
            );
        }
    }
}

#[test]
fn imports_within_the_server_only_run_downwards_too() {
    for source in sources() {
        let [top, room, ..] = &source.module[..] else { continue };
        if top != "server" {
            continue;
        }
        let path = source.path.display();
        let own = floor_among(&SERVER_FLOORS, room)
            .unwrap_or_else(|| panic!("{path}: `server::{room}` stands on no floor"));
        for import in imports(&source) {
            let [_, other, ..] = &import[..] else { continue };
            if import[0] != "server" || other == room {
                continue;
            }
            let Some(target) = floor_among(&SERVER_FLOORS, other) else { continue };
            assert!(
                target < own,
                "{path}: `server::{room}` (floor {own}) uses `{}` (floor {target}); imports only run downwards, and not to siblings",
                import.join("::")
            );
        }
    }
}

#[test]
fn no_circle() {
    let sources = sources();
    let modules: BTreeMap<String, usize> =
        sources.iter().enumerate().map(|(index, source)| (source.module.join("::"), index)).collect();
    let mut edges: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); sources.len()];
    for (index, source) in sources.iter().enumerate() {
        for import in imports(source) {
            // The longest prefix that is a file is what is imported.
            let target =
                (1..=import.len()).rev().find_map(|length| modules.get(&import[..length].join("::")));
            edges[index].extend(target.filter(|target| **target != index));
        }
    }
    let reaches_itself = |start: usize| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(at) = open.pop() {
            open.extend(edges[at].iter().filter(|next| seen.insert(**next)));
        }
        seen.contains(&start)
    };
    let circle: Vec<String> = (0..sources.len())
        .filter(|&index| reaches_itself(index))
        .map(|index| {
            let targets: Vec<String> =
                edges[index].iter().map(|target| sources[*target].module.join("::")).collect();
            format!("{} -> {}", sources[index].module.join("::"), targets.join(", "))
        })
        .collect();
    assert!(circle.is_empty(), "these files import each other in a circle: {circle:#?}");
}

#[test]
fn clocks_sockets_and_files_stay_upstairs() {
    for source in sources() {
        let Some((_, own)) = home(&source) else { continue };
        if own >= REAL {
            continue;
        }
        for name in REAL_NAMES {
            let named = source.code.match_indices(name).any(|(at, _)| {
                let around = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                !around(source.code[..at].chars().next_back())
                    && !around(source.code[at + name.len()..].chars().next())
            });
            assert!(
                !named,
                "{}: names `{name}`, which belongs to floor {REAL} and above",
                source.path.display()
            );
        }
    }
}

#[test]
fn folders_hold_documentation_and_files_hold_code() {
    for source in sources() {
        let name = source.path.file_name().and_then(|name| name.to_str()).unwrap();
        if !["mod.rs", "lib.rs"].contains(&name) {
            continue;
        }
        for line in source.code.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let allowed = line.starts_with("pub mod ")
                || line.starts_with("mod ")
                || line.starts_with("#![")
                || line == "#[cfg(test)]";
            assert!(
                allowed,
                "{}: `{line}`: only documentation and `mod` lines belong here",
                source.path.display()
            );
        }
    }
}

#[test]
fn files_keep_to_one_idea_and_say_which() {
    for source in sources() {
        for part in &source.module {
            assert!(
                !EMPTY_NAMES.contains(&part.as_str()),
                "{}: `{part}` says nothing",
                source.path.display()
            );
        }
        let text = fs::read_to_string(&source.path).unwrap();
        let mut head = text.lines().take_while(|line| line.starts_with("//!"));
        assert!(
            source.lines <= MAX_LINES || head.any(|line| line.contains(REASON)),
            "{}: {} lines; more than {MAX_LINES} hold more than one idea, or a reason in the head: `//! {REASON}...`",
            source.path.display(),
            source.lines
        );
        assert!(
            text.starts_with("//!"),
            "{}: begins with what it is about (`//! ...`)",
            source.path.display()
        );
    }
}

#[test]
fn functions_do_one_thing() {
    for source in sources() {
        let text = fs::read_to_string(&source.path).unwrap();
        let lines: Vec<&str> = without_tests(&text).lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = function(line) else { continue };
            // As rustfmt has it, a function ends with the brace that stands as far in as its first line.
            let indent = &line[..line.len() - line.trim_start().len()];
            let end = lines[at..].iter().position(|line| line.strip_prefix(indent) == Some("}"));
            let is_declared =
                lines[at..].iter().take_while(|line| !line.contains('{')).any(|line| line.ends_with(';'));
            let length = end.filter(|_| !is_declared && !line.ends_with('}')).map_or(1, |end| end + 1);
            assert!(
                length <= MAX_FUNCTION,
                "{}:{}: `{name}` has {length} lines; more than {MAX_FUNCTION} do more than one thing",
                source.path.display(),
                at + 1
            );
        }
    }
}

/// The name of the function that begins on this line.
fn function(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let is_before = |word: &&str| {
        ["const", "async", "unsafe", "extern", "\"C\""].contains(word)
            || word.starts_with("pub")
            || word.ends_with(')')
    };
    let first = words.by_ref().find(|word| !is_before(word))?;
    (first == "fn").then(|| words.next()?.split(['(', '<']).next()).flatten()
}

#[test]
fn no_trait_object_stands_in_for_the_real_world() {
    for source in sources() {
        let Some((_, own)) = home(&source) else { continue };
        if own >= REAL {
            continue;
        }
        for (at, _) in source.code.match_indices("dyn ") {
            let behind = source.code[at + "dyn ".len()..].trim_start_matches("std::iter::");
            let name: String = behind.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            assert!(
                DATA_TRAITS.contains(&name.as_str()),
                "{}: `dyn {name}` below floor {REAL}: take data, or a type parameter",
                source.path.display()
            );
        }
    }
}
