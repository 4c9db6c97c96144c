//! Why a poll or a transfer did not serve its purpose.

use crate::ask::exchange::Failure;
use crate::ask::question::Fault;
use crate::wire::extended_error::ExtendedError;
use crate::wire::rtype::Rcode;
use crate::zone::serial::Serial;

/// What to do about a server that does not have a zone.
const NOT_SERVED: &str = ": have it serve the zone, or take it out of `primaries`";

/// Why something about a transfer failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// RCODE REFUSED.
    #[error("refused by the server")]
    Refused,
    /// RCODE NOTAUTH, or an answer without AA.
    #[error("the server is not authoritative for the zone")]
    NotAuth,
    /// Another RCODE.
    #[error("answered with {0}")]
    Rcode(Rcode),
    /// The stream ended before the closing SOA.
    #[error("the answer ended before its closing SOA")]
    Truncated,
    /// Differences that do not follow one another, or not what we have.
    #[error("the differences are not one sequence from our version to the server's")]
    OutOfSequence,
    /// An answer about another zone.
    #[error("the answer is about another zone")]
    WrongZone,
    /// The closing SOA is not the opening one.
    #[error("the first and the last SOA differ")]
    SoaMismatch,
    /// Bytes or records that are no transfer.
    #[error("malformed answer")]
    Malformed,
    /// Records that do not make a zone.
    #[error("the records do not make a zone")]
    InvalidZone,
    /// More than [`super::intake::Limits`] allow.
    #[error("the answer is larger than allowed")]
    TooLarge,
    /// All transfers under way hold as much as they may together, and this one more than its share ([`super::intake::SHARE`]).
    #[error(
        "the transfers under way hold more than {most} bytes together, the most for all of them: it is asked for again when some have \
         ended; if that goes on, have this node pull fewer large zones"
    )]
    NoRoom {
        /// How much they may hold.
        most: u64,
    },
    /// No way to the server, or nothing listens there.
    #[error("server not reachable: {0}")]
    Unreachable(Failure),
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// Too little has come of a transfer for how long it has taken, and others are left to ask, or somebody asks for a refresh.
    #[error("the transfer was slow and has been ended to ask again, other primaries first")]
    Slow,
    /// The server's version is older than ours.
    #[error(
        "the server's serial, {theirs}, is older than {ours}, which is served here: raise it at the primary, or take its content with `tidemark refresh --force ZONE`"
    )]
    Older {
        /// What the server has.
        theirs: Serial,
        /// What is served here.
        ours: Serial,
    },
    /// The whole zone came where differences were asked for.
    #[error("the server gave the whole zone in place of differences")]
    AxfrStyle,
    /// The differences do not fit what we have.
    #[error("the differences do not fit our version")]
    DoesNotApply,
    /// The differences take more work than the whole zone.
    #[error("the differences take more work than the whole zone")]
    TooMuchWork,
    /// The SOA shows a version that the transfer does not have.
    #[error(
        "it shows serial {shown} and its transfers end at {given}: servers that differ behind one address, or a transfer that was made before"
    )]
    NotGiven {
        /// What the SOA shows.
        shown: Serial,
        /// What the transfer has.
        given: Serial,
    },
    /// One serial, two contents.
    #[error(
        "our content under this serial is not the server's: it was used for two versions; raise it at the primary, or take what that has with `tidemark refresh ZONE`"
    )]
    DigestMismatch,
    /// It could not be published here.
    #[error("the version could not be stored here")]
    NotStored,
}

impl Reason {
    /// A short name that never changes, for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Reason::Refused => "refused",
            Reason::NotAuth => "notauth",
            Reason::Rcode(Rcode::FORMERR) => "rcode_formerr",
            Reason::Rcode(Rcode::SERVFAIL) => "rcode_servfail",
            Reason::Rcode(Rcode::NXDOMAIN) => "rcode_nxdomain",
            Reason::Rcode(Rcode::NOTIMP) => "rcode_notimp",
            Reason::Rcode(Rcode::BADVERS) => "rcode_badvers",
            Reason::Rcode(_) => "rcode_other",
            Reason::Truncated => "truncated",
            Reason::OutOfSequence => "out_of_sequence",
            Reason::WrongZone => "wrong_zone",
            Reason::SoaMismatch => "soa_mismatch",
            Reason::Malformed => "malformed",
            Reason::InvalidZone => "invalid_zone",
            Reason::TooLarge => "too_large",
            Reason::NoRoom { .. } => "no_room",
            Reason::Unreachable(_) => "unreachable",
            Reason::Timeout => "timeout",
            Reason::Slow => "slow",
            Reason::Older { .. } => "older",
            Reason::AxfrStyle => "axfr_style",
            Reason::DoesNotApply => "does_not_apply",
            Reason::TooMuchWork => "too_much_work",
            Reason::NotGiven { .. } => "not_given",
            Reason::DigestMismatch => "digest_mismatch",
            Reason::NotStored => "not_stored",
        }
    }

    /// The reason with what the server says of it, with what exactly is wrong, and with what to do about it.
    pub fn explained(self, because: Option<&ExtendedError>, detail: Option<&str>) -> String {
        let is_unknown_there = because.is_some_and(|error| error.code == ExtendedError::NOT_AUTHORITATIVE);
        let next = match self {
            Reason::NotAuth => NOT_SERVED,
            Reason::Refused if is_unknown_there => NOT_SERVED,
            Reason::Refused => {
                ": allow this node's address there (`allow-transfer`, at NSD `provide-xfr`, at Knot an `acl`)"
            }
            _ => "",
        };
        let because = because.map(|error| format!(" ({error})")).unwrap_or_default();
        let detail = detail.map(|detail| format!(": {detail}")).unwrap_or_default();
        format!("{self}{because}{detail}{next}")
    }

    /// Whether what came was whole and could not be used: it will be the same when it comes again.
    pub fn is_of_content(self) -> bool {
        matches!(
            self,
            Reason::WrongZone
                | Reason::SoaMismatch
                | Reason::Malformed
                | Reason::InvalidZone
                | Reason::TooLarge
                | Reason::DoesNotApply
                | Reason::DigestMismatch
        )
    }

    /// The reason that a failed SOA question gives.
    pub fn of_question(fault: Fault) -> Reason {
        match fault {
            Fault::Network(failure) => Reason::Unreachable(failure),
            Fault::Malformed | Fault::Strange => Reason::Malformed,
        }
    }

    /// The reason that the early end of a transfer gives.
    pub fn of_transfer(fault: Fault) -> Reason {
        match fault {
            Fault::Network(Failure::Closed) => Reason::Truncated,
            other => Reason::of_question(other),
        }
    }

    /// The reason that a response code gives; `None` for NOERROR.
    pub fn of(rcode: Rcode) -> Option<Reason> {
        match rcode {
            Rcode::NOERROR => None,
            Rcode::REFUSED => Some(Reason::Refused),
            Rcode::NOTAUTH => Some(Reason::NotAuth),
            other => Some(Reason::Rcode(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_with_the_words_of_the_server_and_the_next_step() {
        let told = |reason: Reason, value: &[u8]| reason.explained(ExtendedError::read(value).as_ref(), None);
        assert_eq!(
            told(Reason::Refused, b"\0\x12not for you"),
            "refused by the server (EDE 18 Prohibited: not for you): allow this node's address there (`allow-transfer`, at NSD \
             `provide-xfr`, at Knot an `acl`)"
        );
        assert!(
            told(Reason::Refused, b"").starts_with("refused by the server: allow this node's address there")
        );
        for told in [told(Reason::Refused, b"\0\x14"), told(Reason::NotAuth, b"")] {
            assert!(told.ends_with(": have it serve the zone, or take it out of `primaries`"), "{told}");
        }
        assert_eq!(told(Reason::Timeout, b""), "no answer in time");
        let detail = Reason::InvalidZone.explained(None, Some("`a.` has a CNAME beside other data"));
        assert_eq!(detail, "the records do not make a zone: `a.` has a CNAME beside other data");
    }
}
