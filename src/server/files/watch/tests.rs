use std::fs;
use std::time::Duration;

use super::super::load::{Identity, Opened};
use super::*;

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_reload_of_several_zones_ends_when_all_of_them_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    // The first one is read by another thread than the second, and takes longer.
    let zones = ["large.", "small."].map(|zone| zone.parse::<Name>().unwrap());
    let paths = ["large", "small"].map(|zone| dir.path().join(zone).with_extension("zone"));
    for (path, count) in paths.iter().zip([100_000, 1]) {
        let records: String = (0..count).map(|host| format!("h{host} A 192.0.2.1\n")).collect();
        fs::write(path, format!("$TTL 1\n@ SOA a a 1 2 3 4 5\n@ NS a.\n{records}")).unwrap();
    }
    let (told, reports) = mpsc::channel();
    let report = told.clone();
    let each = move |changed: Changed| {
        changed.read.into_iter().for_each(|(zone, _)| drop(report.send(Some(zone))));
    };
    let files = Files::start(Arc::new(ZoneStore::new(7)), each).unwrap();
    let done = || {
        let told = told.clone();
        move || drop(told.send(None))
    };
    let read_until_done = || {
        let read = || reports.recv_timeout(LIMIT).unwrap();
        let mut read: Vec<Name> = std::iter::from_fn(read).collect();
        read.sort();
        read
    };
    let first = done();
    files.configure(&Settings::for_files("127.0.0.1:53".parse().unwrap(), &paths), move |_| first());
    assert_eq!(read_until_done(), zones);
    files.reload(zones.to_vec(), done());
    assert_eq!(read_until_done(), zones);
}

fn watch() -> Watch<impl Fn(Changed)> {
    Watch::new(Arc::new(ZoneStore::new(7)), mpsc::channel().0, |_| {})
}

#[test]
fn who_waited_for_the_turn_of_a_read_that_is_given_up_is_taken_in() {
    let mut watch = watch();
    let id = watch.search();
    watch.searches.get_mut(&id).unwrap().turns = Some(Default::default());
    for ticket in [1, 2] {
        watch.one_more(Some(id), ticket);
    }
    let path = Path::new("/z/b.zone");
    let file = File { path: path.into(), dir: Some(0), is_link: false };
    let opened = Opened { identity: Identity::Empty, loaded: None };
    watch.opened(2, file, Ok(Some(opened)), Some(id), &[]);
    watch.one_less(Some(id));
    assert!(!watch.told.contains(path));
    watch.skip(1, Some(id));
    watch.one_less(Some(id));
    assert!(watch.told.contains(path));
    watch.conclude();
    assert!(watch.searches.is_empty());
}

#[test]
fn beside_a_folder_of_zones_only_names_are_watched() {
    let dir = tempfile::tempdir().unwrap();
    let above = dir.path().canonicalize().unwrap();
    let folder = above.join("z");
    fs::create_dir(&folder).unwrap();
    let mut watch = watch();
    watch.dirs = vec![Dir::new(folder.clone())];
    watch.look_at_dirs();
    assert_eq!(watch.folders.get(&above), Some(&Scope::Names));
    assert_eq!(watch.folders.get(&folder), Some(&Scope::Files));
    // Unless a zone's file lies there too.
    assert!(watch.watch(&Trail::follow(&above.join("a.zone"))));
    assert_eq!(watch.folders.get(&above), Some(&Scope::Files));
    watch.look_at_dirs();
    assert_eq!(watch.folders.get(&above), Some(&Scope::Files));
}
