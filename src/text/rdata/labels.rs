//! What the fields of a record are called when one of them is wrong.

use crate::text::lexer::Fault;
use crate::wire::rtype::Rtype;

/// Says which record and which of its fields the fault is about.
#[cold]
pub(super) fn explain(mut fault: Fault, rtype: Rtype, index: usize) -> Fault {
    if fault.message == "the record ends too early" {
        fault.message = format!("the {rtype} record ends too early");
    } else if fault.message.starts_with("found ") {
        fault.message.push_str(&format!(" in the {rtype} record"));
    }
    if let (Some(label), Some(expected)) = (labels(rtype).get(index), &fault.expected) {
        fault.expected = Some(format!("{label}: {expected}"));
    }
    fault
}

/// What the fields of the types that people write by hand are called.
fn labels(rtype: Rtype) -> &'static [&'static str] {
    match rtype {
        Rtype::SOA => &["primary server", "mailbox", "serial", "refresh", "retry", "expire", "minimum"],
        Rtype::MX => &["preference", "mail server"],
        Rtype::SRV => &["priority", "weight", "port", "target"],
        Rtype::CAA => &["flags", "tag", "value"],
        Rtype::NAPTR => &["order", "preference", "flags", "services", "regexp", "replacement"],
        Rtype::DS | Rtype::CDS | Rtype::TA | Rtype::DLV => &["key tag", "algorithm", "digest type", "digest"],
        Rtype::DNSKEY | Rtype::CDNSKEY => &["flags", "protocol", "algorithm", "public key"],
        Rtype::TLSA | Rtype::SMIMEA => &["usage", "selector", "matching type", "data"],
        Rtype::SSHFP => &["algorithm", "fingerprint type", "fingerprint"],
        Rtype::SVCB | Rtype::HTTPS => &["priority", "target", "parameters"],
        Rtype::URI => &["priority", "weight", "target"],
        _ => &[],
    }
}
