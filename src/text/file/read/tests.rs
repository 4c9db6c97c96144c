use super::*;
use crate::text::rdata::write;

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

/// What is wrong, below origin `x.`, with a TTL known: `line:column: severity: message`.
const BAD: &[(&str, &[&str])] = &[
    ("a AAA 1", &["1:3: error: `AAA` is no record type (expected `A` or `AAAA`)"]),
    (
        "a 192.0.2.1",
        &["1:3: error: no record type stands before `192.0.2.1` (expected `A` before the address)"],
    ),
    ("a", &["1:2: error: the record ends too early (expected a record type such as `A` or `MX`)"]),
    (
        "a A 192.0.2.256",
        &["1:5: error: found `192.0.2.256` in the A record (expected an IPv4 address such as 192.0.2.1)"],
    ),
    (
        "a A 192.0.2.1 x",
        &["1:15: error: `x` is left over behind the A record (expected the end of the line)"],
    ),
    (
        "a MX mail",
        &["1:6: error: found `mail` in the MX record (expected preference: a number from 0 to 65535)"],
    ),
    ("a MX 10", &["1:8: error: the MX record ends too early (expected mail server: a domain name)"]),
    ("a CH A 1.2.3.4", &["1:3: error: zones of class CH are not served (expected class IN, or none)"]),
    ("a IN IN A 1.2.3.4", &["1:6: error: the class is given twice (expected a record type)"]),
    (
        "a 2147483648 A 1.2.3.4",
        &[
            "1:3: warning: the TTL 2147483648 is larger than 2147483647 and so means 0 (RFC 2181 section 8) (expected a TTL of at most 2147483647 seconds)",
        ],
    ),
    ("a 1x A 1.2.3.4", &["1:3: error: found `1x` (expected a TTL such as 3600 or 1h30m, or a record type)"]),
    (
        "a AXFR",
        &["1:3: error: AXFR is a type for messages and cannot stand in a zone (expected a type of data)"],
    ),
    ("a..b A 1.2.3.4", &["1:1: error: `a..b` has an empty label (expected a label between dots)"]),
    (
        "\\256 A 1.2.3.4",
        &["1:1: error: `\\256`: bad escape: `\\` takes three digits up to 255 or one other character"],
    ),
    ("\"a\" A 1.2.3.4", &["1:1: error: found the quoted string \"a\" (expected a domain name)"]),
    (
        "a TXT \"b\nb A 1",
        &[
            "1:7: error: the string is never closed (expected a closing `\"`)",
            "2:5: error: found `1` in the A record (expected an IPv4 address such as 192.0.2.1)",
        ],
    ),
    ("é TXT \"é", &["1:7: error: the string is never closed (expected a closing `\"`)"]),
    (
        "a A ( 192.0.2.1\n  ; c\nb A 192.0.2.1\nc A 1",
        &[
            "1:5: error: the parenthesis is never closed (expected a `)` at the end of the record)",
            "4:5: error: found `1` in the A record (expected an IPv4 address such as 192.0.2.1)",
        ],
    ),
    (
        "a TXT ( b\n  c\nb A 1",
        &[
            "1:7: error: the parenthesis is never closed (expected a `)` at the end of the record)",
            "3:5: error: found `1` in the A record (expected an IPv4 address such as 192.0.2.1)",
        ],
    ),
    ("a A 192.0.2.1 )", &["1:15: error: `)` without a `(` before it"]),
    (
        "a TXT (((((((((((((((((a",
        &[
            "1:23: error: more than 16 parentheses inside each other",
            "1:7: error: the parenthesis is never closed (expected a `)` at the end of the record)",
        ],
    ),
    (
        " A 192.0.2.1",
        &[
            "1:2: error: the line begins with a blank, but there is no owner before it to repeat (expected an owner name at the start of the line)",
        ],
    ),
    (
        "a..b A 192.0.2.1\n A 192.0.2.2",
        &["1:1: error: `a..b` has an empty label (expected a label between dots)"],
    ),
    ("$ORIGN b.", &["1:1: error: `$ORIGN` is no directive (expected `$ORIGIN`)"]),
    ("$TTL", &["1:5: error: the record ends too early (expected a TTL such as 3600 or 1h)"]),
    ("$INCLUDE nowhere", &["1:10: error: cannot include `nowhere`: there is no such file"]),
    (
        "$GENERATE 5-1 a A 192.0.2.$",
        &["1:11: error: the range holds no number (expected a range such as `1-100` or `0-254/2`)"],
    ),
    (
        "$GENERATE 1-300 a$ A 192.0.2.$",
        &[
            "1:1: error: found `192.0.2.256` in the A record: `a256 A 192.0.2.256`, made for 256 (expected an IPv4 address such as 192.0.2.1)",
        ],
    ),
    (
        "a A 192.0.2.1\r junk",
        &["1:14: error: a carriage return within the line (expected lines that end in LF or CRLF)"],
    ),
    ("a TXT a\0b", &["1:8: error: a NUL byte; the file is no text, or is damaged"]),
    ("a TXT \"a", &["1:7: error: the string is never closed (expected a closing `\"`)"]),
    (
        "a TXT \"a\nb\"",
        &[
            "1:1: warning: a string of this record goes on over the end of its line (expected a `\"` on the same line)",
        ],
    ),
    ("a MD b", &["1:3: error: MD is obsolete (expected an MX record (RFC 1035 3.3.9))"]),
    (
        "a TYPE0 \\# 0",
        &["1:3: error: TYPE0 is a type for messages and cannot stand in a zone (expected a type of data)"],
    ),
    (
        "a DS 1 8 2 00",
        &[
            "1:14: error: the data of the DS record has a wrong length or form (expected a SHA-256 digest of 64 digits (RFC 4509 2.2))",
        ],
    ),
    (
        "a URI 1 1 ftp://a",
        &["1:11: error: found `ftp://a` in the URI record (expected target: the URI in quotes)"],
    ),
    (
        "$GENERATE 0-1048576 a$ A 192.0.2.$",
        &["1:11: error: `$GENERATE` makes more than 1048576 records in this zone"],
    ),
    (
        "$GENERATE 0-1 a${1 A 192.0.2.$",
        &[
            "1:15: error: found `a${1` (expected `${offset,width,base}` with base d, o, x, X, n or N and width up to 63)",
        ],
    ),
    ("a A \\# 4 c00002", &["1:10: error: the data has 3 bytes, not 4 (expected 8 hexadecimal digits)"]),
    ("a A \\# 3 c00002", &["1:5: error: these bytes are no A record: RDATA ends too early"]),
    (
        "a TYPE65280 1",
        &[
            "1:13: error: found `1` in the TYPE65280 record (expected `\\#`, a length and hexadecimal digits (RFC 3597))",
        ],
    ),
    (
        "a DS 1 8 1 abc",
        &["1:12: error: an odd number of hexadecimal digits (expected digest: pairs of hexadecimal digits)"],
    ),
    (
        "a DNSKEY 256 3 8 AwE",
        &["1:18: error: the base 64 is cut short or badly padded (expected public key: whole base 64)"],
    ),
    ("a HTTPS 1 . mandatory=port", &["1:13: error: `mandatory` names a key that is not given"]),
    ("a HTTPS 1 . port=1 port=2", &["1:20: error: `port` is given twice"]),
    (
        "a HTTPS 1 . prot=1",
        &[
            "1:13: error: `prot` is not a service parameter (expected parameters: a parameter such as `alpn=h2`, `port=8443` or `key65000=value`)",
        ],
    ),
    (
        "a CAA 0 is-sue ca",
        &[
            "1:9: error: found `is-sue` in the CAA record (expected tag: a property tag such as `issue` or `iodef`)",
        ],
    ),
    ("a LOC 91 N 0 E 0m", &["1:7: error: the latitude is more than 90 degrees"]),
    (
        "www.x A 192.0.2.1",
        &[
            "1:1: warning: this name ends in the zone's name twice (expected a final dot behind it, if it is complete)",
        ],
    ),
    (
        "w MX 1 mail@example.com",
        &[
            "1:8: warning: the name `mail@example.com` of this MX record has an `@` in it, which stands for the origin only where it is alone (expected `mail.example.com.`)",
        ],
    ),
    (
        "www@ A 192.0.2.1",
        &[
            "1:1: warning: the owner `www@` of this A record has an `@` in it, which stands for the origin only where it is alone (expected `www`)",
        ],
    ),
    (
        "w MX 1 mail.X",
        &[
            "1:8: warning: this name ends in the zone's name twice (expected a final dot behind it, if it is complete)",
        ],
    ),
];

#[test]
fn bad_input_is_told_with_its_place() {
    for &(text, expected) in BAD {
        let mut outcome =
            read("zone", text.as_bytes(), Some(&"x.".parse::<Name>().unwrap()), &mut no_files, &mut |_| {});
        if !text.contains("TTL") {
            let with_ttl = format!("$TTL 1\n{text}");
            outcome = read(
                "zone",
                with_ttl.as_bytes(),
                Some(&"x.".parse::<Name>().unwrap()),
                &mut no_files,
                &mut |_| {},
            );
            outcome.diagnostics.iter_mut().for_each(|diagnostic| diagnostic.line -= 1);
        }
        let found: Vec<String> = outcome
            .diagnostics
            .iter()
            .map(|diagnostic| diagnostic.to_string().trim_start_matches("zone:").to_owned())
            .collect();
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(
        records("\u{feff}$TTL 1\n", "").1,
        [
            "zone:1:1: error: the file begins with a byte order mark, which no name server takes (expected a file without it)"
        ]
    );
    assert_eq!(
        records("a A 192.0.2.1\n", "").1,
        [
            "zone:1:1: error: `a` is relative, but no origin is known (expected a name with a final dot, or `$ORIGIN` on a line before)"
        ]
    );
    assert_eq!(
        records("a A 192.0.2.1\n", "x.").1,
        [
            "zone:1:1: error: no TTL is known for this record (expected a TTL before the type, or a `$TTL` line above)"
        ]
    );
}

#[test]
fn errors_are_limited_and_good_records_still_come() {
    let (records, diagnostics) = records(&"a 1 A x\nb 1 A 192.0.2.1\n".repeat(50), "x.");
    assert_eq!(diagnostics.len(), MAX_ERRORS);
    assert!(diagnostics[MAX_ERRORS - 1].contains("reading stopped after 20 errors"));
    assert_eq!(records.len(), MAX_ERRORS - 1);
}

#[test]
fn inclusions_are_limited() {
    let faults = |include: &mut Include<'_>| {
        let outcome = read("top", b"$INCLUDE next\n", None, include, &mut |_| {});
        outcome.diagnostics.iter().map(Diagnostic::to_string).collect::<Vec<_>>()
    };
    let itself = faults(&mut |_, _| Ok(("top".to_owned(), Vec::new())));
    assert_eq!(itself, ["top:1:10: error: `top` includes itself"]);
    let mut depth = 0;
    let deep = faults(&mut |_, _| {
        depth += 1;
        Ok((format!("file{depth}"), b"$INCLUDE next\n".to_vec()))
    });
    assert_eq!(deep, ["file16:1:10: error: files include each other more than 16 deep"]);
    let mut count = 0;
    let wide = faults(&mut |_, _| {
        count += 1;
        let more = if count == 1 { "$INCLUDE next\n".repeat(2_000) } else { String::new() };
        Ok((format!("file{count}"), more.into_bytes()))
    });
    assert_eq!(wide.len(), MAX_ERRORS);
    assert_eq!(wide[0], "file1:1000:10: error: more than 1000 files are included");
}

#[test]
fn an_included_file_leaves_origin_and_owner_alone() {
    let mut owners = Vec::new();
    let outcome = read(
        "top",
        b"$TTL 1\na A 192.0.2.1\n$INCLUDE f sub\n A 192.0.2.2\n",
        Some(&"x.".parse::<Name>().unwrap()),
        &mut |_, _| Ok(("f".to_owned(), b"b A 192.0.2.3\n$ORIGIN y.\nc A 192.0.2.4".to_vec())),
        &mut |entry| owners.push(entry.owner.to_string()),
    );
    assert_eq!(outcome.diagnostics, []);
    assert_eq!(owners, ["a.x.", "b.sub.x.", "c.y.", "a.x."]);
}

/// What would take for ever, or all memory, ends at a limit that is told.
#[test]
fn hostile_files_end_in_an_error() {
    let first = |text: &str| records(text, "x.").1.into_iter().next().unwrap_or_default();
    for (text, fault) in [
        ("$GENERATE 0-4294967295 a$ A 192.0.2.1\n".to_owned(), "makes more than 1048576 records"),
        (format!("a TXT {}", "(".repeat(1 << 20)), "more than 16 parentheses"),
        (format!("a TXT {}", ")".repeat(1 << 20)), "without a `(` before it"),
        (format!("{} A 192.0.2.1", "a.".repeat(1 << 20)), "longer than any record can be"),
        (format!("a TXT {}", "a".repeat(1 << 20)), "longer than any record can be"),
        (format!("a TXT \"{}\"", "a\n".repeat(1 << 20)), "the string is never closed"),
        (
            format!("$TTL 1\na TXT {}", "\"a\"\n".repeat(1 << 16).replace('\n', " ")),
            "longer than 65535 bytes",
        ),
        (format!("a TXT ({}", "a\n".repeat(1 << 20)), "the parenthesis is never closed"),
        ("\0".repeat(1 << 24), "a NUL byte; the file is no text"),
        ("\0a".repeat(1 << 16), "a NUL byte; the file is no text"),
        (format!("a NSEC b {}", "A ".repeat(1 << 18)), ""),
        (format!("a NSEC b {}", "TYPE999 ".repeat(1 << 17)), "more types than there are"),
        (format!("a SVCB 1 . {}", "key9=a ".repeat(1 << 17)), "the parameters are longer than RDATA can be"),
        (format!("a APL {}", "1:192.0.2.1/32 ".repeat(1 << 16)), "is longer than 65535 bytes"),
        (format!("a HIP 1 00 AA== {}", "b ".repeat(1 << 16)), "is longer than 65535 bytes"),
        (format!("a DNSKEY 1 3 8 {}", "AAAA ".repeat(1 << 16)), "is longer than 65535 bytes"),
        (format!("a WKS 192.0.2.1 6 {}", "1 ".repeat(1 << 16)), ""),
    ] {
        let found = first(&format!("$TTL 1\n{text}"));
        assert!(found.contains(fault), "{}: {found}", &text[..text.len().min(30)]);
    }
}

mod random;
mod slips;

/// As the largest DNS host exports zones: saved under the zone's name, which completes the owner.
#[test]
fn an_soa_whose_owner_lacks_its_final_dot_is_told_of() {
    let export = "example.com 60 IN SOA a. b. 1 2 3 4 5\nexample.com. 60 IN NS a.\n";
    let (_, told) = records(export, "example.com.");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("zone:1:1: error:") && told[0].contains("final dot"), "{told:?}");
    assert!(!told[0].contains("example.com.example.com."), "{told:?}");
    for text in [
        "$ORIGIN example.com.\nexample.com 60 SOA a. b. 1 2 3 4 5\n",
        "$ORIGIN example.com\n@ 60 SOA a. b. 1 2 3 4 5\n",
    ] {
        let (_, told) = records(text, "example.com.");
        assert!(told[0].contains(" error:") && told[0].contains("final dot"), "{told:?}");
    }
    // A zone of one label that says that this is its name is warned of alone.
    let (_, told) = records("$ORIGIN com.\ncom 60 SOA a. b. 1 2 3 4 5\n", "");
    assert!(told.len() == 1 && told[0].contains("warning:"), "{told:?}");
    good("com.com. 60 SOA a. b. 1 2 3 4 5\n", "com.");
}

#[test]
fn names_that_lack_a_final_dot_before_the_zone_is_known_and_mailboxes_with_an_at_are_told_of() {
    let told = |text: &str, origin: &str| records(text, origin).1;
    let soa = "60 SOA a. b. 1 2 3 4 5\n";
    let relative = told(&format!("$ORIGIN example.com\n@ {soa}"), "file.test.");
    assert!(
        relative[0]
            .contains("zone:1:9: warning: this name has no final dot, so it is `example.com.file.test.`")
    );
    let relative = told(&format!("example.com {soa}"), "file.test.");
    assert!(relative[0].contains("zone:1:1: warning:") && relative[0].contains("`example.com.file.test.`"));
    assert_eq!(told(&format!("$ORIGIN example.com.\n@ {soa}$ORIGIN a.b\n"), "file."), [""; 0]);
    let doubled = told(&format!("$ORIGIN example.com.\n@ {soa}$ORIGIN sub.example.com\n"), "file.");
    assert!(doubled[0].contains("zone:3:9: warning: this name ends in the zone's name twice"), "{doubled:?}");
    assert_eq!(told(&format!("example.com. {soa}"), "file."), [""; 0]);
    let mailbox = told("@ 60 SOA a. host@a.test. 64 2 3 4 5\n", "a.test.");
    assert!(mailbox[0].starts_with("zone:1:13: warning:"), "{mailbox:?}");
    let plain = "@ 60 SOA a. host\\@a.test. 64 2 3 4 5\n@ SOA @ @ 64 2 3 4 5\na\\@b 60 MX 1 @\n";
    assert_eq!(told(plain, "a.test."), [""; 0]);
    assert!(mailbox[0].contains("an `@` in it (expected a dot in its place"), "{mailbox:?}");
}

#[test]
fn reading_stops_when_it_is_told_to() {
    let text = "$ORIGIN x.\n@ 60 SOA a a 1 2 3 4 5\n$GENERATE 1-1000000 h$ A 192.0.2.1\n$INCLUDE more\nno record at all\n";
    let mut seen = 0;
    let outcome = read_while("zone", text.as_bytes(), None, &mut no_files, &mut |_| {
        seen += 1;
        if seen < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert_eq!((seen, outcome.diagnostics), (3, Vec::new()));
}
