//! What the configuration names and has to be read besides: folders of zones, a certificate with its key, cookie secrets.

use super::*;
use crate::server::tls::Identity;

#[test]
fn tls_takes_a_certificate_and_its_key() {
    let site = Site::new();
    site.put_certificate("dns");
    site.put_certificate("other");
    let text = fs::read(site.path("dns.crt")).unwrap();
    fs::write(site.path("cut.crt"), &text[..200]).unwrap();
    let load = |keys: &str| site.load(format!("{SERVER}[server.tls]\n{keys}"));
    let at = "listen = [\"127.0.0.1:853\"]\n";
    let settings = load(&format!("{at}certificate = \"dns.crt\"\nkey = \"dns.key\"")).unwrap();
    let tls = settings.server.tls.unwrap();
    assert_eq!(tls.listen, ["127.0.0.1:853".parse().unwrap()]);
    let files = [site.path("dns.crt"), site.path("dns.key")];
    assert_eq!(tls.identity, Some(Identity::read(&files[0], &files[1]).unwrap()));
    assert_eq!(settings.sources, [Source::Identity(files)]);
    for (keys, fault) in [
        ("certificate = \"dns.crt\"\nkey = \"dns.key\"".to_owned(), "listen"),
        (at.to_owned(), "TLS takes a certificate and its key"),
        (
            format!("{at}certificate = \"dns.crt\"\nkey = \"other.key\""),
            "the private key does not match the certificate",
        ),
        (format!("{at}certificate = \"dns.key\"\nkey = \"dns.key\""), "there is no certificate in PEM form"),
        (format!("{at}certificate = \"cut.crt\"\nkey = \"dns.key\""), "the certificate is not whole"),
        (format!("{at}certificate = \"dns.crt\"\nkey = \"dns.crt\""), "there is no private key in PEM form"),
        (format!("{at}certificate = \"none\"\nkey = \"dns.key\""), "cannot read the certificate"),
        (format!("{at}certificate = \"zones\"\nkey = \"dns.key\""), "it is a folder"),
        (
            "listen = [\"127.0.0.1:53\"]\ncertificate = \"dns.crt\"\nkey = \"dns.key\"".to_owned(),
            "already answers without TLS",
        ),
        (format!("{at}certficate = \"dns.crt\""), "certificate"),
    ] {
        let error = load(&keys).unwrap_err().to_string();
        assert!(error.contains(fault), "{keys}: {error}");
    }
}

#[test]
fn a_start_does_without_what_a_check_asks_for() {
    let site = Site::new();
    let tls = "[server.tls]\nlisten = [\"127.0.0.1:853\"]\ncertificate = \"none\"\nkey = \"none\"\n";
    let text = format!("{SERVER}cookie-secret-file = \"none\"\n{tls}[[zone-dir]]\npath = \"missing\"\n");
    assert_eq!(site.load_all(&text).unwrap_err().count(), 3);
    let start = || load::load_to_start(&site.path("tidemark.toml"));
    let settings = start().unwrap();
    assert_eq!((settings.unread.len(), settings.zone_dirs.len()), (3, 1));
    assert!(settings.unread.iter().map(|unread| &unread.source).eq(&settings.sources));
    assert!(settings.server.cookies.is_none() && settings.server.tls.unwrap().identity.is_none());
    site.load_all(format!("{text}notfy = []\n")).unwrap_err();
    assert_eq!(start().unwrap_err().count(), 1);
}

#[test]
fn the_key_that_names_the_file_at_fault_is_shown() {
    let site = Site::new();
    site.put_certificate("dns");
    let tls = "[server.tls]\nlisten = [\"127.0.0.1:853\"]\n";
    for (keys, line) in [
        ("cookie-secret-file = \"none\"\n".to_owned(), 3),
        (format!("{tls}certificate = \"none\"\nkey = \"dns.key\"\n"), 5),
        (format!("{tls}certificate = \"dns.crt\"\nkey = \"none\"\n"), 6),
    ] {
        let error = site.load(format!("{SERVER}{keys}")).unwrap_err();
        assert_eq!(error.place().map(|(at, _)| at), Some(line), "{error}");
    }
}
