//! DNS over TLS (RFC 7858): clients that speak it, padding (RFC 7830), transfers (RFC 9103), renewed certificates, and clients
//! that do not speak it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tempfile::TempDir;

use support::await_until::await_until;
use support::raw::{connect, framed, header, option, query_with};
use support::tidemark::{self, Tidemark};
use support::zones::{self, Zone};
use support::{bind, dig, ports};

const LIMIT: Duration = Duration::from_secs(20);
/// The name that the certificate is for.
const NAME: &str = "dns.example";
/// Padding (RFC 7830).
const PADDING: u16 = 12;
/// The TXT records at big.example., 45 kilobytes in all; BIND takes no more than a hundred of a type.
const BIG: usize = 90;

/// A node that listens for TLS, with a certificate made for it.
struct Site {
    node: Tidemark,
    tls: SocketAddr,
    folder: TempDir,
}

impl Site {
    fn start(more: &str) -> Site {
        let folder = tempfile::tempdir().unwrap();
        renew(&folder);
        let big: Vec<String> =
            (0..BIG).map(|number| format!("big TXT \"{number:0250}\" \"{number:0250}\"")).collect();
        let records =
            ["www A 192.0.2.1"].into_iter().chain(big.iter().map(String::as_str)).collect::<Vec<_>>();
        let zone = Zone::primary("example.", zones::text("example.", 1, &records));
        let [addr, tls] = ports::reserve_many();
        let keys = format!(
            "workers = 1\n[server.tls]\nlisten = [\"{tls}\"]\ncertificate = \"{0}/dns.crt\"\nkey = \"{0}/dns.key\"\n{more}",
            folder.path().display()
        );
        Site { node: tidemark::start_as(addr, &[zone], &keys, ""), tls, folder }
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("dns.crt")
    }

    /// A connection of a client that trusts the certificate of now.
    fn connect(
        &self,
        version: &'static SupportedProtocolVersion,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        self.connect_trusting(&fs::read(self.certificate()).unwrap(), version)
    }

    fn connect_trusting(
        &self,
        certificate: &[u8],
        version: &'static SupportedProtocolVersion,
    ) -> StreamOwned<ClientConnection, TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificate).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let tls = ClientConnection::new(Arc::new(config), ServerName::try_from(NAME).unwrap()).unwrap();
        StreamOwned::new(tls, connect(self.tls))
    }

    fn queries(&self) -> f64 {
        let labels = [("transport", "tls"), ("family", "ipv4")];
        self.node.metric("tidemark_queries_total", &labels).unwrap()
    }
}

/// Puts a new certificate and its key into the folder.
fn renew(folder: &TempDir) {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
    fs::write(folder.path().join("dns.key"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.path().join("dns.crt"), made.cert.pem()).unwrap();
}

/// A query for `name` with this id and these EDNS options.
fn query(id: u16, name: &[u8], rtype: u16, options: &[u8]) -> Vec<u8> {
    let question = [name, &rtype.to_be_bytes(), &[0, 1]].concat();
    let bare = query_with(options);
    // Behind the header and the question of the query that everybody asks stands the OPT record.
    let opt = support::raw::opt(0, 0, options);
    assert!(bare.ends_with(&opt));
    let mut message = [&header(0, [1, 0, 0, 1])[..], &question, &opt].concat();
    message[..2].copy_from_slice(&id.to_be_bytes());
    message
}

const WWW: &[u8] = b"\x03www\x07example\0";
const BIG_NAME: &[u8] = b"\x03big\x07example\0";
const A: u16 = 1;
const TXT: u16 = 16;

fn read_reply(stream: &mut impl Read) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut reply).unwrap();
    reply
}

fn ask(stream: &mut (impl Read + Write), id: u16) {
    stream.write_all(&framed(&query(id, WWW, A, &[]))).unwrap();
    let reply = read_reply(stream);
    assert_eq!((&reply[..2], reply[3] & 0xf, reply[7]), (&id.to_be_bytes()[..], 0, 1));
}

#[test]
fn dig_and_kdig_get_padded_answers() {
    let site = Site::start("");
    let ca = format!("+tls-ca={}", site.certificate().display());
    let host = format!("+tls-hostname={NAME}");
    let asked = ["www.example.", "A", &ca, &host, "+padding=128"];
    let by_kdig = dig::kdig(site.tls, &asked);
    assert!(by_kdig.contains("192.0.2.1") && by_kdig.contains("PADDING: "), "{by_kdig}");
    assert!(by_kdig.contains("Received 468 B"), "{by_kdig}");
    let by_dig = dig::dig(site.tls, &asked);
    assert!(by_dig.contains("192.0.2.1") && by_dig.contains("PAD: "), "{by_dig}");
    assert!(by_dig.contains("MSG SIZE  rcvd: 468"), "{by_dig}");
    let unasked = dig::kdig(site.tls, &["www.example.", "A", &ca, &host, "+nopadding"]);
    assert!(unasked.contains("192.0.2.1") && !unasked.contains("PADDING: "), "{unasked}");
    let in_clear = dig::dig(site.node.daemon.addr, &["www.example.", "A", "+tcp", "+padding=128"]);
    assert!(in_clear.contains("192.0.2.1") && !in_clear.contains("PAD: "), "{in_clear}");
    assert_eq!(site.queries(), 3.0);
}

#[test]
fn a_zone_is_transferred_to_dig_and_to_bind() {
    let site = Site::start("");
    let ca = format!("+tls-ca={}", site.certificate().display());
    let asked = ["example.", "AXFR", &ca, &format!("+tls-hostname={NAME}"), "+noall", "+answer", "+nosplit"];
    let lines: std::collections::BTreeSet<String> =
        dig::dig(site.tls, &asked).lines().filter_map(dig::normal).collect();
    let whole = dig::axfr(site.node.daemon.addr, "example.");
    assert_eq!(lines, whole);

    let blocks = format!(
        r#"tls strict {{ ca-file "{}"; remote-hostname "{NAME}"; }};
zone "example." {{ type secondary; file "example.zone"; primaries {{ {} port {} tls strict; }}; }};
"#,
        site.certificate().display(),
        site.tls.ip(),
        site.tls.port()
    );
    let secondary = bind::start_as(ports::reserve(), &[], "minimal-responses yes;", &blocks);
    await_until("BIND to have the zone", LIMIT, || dig::soa_serial(secondary.addr, "example.") == Some(1));
    assert_eq!(dig::axfr(secondary.addr, "example."), whole);
}

#[test]
fn many_questions_and_long_answers_fit_one_connection() {
    let site = Site::start("");
    for version in [&TLS12, &TLS13] {
        let mut client = site.connect(version);
        let questions: Vec<u8> = (0..1_000).flat_map(|id| framed(&query(id, WWW, A, &[]))).collect();
        client.write_all(&questions).unwrap();
        for id in 0..1_000_u16 {
            assert_eq!(read_reply(&mut client)[..2], id.to_be_bytes());
        }
        // More than the client, the server and what is between them have room for: the server has to wait.
        let long: Vec<u8> =
            (0..200).flat_map(|id| framed(&query(id, BIG_NAME, TXT, &option(PADDING, b"")))).collect();
        client.write_all(&long).unwrap();
        for id in 0..200_u16 {
            let reply = read_reply(&mut client);
            assert_eq!(reply[..2], id.to_be_bytes());
            assert_eq!(usize::from(u16::from_be_bytes([reply[6], reply[7]])), BIG);
            assert_eq!(reply.len() % 468, 0, "{}", reply.len());
        }
        client.conn.send_close_notify();
        client.flush().unwrap();
        assert_eq!(client.read(&mut [0; 1]).unwrap(), 0, "closed with a word (RFC 8446 6.1)");
    }
}

#[test]
fn a_renewed_certificate_is_shown_after_a_reload() {
    let mut site = Site::start("");
    let old = fs::read(site.certificate()).unwrap();
    let mut before = site.connect(&TLS13);
    ask(&mut before, 1);
    renew(&site.folder);
    let is_shown = |site: &Site, certificate: &[u8]| {
        let mut client = site.connect_trusting(certificate, &TLS13);
        client.write_all(&framed(&query(1, WWW, A, &[]))).is_ok() && client.read_exact(&mut [0; 2]).is_ok()
    };
    assert!(is_shown(&site, &old));
    site.node.daemon.process().signal(libc::SIGHUP);
    let new = fs::read(site.certificate()).unwrap();
    await_until("the new certificate", LIMIT, || is_shown(&site, &new));
    assert!(!is_shown(&site, &old));
    ask(&mut before, 2);

    // A certificate that is not whole leaves the one in force.
    fs::write(site.certificate(), &new[..300]).unwrap();
    site.node.daemon.process().signal(libc::SIGHUP);
    await_until("word of the broken one", LIMIT, || {
        site.node.daemon.log().contains("certificate is not whole")
    });
    assert!(is_shown(&site, &new));
}

#[test]
fn who_speaks_no_tls_keeps_nobody_waiting() {
    let site = Site::start("");
    let plain = framed(&query(7, WWW, A, &[]));
    let garbage: Vec<u8> = (0..64_u32 << 10).map(|number| ((number * 31) >> 3) as u8).collect();
    // A record of a handshake that is said to be longer than any may be (RFC 8446 5.1).
    let overlong = [&[22, 3, 1, 0xff, 0xff][..], &[0; 4_096]].concat();
    let mut silent: Vec<TcpStream> = (0..100).map(|_| connect(site.tls)).collect();
    for stream in &mut silent[50..] {
        // The start of a handshake, and no more.
        stream.write_all(&[22, 3, 1, 2, 0, 1]).unwrap();
    }
    for bytes in [&plain, &garbage, &overlong] {
        let mut stream = connect(site.tls);
        // The server may have closed before everything is sent.
        let _ = stream.write_all(bytes);
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        // An alert at most (RFC 8446 6), and no answer.
        assert!(said.is_empty() || said[0] == 21, "{said:?}");
    }
    let mut client = site.connect(&TLS13);
    (0..200).for_each(|id| ask(&mut client, id));
    assert_eq!(site.queries(), 200.0);
    drop(silent);
    // A client of TLS gets no answer where none is spoken.
    let mut wrong = site.connect(&TLS13);
    wrong.sock = connect(site.node.daemon.addr);
    assert!(wrong.write_all(&plain).and_then(|()| wrong.read_exact(&mut [0; 1])).is_err());
}
