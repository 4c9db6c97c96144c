use super::*;
use crate::zone::rdata::write;

fn no_files(_: &str, _: &str) -> Result<(String, Vec<u8>), String> {
    Err("there is no such file".to_owned())
}

/// Reads `text` as `zone` below `origin` and returns its records in canonical form and its diagnostics.
fn records(text: &str, origin: &str) -> (Vec<String>, Vec<String>) {
    let origin: Option<Name> = (!origin.is_empty()).then(|| origin.parse().unwrap());
    let mut records = Vec::new();
    let outcome = read("zone", text.as_bytes(), origin.as_deref(), &mut no_files, &mut |entry| {
        let mut line = String::new();
        write::record(entry.owner, entry.ttl, entry.rtype, entry.rdata, &mut line);
        records.push(line);
    });
    (records, outcome.diagnostics.iter().map(Diagnostic::to_string).collect())
}

/// The records of a text without faults.
fn good(text: &str, origin: &str) -> Vec<String> {
    let (records, diagnostics) = records(text, origin);
    assert_eq!(diagnostics, [""; 0]);
    records
}

#[test]
fn isi_edu_of_rfc_1035() {
    let isi = "@   IN  SOA     VENERA      Action\\.domains (\n\
        \x20                                20     ; SERIAL\n\
        \x20                                7200   ; REFRESH\n\
        \x20                                600    ; RETRY\n\
        \x20                                3600000; EXPIRE\n\
        \x20                                60)    ; MINIMUM\n\n\
        \x20       NS      A.ISI.EDU.\n        NS      VENERA\n        NS      VAXA\n\
        \x20       MX      10      VENERA\n        MX      20      VAXA\n\n\
        A       A       26.3.0.103\n\nVENERA  A       10.1.0.52\n        A       128.9.0.32\n\n\
        VAXA    A       10.2.0.27\n        A       128.9.0.33\n\n\n\
        $INCLUDE <SUBSYS>ISI-MAILBOXES.TXT\n";
    let mailboxes = b"MOE     MB      A.ISI.EDU.\nLARRY   MB      A.ISI.EDU.\nCURLEY  MB      A.ISI.EDU.\n\
        STOOGES MG      MOE\n        MG      LARRY\n        MG      CURLEY\n";
    let origin: Name = "ISI.EDU.".parse().unwrap();
    let mut lines = Vec::new();
    let outcome = read(
        "isi",
        isi.as_bytes(),
        Some(&origin),
        &mut |path, from| {
            assert_eq!((path, from), ("<SUBSYS>ISI-MAILBOXES.TXT", "isi"));
            Ok(("mailboxes".to_owned(), mailboxes.to_vec()))
        },
        &mut |entry| {
            let mut line = String::new();
            write::record(entry.owner, entry.ttl, entry.rtype, entry.rdata, &mut line);
            lines.push((entry.at.file, entry.at.line, line));
        },
    );
    assert_eq!(outcome.diagnostics, []);
    assert_eq!(outcome.origin, Some(origin));
    assert_eq!(outcome.files, ["isi", "mailboxes"]);
    assert_eq!(
        lines[0],
        (
            0,
            1,
            "ISI.EDU. 60 IN SOA VENERA.ISI.EDU. Action\\.domains.ISI.EDU. 20 7200 600 3600000 60".to_owned()
        )
    );
    assert_eq!(lines[4], (0, 11, "ISI.EDU. 60 IN MX 10 VENERA.ISI.EDU.".to_owned()));
    assert_eq!(lines[8], (0, 17, "VENERA.ISI.EDU. 60 IN A 128.9.0.32".to_owned()));
    assert_eq!(lines[16], (1, 6, "STOOGES.ISI.EDU. 60 IN MG CURLEY.ISI.EDU.".to_owned()));
    assert_eq!(lines.len(), 17);
}

#[test]
fn root_zones() {
    for version in ["2018021202", "2018021601", "2018021700"] {
        let path = format!("{}/tests/data/root-zone/{version}.zone", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read(path).unwrap();
        let mut printed = String::new();
        let outcome = read("root", &text, None, &mut no_files, &mut |entry| {
            write::record(entry.owner, entry.ttl, entry.rtype, entry.rdata, &mut printed);
            printed.push('\n');
        });
        assert_eq!(outcome.diagnostics, []);
        assert_eq!(outcome.origin, Some(Name::root()));
        let fields = |text: &str| -> Vec<Vec<String>> {
            text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
        };
        assert!(
            fields(&printed) == fields(std::str::from_utf8(&text).unwrap()),
            "{version} differs when printed"
        );
    }
}

#[test]
fn directives_and_defaults() {
    let text = "$ORIGIN example.\r\n$TTL 1h30m\r\n@ SOA ns hostmaster 1 2h 30M 1w 0\r\n\
        a 60 IN A 192.0.2.1 ; comment\r\n  IN 61 AAAA ::1\r\n  TXT \"; not a comment\" a\\ b \\\"\\065\r\n\
        $ORIGIN sub ; relative\r\n@ NS a.example.\r\n\\$x CLASS1 A 192.0.2.2";
    assert_eq!(
        good(text, ""),
        [
            "example. 5400 IN SOA ns.example. hostmaster.example. 1 7200 1800 604800 0",
            "a.example. 60 IN A 192.0.2.1",
            "a.example. 61 IN AAAA ::1",
            "a.example. 5400 IN TXT \"; not a comment\" \"a b\" \"\\\"A\"",
            "sub.example. 5400 IN NS a.example.",
            "\\$x.sub.example. 5400 IN A 192.0.2.2",
        ]
    );
    // Without $TTL the last stated TTL holds (RFC 1035 5.1).
    assert_eq!(
        good("a 7 A 192.0.2.1\nb A 192.0.2.2\n", "x."),
        ["a.x. 7 IN A 192.0.2.1", "b.x. 7 IN A 192.0.2.2"]
    );
}

#[test]
fn generated_records() {
    assert_eq!(
        good("$TTL 1\n$GENERATE 1-3/2 h${0,2} 60 IN A 192.0.2.$\n$GENERATE 1-1 $ CNAME $.${-1}\n", "x."),
        ["h01.x. 60 IN A 192.0.2.1", "h03.x. 60 IN A 192.0.2.3", "1.x. 1 IN CNAME 1.0.x."]
    );
    assert_eq!(
        good("$TTL 1\n$GENERATE 7-7 m MX \"10 mail$\"\n$GENERATE 7-7 t TXT \"a $\" b$$\n", "x."),
        ["m.x. 1 IN MX 10 mail7.x.", "t.x. 1 IN TXT \"a 7\" \"b$\""]
    );
}
