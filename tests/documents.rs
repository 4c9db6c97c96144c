//! What the documents say holds: configurations are accepted, commands, files and metrics exist.
//!
//! The tour of the README is taken by `tests/tour.rs`, which needs running servers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may end")]

mod blocks;
#[path = "../benches/peers/verdict.rs"]
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use blocks::{documents, in_languages, read, root};

/// What a fragment of a configuration stands in when it shows no `[server]` of its own.
const SERVER: &str = "[server]\nlisten = [\"192.0.2.1:53\"]\ndata-dir = \"state\"\n";

/// The verdicts of the benchmark's table, which runs no unit tests itself.
#[test]
fn a_goal_is_judged_by_what_is_printed() {
    assert_eq!(verdict::ratio(2.15, 3.58).as_deref(), Some("0.60"));
    assert!(verdict::is_within(2.15, 0.60, 3.58));
    assert!(verdict::is_within(0.604, 0.60, 1.0) && !verdict::is_within(0.606, 0.60, 1.0));
    assert_eq!([2.004, 104.4, 0.0].map(verdict::shown), [2.0, 104.0, 0.0]);
    assert_eq!([2.004, 104.4, 0.0].map(verdict::number), ["2.00", "104", "0"]);
    // What never happened is beyond every goal.
    assert_eq!(verdict::number(f64::INFINITY), "never");
    assert_eq!(verdict::shown(f64::INFINITY), f64::INFINITY);
    assert!(verdict::is_within(1.0, 1.0, f64::INFINITY) && !verdict::is_within(f64::INFINITY, 1.0, 1.0));
}

#[test]
fn every_configuration_is_accepted() {
    let blocks = in_languages(&["toml"]);
    assert!(!blocks.is_empty());
    for block in blocks {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("zones")).unwrap();
        fs::copy(root().join("zones/example.zone"), dir.path().join("zones/example.zone")).unwrap();
        let made = rcgen::generate_simple_self_signed(["dns.example".to_owned()]).unwrap();
        fs::write(dir.path().join("dns.crt"), made.cert.pem()).unwrap();
        fs::write(dir.path().join("dns.key"), made.signing_key.serialize_pem()).unwrap();
        let is_whole = block.text.lines().any(|line| line.trim() == "[server]");
        let text = if is_whole { block.text.clone() } else { format!("{SERVER}{}", block.text) };
        let file = dir.path().join("tidemark.toml");
        fs::write(&file, &text).unwrap();
        // A fragment may show no zone, which alone earns a warning.
        let strict = if is_whole { &["--strict"][..] } else { &[] };
        let output = tidemark(&[&["check", file.to_str().unwrap()], strict].concat());
        assert!(output.0, "{}: {}\n{text}", block.at, output.1);
    }
}

#[test]
fn the_example_of_a_configuration_names_only_known_keys() {
    // Its zone files are not there, and nothing else may be wrong with it.
    let text = fs::read_to_string(root().join("deploy/tidemark.toml")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    fs::copy(root().join("zones/example.zone"), dir.path().join("example.zone")).unwrap();
    let file = dir.path().join("tidemark.toml");
    fs::write(&file, text.replace("/etc/tidemark/zones/example.zone", "example.zone")).unwrap();
    let output = tidemark(&["check", file.to_str().unwrap()]);
    assert!(output.0, "deploy/tidemark.toml: {}", output.1);
}

#[test]
fn how_a_file_gets_its_zone_is_told_alike() {
    for told in [fs::read_to_string(root().join("README.md")).unwrap(), tidemark(&["serve", "--help"]).1] {
        let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(told.contains("that of its SOA, $ORIGIN or file name"), "{told}");
    }
}

#[test]
fn every_command_exists() {
    let help = tidemark(&["--help"]).1;
    let commands: BTreeSet<&str> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains("serve"), "{help}");
    let mut named = 0;
    for document in documents() {
        let (prose, blocks) = read(&document);
        let shell = blocks.iter().filter(|block| block.language == "sh").map(|block| block.text.as_str());
        let quoted = prose.split('`').skip(1).step_by(2);
        for text in shell.flat_map(str::lines).chain(quoted) {
            // `tidemark` is also a user, a folder and an image: it is a command where a command begins.
            for call in
                text.split(['|', '&', ';', '(', '#']).filter_map(|it| it.trim().strip_prefix("tidemark "))
            {
                let word = call.split([' ', ',']).next().unwrap();
                if word.starts_with('-') {
                    continue;
                }
                named += 1;
                assert!(commands.contains(word), "{}: `{text}`: no command `{word}`", document.display());
            }
        }
    }
    assert!(named > 20, "only {named} commands were found in the documents");
}

#[test]
fn every_link_leads_to_a_file() {
    let mut followed = 0;
    for document in documents() {
        let (prose, _) = read(&document);
        for (at, _) in prose.match_indices("](") {
            let target = prose[at + 2..].split(')').next().unwrap();
            let path = target.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            followed += 1;
            let file = document.parent().unwrap().join(path);
            assert!(file.exists(), "{}: `{target}` leads to nothing", document.display());
        }
    }
    assert!(followed > 3, "only {followed} links were found in the documents");
}

/// Words in backquotes that look like files of the project.
#[test]
fn every_file_that_is_named_exists() {
    const FOLDERS: [&str; 6] = ["src/", "tests/", "benches/", "deploy/", "docs/", "fuzz/"];
    let mut missing = Vec::new();
    for document in documents() {
        // What has changed since may name what is gone.
        if document.ends_with("CHANGELOG.md") {
            continue;
        }
        let (prose, _) = read(&document);
        for word in prose.split('`').skip(1).step_by(2).flat_map(str::split_whitespace) {
            let is_path = FOLDERS.iter().any(|folder| word.starts_with(folder));
            let is_pattern =
                word.contains(['*', '{', '<', '[']) || word.chars().any(|c| c.is_ascii_uppercase());
            if is_path && !is_pattern && !root().join(word).exists() {
                missing.push(format!("{}: {word}", document.display()));
            }
        }
    }
    assert!(missing.is_empty(), "named and not there: {missing:#?}");
}

#[test]
fn every_metric_exists() {
    let registered = registered();
    let files =
        ["deploy/grafana.json", "deploy/alerts.yml", "deploy/alerts_test.yml", "deploy/prometheus.yml"];
    let files = files.iter().map(|file| root().join(file));
    let mut missing = Vec::new();
    for file in files.chain(documents().into_iter().filter(|document| !document.ends_with("CHANGELOG.md"))) {
        for name in names(&fs::read_to_string(&file).unwrap()) {
            let is_series = ["_bucket", "_sum", "_count"]
                .iter()
                .filter_map(|suffix| name.strip_suffix(suffix))
                .any(|family| registered.get(family).is_some_and(|is_histogram| *is_histogram));
            // A name may be cut short to stand for several: `tidemark_zone_`.
            let is_start = name.ends_with('_') && registered.keys().any(|known| known.starts_with(&name));
            if !registered.contains_key(&name) && !is_series && !is_start {
                missing.push(format!("{}: {name}", file.display()));
            }
        }
    }
    assert!(missing.is_empty(), "no node has these metrics: {missing:#?}");
}

#[test]
fn every_mutation_has_its_place_and_its_result() {
    let list = fs::read_to_string(root().join("tests/mutations.list")).unwrap();
    let results = fs::read_to_string(root().join("docs/MUTATIONS.md")).unwrap();
    let mut names = BTreeSet::new();
    for block in list.split("\n= ").skip(1) {
        let (head, rest) = block.split_once('\n').unwrap();
        let (name, file) = head.split_once(' ').unwrap();
        let old: Vec<&str> = rest.lines().filter_map(|line| line.strip_prefix('-')).collect();
        let source = fs::read_to_string(root().join(file)).unwrap();
        assert_eq!(
            source.matches(&old.join("\n")).count(),
            1,
            "{name}: its text has to stand in {file} once"
        );
        assert!(names.insert(format!("`{name}`")), "{name} is there twice");
    }
    let told = results.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let told: BTreeSet<String> = told.filter(|name| name.starts_with('`')).map(str::to_owned).collect();
    assert_eq!(names, told, "tests/mutations prints the table of docs/MUTATIONS.md");
}

/// The metrics that the source registers, and whether each is a histogram: the names in `src/metrics/`, where alone they are made.
fn registered() -> BTreeMap<String, bool> {
    let mut found = BTreeMap::new();
    for file in rust_files(&root().join("src/metrics")) {
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for (at, _) in code.match_indices("\"tidemark_") {
            let literal: String = code[at + 1..].chars().take_while(|c| *c != '"').collect();
            let is_histogram = literal.ends_with("_duration_seconds");
            found.insert(literal, is_histogram);
        }
    }
    assert!(found.len() > 20, "{found:?}");
    found
}

/// The words of a text that begin with `tidemark_`.
fn names(text: &str) -> BTreeSet<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices("tidemark_")
        .filter(|(at, _)| !text[..*at].chars().next_back().is_some_and(is_word))
        .map(|(at, _)| text[at..].chars().take_while(|c| is_word(*c)).collect())
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Runs the program; whether it succeeded, and all that it said.
fn tidemark(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tidemark")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}
