//! What the messages are put to: a few plain and signed zones, served by a node that is also a cache and by one that is not.

use std::sync::{Arc, OnceLock};

use tidemark::answer::context::{Recursion, Served};
use tidemark::publish::access::Access;
use tidemark::publish::proposal::Proposal;
use tidemark::publish::store::ZoneStore;
use tidemark::resolve::cache::{Cache, Config};
use tidemark::resolve::settings::Reach;
use tidemark::resolve::special_use::SpecialUse;
use tidemark::text::file::read::read;
use tidemark::time::{Mono, Now, Utc};
use tidemark::wire::cookie::{Secret, Secrets};
use tidemark::wire::name::Name;
use tidemark::zone::builder::Builder;
use tidemark::zone::serial::Policy;

const EXAMPLE: &str = include_str!("../data/plain/example.zone");
const ROOT: &str = include_str!("../data/plain/root.zone");
const NSEC: &str = include_str!("../data/signed/nsec.zone");
const NSEC3: &str = include_str!("../data/signed/nsec3.zone");
const OPTOUT: &str = include_str!("../data/signed/optout.zone");

/// The two nodes.
pub fn nodes() -> &'static [Served; 2] {
    static NODES: OnceLock<[Served; 2]> = OnceLock::new();
    NODES.get_or_init(|| {
        let cache = Arc::new(Cache::new(&Config::default()));
        let allow = vec!["127.0.0.0/8".parse().unwrap()];
        [
            served(&[EXAMPLE, ROOT, NSEC, NSEC3, OPTOUT], None),
            served(
                &[EXAMPLE, NSEC3],
                Some(Recursion { cache, allow, special_use: SpecialUse::default(), reach: Reach::default() }),
            ),
        ]
    })
}

/// When all of this happens.
pub fn now() -> Now {
    Now { mono: Mono(1_000_000), utc: Utc(1_700_000_000_000_000) }
}

fn served(texts: &[&str], recursion: Option<Recursion>) -> Served {
    let store = ZoneStore::new(1);
    texts.iter().for_each(|text| publish(&store, text));
    // One that is still to come from its primary.
    let access = Access { secondary: true, notify: vec!["127.0.0.1".parse().unwrap()], ..open() };
    store.configure(&"later.".parse::<Name>().unwrap(), access);
    let cookies = Arc::new(Secrets::new(Secret::new([7; 16]), Vec::new()));
    Served { store: Arc::new(store), recursion, nsid: Some(b"a".as_slice().into()), cookies }
}

/// Whoever asks from 127.0.0.0/8 may transfer.
fn open() -> Access {
    Access { transfer: vec!["127.0.0.0/8".parse().unwrap()], ..Access::default() }
}

fn publish(store: &ZoneStore, text: &str) {
    let mut none = |_: &str, _: &str| Err(String::new());
    let origin = read("zone", text.as_bytes(), None, &mut none, &mut |_| {}).origin.unwrap();
    let mut builder = Builder::new(origin.clone());
    let outcome = read("zone", text.as_bytes(), None, &mut none, &mut |entry| {
        builder.add(entry.owner, entry.rtype, entry.ttl, entry.rdata);
    });
    assert!(outcome.is_ok(), "{:?}", outcome.diagnostics);
    store.configure(&origin, open());
    let proposal = Proposal::file(builder.finish().unwrap().0, Policy::Increment);
    store.publish(now(), proposal, |_| Ok(())).unwrap();
}
