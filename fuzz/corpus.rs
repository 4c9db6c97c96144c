//! Between the corpus of `tests/fuzz.rs`, lines of text, and the folders of files that cargo-fuzz works with.
//!
//! `corpus out TARGET FOLDER` writes the kept inputs as files; `corpus in TARGET FOLDER` keeps those of a folder besides, as many
//! as fit, the shortest first.

use std::error::Error;
use std::fs;
use std::path::Path;

#[path = "../tests/targets/corpus.rs"]
#[allow(dead_code, clippy::unwrap_used, clippy::expect_used)]
mod corpus;

/// How much text is kept for one target, in bytes.
const KEPT: usize = 250_000;

fn main() -> Result<(), Box<dyn Error>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["out", target, folder] => {
            fs::create_dir_all(folder)?;
            for (number, input) in corpus::inputs(&tests, target).iter().enumerate() {
                fs::write(Path::new(folder).join(format!("kept-{number:04}")), input)?;
            }
        }
        ["in", target, folder] => {
            let file = tests.join("fuzz").join(target);
            // What is kept stays: it is there for a reason.
            let mut text = fs::read_to_string(&file)?;
            let known = corpus::inputs(&tests, target);
            let mut found = Vec::new();
            for entry in fs::read_dir(folder)? {
                found.push(fs::read(entry?.path())?);
            }
            found.retain(|input| !known.contains(input));
            let mut lines: Vec<String> = found.iter().map(|input| corpus::line(input)).collect();
            lines.sort_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
            for line in lines {
                if text.len() + line.len() < KEPT {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
            fs::write(file, text)?;
        }
        _ => return Err("corpus (out | in) TARGET FOLDER".into()),
    }
    Ok(())
}
