//! Slips that make much else look wrong, or nothing at all.

use super::*;

#[test]
fn a_zone_without_its_final_dot_is_known_where_the_name_of_the_file_tells_of_none() {
    let soa = "60 SOA a. b. 1 2 3 4 5\n";
    let undotted = "this name of a zone has no final dot (expected a final dot behind it)";
    let doubled = "zone:3:1: warning: this name ends in the zone's name twice";
    for (text, origin, place) in [
        (format!("$ORIGIN example.com\n@ {soa}"), "c.", "zone:1:9"),
        (format!("$ORIGIN example.com\n@ {soa}"), "", "zone:1:9"),
        (format!("\nexample.com {soa}"), "c.", "zone:2:1"),
    ] {
        let text = format!("{text}www.example.com A 192.0.2.1\nftp A 192.0.2.2\n");
        let origin: Option<Name> = (!origin.is_empty()).then(|| origin.parse().unwrap());
        let outcome = read("zone", text.as_bytes(), origin.as_deref(), &mut no_files, &mut |_| {});
        let told: Vec<String> = outcome.diagnostics.iter().map(Diagnostic::to_string).collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!(told[0], format!("{place}: error: {undotted}"));
        assert!(told[1].starts_with(doubled), "{told:?}");
        assert_eq!(outcome.origin, Some("example.com.".parse().unwrap()));
    }
    // Below the root it means the same.
    let told = records(&format!("$ORIGIN example.com\n@ {soa}"), ".").1;
    assert!(told.len() == 1 && told[0].contains(" warning: "), "{told:?}");
    good(&format!("sub {soa}"), "c.");
}

#[test]
fn one_broken_soa_does_not_leave_every_record_without_a_ttl() {
    let (_, told) = records("@ SOA a. b. 1 2 3 4\n@ NS a.\nb A 192.0.2.1\n", "x.");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("zone:1:"), "{told:?}");
}

#[test]
fn text_that_a_comment_cuts_is_told_of() {
    let told = records("$TTL 1\na TXT v=DKIM1; k=rsa; p=MIG\nb TXT ( v=DKIM1;\n k=rsa )\n", "x.").1;
    let cut = "warning: the text ends here: what follows `;` is a comment \
               (expected the text in quotes, or a blank before the comment)";
    assert_eq!(told, [format!("zone:2:14: {cut}"), format!("zone:3:16: {cut}")]);
    let plain = "$TTL 1\na TXT v=DKIM1 ; comment\na TXT \"v=DKIM1; k=rsa\";comment\na TXT (;comment\n b );c\n\
                 a TXT v\\;k\na MX 10 b;comment\na TXT c\n";
    good(plain, "x.");
}
