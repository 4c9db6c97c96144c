//! Answers from the cache.

use std::sync::Arc;

use crate::resolve::cache::{Ask, AskFlags, Entry};
use crate::time::Now;
use crate::wire::message::{Request, flags};
use crate::wire::rtype::Rcode;
use crate::wire::writer::{Section, Sections, Writer};

use super::authoritative;
use super::context::{Client, Outcome, Path, Recursion, Served};
use super::edns::{Ede, Options};
use super::elsewhere::{self, Elsewhere, Fetched};
use super::reply::{Form, leave};

/// CD comes back from caches (RFC 4035 3.2.2).
const FORM: Form = Form { copied: flags::CD, ..Form::ALONE };

pub(super) fn find(
    served: &Served,
    recursion: &Recursion,
    now: Now,
    request: &Request<'_>,
    from: Client,
    fetched: &[Fetched],
    reply: &mut Vec<u8>,
) -> Outcome {
    if let Some(kept) = recursion.special_use.answer(request.name, request.rtype) {
        leave(served, now, request, from, FORM, reply, |writer, _| {
            let (rcode, written) = elsewhere::write_kept(&kept, request.name, request.rtype, writer);
            if written.is_err() {
                writer.set_flags(flags::TC);
            }
            Some(rcode)
        });
        return Outcome::Reply(Path::Zone);
    }
    let asked = AskFlags::of(request.header.flags, request.opt.is_some_and(|opt| opt.dnssec_ok));
    match elsewhere::known(recursion, now.mono, fetched, request.name, request.rtype, asked) {
        Some(entry) => {
            let mut missing = None;
            leave(served, now, request, from, FORM, reply, |writer, options| {
                if entry.rest().is_none() {
                    return Some(write(now, &entry, writer, options));
                }
                let elsewhere = Elsewhere::open_to(served, now.mono, request, from, fetched);
                let (entry, elsewhere) = (Arc::clone(&entry), elsewhere.as_ref());
                let answer = authoritative::from_entry(served, request, entry, elsewhere, writer, options);
                answer.map_err(|ask| missing = Some(ask)).ok()
            });
            missing.map_or(Outcome::Reply(Path::Hit), |ask| Outcome::FollowUp(*ask))
        }
        None if request.header.flags & flags::RD == 0 => {
            // Without RD nothing is fetched for the client (RFC 1034 4.3.1).
            leave(served, now, request, from, FORM, reply, |_, _| Some(Rcode::REFUSED));
            Outcome::Reply(Path::Zone)
        }
        None => Outcome::FollowUp(Ask { name: request.name.to_name(), rtype: request.rtype, flags: asked }),
    }
}

/// Writes the reply to a request that was handed on as [`Outcome::FollowUp`] and turned away.
pub fn turn_away(served: &Served, now: Now, bytes: &[u8], from: Client, reply: &mut Vec<u8>) {
    let Ok(request) = Request::read(bytes) else { return };
    leave(served, now, &request, from, FORM, reply, |_, options| {
        options.explain(Ede::NO_REACHABLE_AUTHORITY);
        Some(Rcode::SERVFAIL)
    });
}

fn write(now: Now, entry: &Entry, writer: &mut Writer<'_>, options: &mut Options) -> Rcode {
    if entry.is_stale() {
        options.explain(Ede::of_stale(entry.rcode()));
    } else if entry.rcode() == Rcode::SERVFAIL {
        options.explain(Ede::NO_REACHABLE_AUTHORITY);
    }
    let mark = writer.mark();
    if entry.write(now.mono, writer).is_err() {
        // What is cut is sent empty, with nothing broken in half (RFC 2181 9): the client comes back by TCP.
        writer.rewind(mark);
        writer.set_flags(flags::TC);
        debug_assert_eq!(writer.count(Section::Answer), 0);
    }
    entry.rcode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::respond::answer;
    use crate::publish::store::ZoneStore;
    use crate::resolve::cache::{Cache, Config};
    use crate::resolve::settings::Reach;
    use crate::resolve::special_use::{self, SpecialUse};
    use crate::wire::cookie::{Secret, Secrets};
    use crate::wire::message::{Header, Message};
    use crate::wire::name::Name;
    use crate::wire::rtype::{CLASS_IN, Rtype};
    use crate::wire::via::Via;
    use crate::wire::writer::Writer;

    fn cookies() -> Arc<Secrets> {
        Arc::new(Secrets::new(Secret::new([7; 16]), Vec::new()))
    }

    /// What a cache that knows nothing makes of a question.
    fn ask(name: &str, rtype: Rtype, flags: u16, from: [u8; 4]) -> (Outcome, Vec<u8>) {
        let recursion = Recursion {
            cache: Arc::new(Cache::new(&Config::default())),
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            special_use: SpecialUse::default(),
            reach: Reach::default(),
        };
        let store = Arc::new(ZoneStore::new(1));
        let served = Served { store, recursion: Some(recursion), nsid: None, cookies: cookies() };
        let from = Client { addr: (from, 5000).into(), via: Via::Udp };
        let (mut request, mut reply) = (Vec::new(), Vec::new());
        let mut writer = Writer::new(&mut request, 512, 1, flags);
        writer.question(&name.parse::<Name>().unwrap(), rtype, CLASS_IN).unwrap();
        writer.finish();
        (answer(&served, Now::default(), &request, from, &mut reply), reply)
    }

    const LOCAL: [u8; 4] = [127, 0, 0, 1];

    #[test]
    fn a_refusal_is_no_hit() {
        let (outcome, reply) = ask("www.example.", Rtype::A, 0, LOCAL);
        assert!(matches!(outcome, Outcome::Reply(Path::Zone)), "{outcome:?}");
        assert_eq!(Header::read(&reply).unwrap().flags & 0xf, Rcode::REFUSED.0);
        assert!(matches!(ask("www.example.", Rtype::A, flags::RD, LOCAL).0, Outcome::FollowUp(_)));
    }

    #[test]
    fn special_use_names_are_asked_for_nowhere() {
        let read = |name, rtype, from| {
            let (outcome, reply) = ask(name, rtype, flags::RD, from);
            assert!(matches!(outcome, Outcome::Reply(Path::Zone)), "{outcome:?}");
            Message::read(&reply).unwrap()
        };
        let own = read("x.localhost.", Rtype::A, LOCAL);
        assert_eq!((own.rcode(), own.answer.len(), own.authority.len()), (Rcode::NOERROR, 1, 0));
        assert_eq!((&own.answer[0].rdata[..], own.answer[0].ttl), (&LOCAL[..], special_use::TTL));
        let none = read("x.onion.", Rtype::A, LOCAL);
        assert_eq!((none.rcode(), none.answer.len(), none.authority.len()), (Rcode::NXDOMAIN, 0, 1));
        assert_eq!(
            (none.authority[0].rtype, none.authority[0].owner.to_string()),
            (Rtype::SOA, "onion.".into())
        );
        let undesignated = read("_dns.resolver.arpa.", Rtype::SVCB, LOCAL);
        assert_eq!((undesignated.rcode(), undesignated.answer.len()), (Rcode::NOERROR, 0));
        assert_eq!(read("localhost.", Rtype::A, [192, 0, 2, 1]).rcode(), Rcode::REFUSED, "who may not ask");
    }
}
