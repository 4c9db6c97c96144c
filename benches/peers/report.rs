//! The results: printed, kept in a file, and the main ones shown in the README.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::bench::{Bench, say};
use super::figures::{self, Figure};
use super::machine;

/// Where the results of a whole run are kept.
const RESULTS: &str = "benches/results/peers.md";
/// The file that shows the main ones ...
const README: &str = "README.md";
/// ... between these two lines.
const MARKS: [&str; 2] =
    ["<!-- written by cargo bench --bench peers -->\n", "<!-- end of what it has written -->\n"];

/// Prints the results, and keeps them when they are whole.
pub(crate) fn report(bench: &Bench, cores: &[usize], figures: &[Figure], profile: &str, took: Duration) {
    let (flat, registry) = bench.content.records();
    let mut lines = machine::description(cores);
    lines.push(format!("flat.: {flat} records; example.: {registry} records"));
    lines.push(format!("{} rounds of {} s", bench.options.rounds, bench.options.seconds));
    lines.push(format!("measured in {} s", took.as_secs()));
    let about = lines.join("\n");
    let count = |wanted| figures.iter().filter(|figure| figure.met() == Some(wanted)).count();
    let verdict = format!("{} goals met, {} missed", count(true), count(false));
    let table = if figures.is_empty() { String::new() } else { figures::table(figures) };
    println!("{about}\n\n{table}\n{verdict}\n\n{profile}");
    if bench.options.json {
        println!("{}", figures::json(figures));
    }
    if bench.options.is_whole() && !bench.options.no_write {
        let kept = format!(
            "# Side by side\n\nWritten by `cargo bench --bench peers`.\n\n```text\n{about}\n```\n\n{table}\n{verdict}.\n\n\
             ## Where tidemark's time in user space goes\n\n```text\n{profile}```\n"
        );
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = root.join(RESULTS);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, kept).unwrap();
        let shown = format!("{}.\n\n{}\n{verdict}.\n", lines.join("; "), figures::brief(figures));
        show(&root.join(README), &shown);
        say(&format!("written to {RESULTS} and {README}"));
    }
}

/// Puts this between the marks of a file, if it has them.
fn show(file: &Path, text: &str) {
    let old = fs::read_to_string(file).unwrap();
    let parts =
        old.split_once(MARKS[0]).and_then(|(before, rest)| Some((before, rest.split_once(MARKS[1])?.1)));
    match parts {
        Some((before, after)) => {
            fs::write(file, format!("{before}{}{text}{}{after}", MARKS[0], MARKS[1])).unwrap();
        }
        None => say(&format!("{} has no marks to write between", file.display())),
    }
}
