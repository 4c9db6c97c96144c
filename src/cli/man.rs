//! `tidemark man`: the manual pages, one for the program and one per command.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::args::{Cli, ManArgs};
use crate::cli::exit::{self, Exit, Failure};

/// Writes the pages into a folder, or all of them to standard output.
pub fn run(args: &ManArgs) -> Result<Exit, Failure> {
    let pages = pages().map_err(|error| Failure::new(format!("cannot make the manual pages: {error}")))?;
    match &args.dir {
        Some(dir) => into_folder(dir, &pages),
        None => {
            let mut out = io::stdout().lock();
            exit::written(pages.iter().try_for_each(|(_, page)| out.write_all(page)))
        }
    }
}

fn into_folder(dir: &Path, pages: &[(String, Vec<u8>)]) -> Result<Exit, Failure> {
    let failed = |path: &Path, error: io::Error| {
        Failure::new(format!("cannot write {}: {error}; name a folder that you may write to", path.display()))
    };
    fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    for (name, page) in pages {
        let path = dir.join(name);
        fs::write(&path, page).map_err(|error| failed(&path, error))?;
    }
    Ok(Exit::Done)
}

/// File name and content of each page, the program's own first.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let commands: Vec<_> =
        program.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    std::iter::once(program)
        .chain(commands)
        .map(|command| {
            let man = Man::new(command);
            let mut page = Vec::new();
            man.render(&mut page)?;
            Ok((man.get_filename(), verbatim(&String::from_utf8_lossy(&page)).into_bytes()))
        })
        .collect()
}

/// The page with its examples and configuration line by line, as they are on the terminal: the renderer puts them into a section
/// "EXTRA" and fills the lines.
fn verbatim(page: &str) -> String {
    let mut inside = false;
    let line = |line: &str| {
        let opens = line == ".SH EXTRA";
        let closes = inside && line.starts_with(".SH");
        inside = opens || inside && !closes;
        match (opens, closes) {
            (true, _) => ".SH EXAMPLES\n.nf\n".to_owned(),
            (_, true) => format!(".fi\n{line}\n"),
            // Text in a section of its own needs no heading.
            _ if inside && line == "Examples:" => String::new(),
            _ => format!("{line}\n"),
        }
    };
    page.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_examples() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("man/man1");
        run(&ManArgs { dir: Some(dir.clone()) }).unwrap();
        assert!(fs::read_to_string(dir.join("tidemark.1")).unwrap().starts_with(".ie"));
        for command in Cli::command().get_subcommands() {
            let page = fs::read_to_string(dir.join(format!("tidemark-{}.1", command.get_name()))).unwrap();
            assert!(page.contains(".SH EXAMPLES\n.nf\n  tidemark"), "{}", command.get_name());
            assert!(!page.contains("EXTRA"));
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let dir = file.path().join("man1");
        let failure = run(&ManArgs { dir: Some(dir.clone()) }).unwrap_err();
        assert!(failure.to_string().contains(&dir.display().to_string()), "{failure}");
    }
}
