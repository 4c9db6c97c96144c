//! Answers from the cache, and the completion of those that had to be fetched.

use crate::resolve::cache::{Ask, Cache, Entry};
use crate::time::Now;
use crate::wire::message::{Request, flags};
use crate::wire::rtype::Rcode;
use crate::wire::writer::{Section, Sections, Writer};

use super::context::{Client, Outcome, Path, Served};
use super::edns::{Ede, Options};
use super::reply::{Form, leave};

/// CD comes back from caches (RFC 4035 3.2.2).
const FORM: Form = Form { copied: flags::CD, ..Form::ALONE };

pub(super) fn find(
    served: &Served,
    cache: &Cache,
    now: Now,
    request: &Request<'_>,
    from: Client,
    reply: &mut Vec<u8>,
) -> Outcome {
    let dnssec_ok = request.opt.is_some_and(|opt| opt.dnssec_ok);
    match cache.get(now.mono, request.name, request.rtype, dnssec_ok).filter(|entry| entry.is_fresh(now.mono))
    {
        Some(entry) => {
            leave(served, now, request, from, FORM, reply, |writer, options| {
                Some(write(now, &entry, writer, options))
            });
            Outcome::Reply(Path::Hit)
        }
        None if request.header.flags & flags::RD == 0 => {
            // Without RD nothing is fetched for the client (RFC 1034 4.3.1).
            leave(served, now, request, from, FORM, reply, |_, _| Some(Rcode::REFUSED));
            Outcome::Reply(Path::Zone)
        }
        None => Outcome::FollowUp(Ask { name: request.name.to_name(), rtype: request.rtype, dnssec_ok }),
    }
}

/// Writes the reply to a request that was handed on as [`Outcome::FollowUp`]: the entry found, or SERVFAIL.
pub fn complete(
    served: &Served,
    now: Now,
    bytes: &[u8],
    from: Client,
    entry: Option<&Entry>,
    reply: &mut Vec<u8>,
) {
    let Ok(request) = Request::read(bytes) else { return };
    leave(served, now, &request, from, FORM, reply, |writer, options| match entry {
        Some(entry) => Some(write(now, entry, writer, options)),
        None => {
            options.explain(Ede::NO_REACHABLE_AUTHORITY);
            Some(Rcode::SERVFAIL)
        }
    });
}

fn write(now: Now, entry: &Entry, writer: &mut Writer<'_>, options: &mut Options) -> Rcode {
    if entry.is_stale() {
        options.explain(if entry.rcode() == Rcode::NXDOMAIN {
            Ede::STALE_NXDOMAIN
        } else {
            Ede::STALE_ANSWER
        });
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
    use std::sync::Arc;

    use super::*;
    use crate::answer::context::Recursion;
    use crate::answer::respond::answer;
    use crate::publish::store::ZoneStore;
    use crate::resolve::cache::Config;
    use crate::wire::cookie::{Secret, Secrets};
    use crate::wire::message::Header;
    use crate::wire::name::Name;
    use crate::wire::rtype::{CLASS_IN, Rtype};
    use crate::wire::via::Via;
    use crate::wire::writer::Writer;

    fn cookies() -> Arc<Secrets> {
        Arc::new(Secrets::new(Secret::new([7; 16]), Vec::new()))
    }

    #[test]
    fn a_refusal_is_no_hit() {
        let cache = Arc::new(Cache::new(&Config::default()));
        let allow = vec!["127.0.0.0/8".parse().unwrap()];
        let recursion = Some(Recursion { cache, allow });
        let served = Served { store: Arc::new(ZoneStore::new(1)), recursion, nsid: None, cookies: cookies() };
        let from = Client { addr: "127.0.0.1:5000".parse().unwrap(), via: Via::Udp };
        let name: Name = "www.example.".parse().unwrap();
        let ask = |flags: u16| {
            let (mut request, mut reply) = (Vec::new(), Vec::new());
            let mut writer = Writer::new(&mut request, 512, 1, flags);
            writer.question(&name, Rtype::A, CLASS_IN).unwrap();
            writer.finish();
            (answer(&served, Now::default(), &request, from, &mut reply), reply)
        };
        let (outcome, reply) = ask(0);
        assert!(matches!(outcome, Outcome::Reply(Path::Zone)), "{outcome:?}");
        assert_eq!(Header::read(&reply).unwrap().flags & 0xf, Rcode::REFUSED.0);
        assert!(matches!(ask(flags::RD).0, Outcome::FollowUp(_)));
    }
}
