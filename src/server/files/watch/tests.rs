use std::fs;
use std::time::Duration;

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
