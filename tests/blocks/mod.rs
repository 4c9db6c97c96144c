//! Fenced blocks of the project's documents.
//!
//! Each test program uses a part of this, and a failure in here is a failure of the test.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

/// The checkout.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A fenced block of a Markdown file.
#[derive(Debug)]
pub struct Block {
    /// Where it begins, as `README.md:25`.
    pub at: String,
    /// The section it stands in: the last heading before it.
    pub section: String,
    /// What stands behind the opening fence, such as `sh`.
    pub language: String,
    /// The lines between the fences, each with its end.
    pub text: String,
}

/// The documents that users and contributors read: those at the top, in `deploy/` and in `docs/`.
pub fn documents() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["", "deploy", "docs"]
        .iter()
        .filter_map(|folder| fs::read_dir(root().join(folder)).ok())
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    found.sort();
    found
}

/// The text of a document without its blocks, and the blocks.
pub fn read(document: &Path) -> (String, Vec<Block>) {
    let name = document.strip_prefix(root()).unwrap().display();
    let (mut prose, mut blocks, mut open) = (String::new(), Vec::<Block>::new(), false);
    let mut section = String::new();
    for (index, line) in fs::read_to_string(document).unwrap().lines().enumerate() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            if !open {
                blocks.push(Block {
                    at: format!("{name}:{}", index + 1),
                    section: section.clone(),
                    language: language.trim().to_owned(),
                    text: String::new(),
                });
            }
            open = !open;
        } else if open {
            let block = blocks.last_mut().unwrap();
            block.text += line;
            block.text.push('\n');
        } else {
            if line.starts_with('#') {
                section = line.trim_start_matches('#').trim().to_owned();
            }
            prose += line;
            prose.push('\n');
        }
    }
    assert!(!open, "{name}: a block is not closed");
    (prose, blocks)
}

/// All blocks of all documents in one of these languages.
pub fn in_languages(languages: &[&str]) -> Vec<Block> {
    let blocks = documents().into_iter().flat_map(|document| read(&document).1);
    blocks.filter(|block| languages.contains(&block.language.as_str())).collect()
}
