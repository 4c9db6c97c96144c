//! What zones of very different sizes take to be loaded and edited, beside Knot, which like tidemark makes an incremental change of
//! an edited file; and how soon an edit of a small file is served.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::super::bench::{Bench, say};
use super::super::config::Zones;
use super::super::content::{SERIAL, edited_address};
use super::super::figures::{Figure, Goal, median};
use super::super::options::Part;
use super::super::server::{Make, Plan, Server};
use super::super::watch::Watch;

/// Records in the zones.
const SIZES: [usize; 4] = [10_000, 100_000, 1_000_000, 5_000_000];
/// Records in the zone whose edits are timed.
const SMALL: usize = 100;
/// Up to this many records a zone takes so little that chance counts for much.
const QUICK: usize = 100_000;
/// How often such a zone is loaded, at least.
const AT_LEAST: u32 = 7;
/// Edits of each zone.
const EDITS: u8 = 3;
/// Edits of each zone that change every fourth of its names.
const WIDE_EDITS: u8 = 2;
/// Edits of the small one.
const SMALL_EDITS: u8 = 15;
/// How long the largest zone may take.
const LIMIT: Duration = Duration::from_secs(120);
/// How long a small edit is rested after: a file that has just changed is read with more care.
const REST: Duration = Duration::from_secs(1);
/// The servers.
const MAKES: [Make; 2] = [Make::Tidemark, Make::Knot];

/// The rows of this part, if it is asked for.
pub(crate) fn measure(bench: &Bench) -> Vec<Figure> {
    if !bench.options.wants(Part::Sizes) {
        return Vec::new();
    }
    let mut figures = vec![small_edit(bench)];
    figures.extend(SIZES.iter().flat_map(|&size| sized(bench, bench.options.scaled(size))));
    figures
}

fn small_edit(bench: &Bench) -> Figure {
    say("a small file edited");
    let mut row =
        Figure::new("one small file edited, to being served (ms)").goals(&[Goal::Times(1.0, Make::Knot)]);
    for make in MAKES {
        let times = edits(bench, make, SMALL, (SMALL_EDITS, 0), REST).times;
        row.put(make, median(times) * 1e3);
    }
    row
}

fn sized(bench: &Bench, size: usize) -> Vec<Figure> {
    say(&format!("a zone of {size} records"));
    let row = |what: &str| Figure::new(format!("{size} records: {what}"));
    let mut load = row("load, CPU (s)").goals(&[Goal::Times(1.0, Make::Knot)]);
    let mut edit = row("edit, CPU (s)").goals(&[Goal::Times(0.5, Make::Knot)]);
    let mut ratio = row("edit / load, CPU");
    let mut wide = row("edit of every fourth name, CPU (s)").goals(&[Goal::Times(0.5, Make::Knot)]);
    let mut wide_ratio = row("edit of every fourth name / load, CPU");
    let mut before = row("memory after the load (PSS, MB)").goals(&[Goal::Times(1.0, Make::Knot)]);
    let mut after = row("memory after the edits (PSS, MB)").goals(&[Goal::Times(1.0, Make::Knot)]);
    // What is started with the first edit counts for little then.
    if size >= 1_000_000 {
        ratio = ratio.goals(&[Goal::AtMost(1.2)]);
        wide_ratio = wide_ratio.goals(&[Goal::AtMost(1.2)]);
    }
    let rounds = if size > QUICK { 1 } else { bench.options.rounds.max(AT_LEAST) };
    // In turn, so that an hour in which the machine is slow is one for both.
    let mut taken: [Vec<Taken>; MAKES.len()] = Default::default();
    for _ in 0..rounds {
        for (make, taken) in MAKES.into_iter().zip(&mut taken) {
            taken.push(edits(bench, make, size, (EDITS, WIDE_EDITS), Duration::ZERO));
        }
    }
    for (make, taken) in MAKES.into_iter().zip(taken) {
        let of = |figure: fn(&Taken) -> f64| median(taken.iter().map(figure).collect());
        let (loaded, edited) = (of(|taken| taken.load), of(|taken| median(taken.cpu.clone())));
        load.put(make, loaded);
        edit.put(make, edited);
        ratio.put(make, edited / loaded);
        let widely = of(|taken| median(taken.wide.clone()));
        wide.put(make, widely);
        wide_ratio.put(make, widely / loaded);
        before.put(make, of(|taken| taken.before as f64 / 1e6));
        after.put(make, of(|taken| taken.after as f64 / 1e6));
    }
    vec![load, edit, ratio, wide, wide_ratio, before, after]
}

/// What a zone and its edits took.
struct Taken {
    /// CPU until the zone was served.
    load: f64,
    /// For each edit of one record.
    cpu: Vec<f64>,
    times: Vec<f64>,
    /// For each edit of every fourth name.
    wide: Vec<f64>,
    before: u64,
    after: u64,
}

fn edits(bench: &Bench, make: Make, size: usize, (narrow, wide): (u8, u8), rest: Duration) -> Taken {
    let root = bench.root.join(format!("{}-{size}-{narrow}", make.name()));
    fs::create_dir(&root).unwrap();
    let file = Server::own_file(&root, make, &zone(size, 0, 0));
    let files: [(&str, &Path); 1] = [("example.", &file)];
    let plan = Plan { zones: Zones::Files(&files), cores: &bench.server_core, workers: 1 };
    let mut server = Server::start(make, plan, &root);
    server.await_zones(&["example."]);
    server.session.settle();
    let load = server.session.exact_cpu().as_secs_f64();
    let before = server.session.memory();
    let (mut cpu, mut times, mut after) = (Vec::new(), Vec::new(), before);
    for version in 1..=narrow + wide {
        let fresh = server.prepare_edit(&zone(size, version, version.saturating_sub(narrow)));
        std::thread::sleep(rest);
        let used = server.session.exact_cpu().as_secs_f64();
        let mut watch = Watch::new(server.addr, &[], 0, None);
        let begun = server.edit(&fresh, &file, bench.both_cores[1]);
        let seen = watch.until_seen(edited_address(version), LIMIT);
        let seen = seen.unwrap_or_else(|| panic!("{} does not serve an edit within {LIMIT:?}", make.name()));
        times.push(seen.duration_since(begun).as_secs_f64());
        if size > SMALL {
            server.session.settle();
        }
        cpu.push(server.session.exact_cpu().as_secs_f64() - used);
        if version == narrow {
            after = server.session.memory();
        }
    }
    drop(server);
    fs::remove_dir_all(&root).unwrap();
    let wide = cpu.split_off(narrow.into());
    Taken { load, cpu, times, wide, before, after }
}

/// A zone of about so many records, an A and a TXT for each name, in the given version; every fourth name has data of its `wide` one.
fn zone(records: usize, version: u8, wide: u8) -> String {
    let serial = SERIAL + u32::from(version);
    let mut text = format!(
        "$ORIGIN example.\n$TTL 3600\n@ SOA ns hostmaster {serial} 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n"
    );
    let [a, b, c, d] = edited_address(version);
    let _ = writeln!(text, "edit-me 60 A {a}.{b}.{c}.{d}");
    for number in 0..records / 2 {
        let (high, middle, low) = (number >> 16, number >> 8 & 255, number & 255);
        let first = if number.is_multiple_of(4) { 10 + wide } else { 10 };
        let _ = writeln!(
            text,
            "host{number} A {first}.{high}.{middle}.{low}\nhost{number} TXT \"number {number}\""
        );
    }
    text
}
