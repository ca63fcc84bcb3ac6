//! What a certificate that was not accepted says of itself, so that a person can tell whose it is (RFC 5280 §4.1).
//!
//! Only names and dates are read, from bytes that a stranger sent: everything is bounded by the bytes themselves, and what is
//! not as expected is simply not told. Whether a certificate is accepted is never decided here.

use std::fmt;
use std::time::SystemTime;

use rustls::CertificateError;

/// Why a server's certificate was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadCertificate {
    /// The server, as it was asked for.
    pub host: String,
    /// Who issued it, as it says.
    pub issuer: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No root that is trusted here leads to it.
    UnknownIssuer,
    /// It is over, or the clock here is ahead.
    Expired {
        /// The clock here.
        now: SystemTime,
    },
    /// It has not begun, so the clock here is behind.
    NotYetValid {
        /// The clock here.
        now: SystemTime,
    },
    /// It is for other names.
    OtherName,
    /// It was withdrawn.
    Revoked,
    /// Something else, in the words of the library.
    Other(String),
}

impl BadCertificate {
    /// Of the certificate in `der`, which was not accepted because of `why`.
    pub(super) fn new(host: String, der: &[u8], why: &CertificateError, now: SystemTime) -> Self {
        use CertificateError as Why;
        let problem = match why {
            Why::UnknownIssuer => Problem::UnknownIssuer,
            Why::Expired | Why::ExpiredContext { .. } => Problem::Expired { now },
            Why::NotValidYet | Why::NotValidYetContext { .. } => Problem::NotYetValid { now },
            Why::NotValidForName | Why::NotValidForNameContext { .. } => Problem::OtherName,
            Why::Revoked => Problem::Revoked,
            other => Problem::Other(other.to_string()),
        };
        Self { host, issuer: issuer(der), problem }
    }
}

impl fmt::Display for BadCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, issuer, problem } = self;
        write!(f, "the certificate of `{host}`")?;
        if let Some(issuer) = issuer {
            write!(f, ", issued by `{issuer}`,")?;
        }
        match problem {
            Problem::UnknownIssuer => f.write_str(" leads to no root that is trusted here"),
            Problem::Expired { now } => write!(f, " has expired, as the clock here says {}", clock(*now)),
            Problem::NotYetValid { now } => {
                write!(f, " is not valid yet, as the clock here says {}", clock(*now))
            }
            Problem::OtherName => f.write_str(" is for other names"),
            Problem::Revoked => f.write_str(" was revoked"),
            Problem::Other(why) => write!(f, " was not accepted: {why}"),
        }
    }
}

impl std::error::Error for BadCertificate {}

/// `2031-01-01 00:00 UTC`.
fn clock(now: SystemTime) -> String {
    jiff::Timestamp::try_from(now)
        .map_or_else(|_| "no time at all".to_owned(), |now| now.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

/// Common name and organisation of the issuer: `Corp Root CA, Example Corp`.
pub(super) fn issuer(der: &[u8]) -> Option<String> {
    let (certificate, _) = value(der, SEQUENCE)?;
    let (mut fields, _) = value(certificate, SEQUENCE)?;
    // version [0], where there is one; serialNumber; signature; issuer.
    if let Some((_, rest)) = value(fields, VERSION) {
        fields = rest;
    }
    let (_, fields) = value(fields, INTEGER)?;
    let (_, fields) = value(fields, SEQUENCE)?;
    let (mut name, _) = value(fields, SEQUENCE)?;
    let (mut common, mut organisation) = (None, None);
    while let Some((set, rest)) = value(name, SET) {
        name = rest;
        let Some((pair, _)) = value(set, SEQUENCE) else { continue };
        let Some((kind, text)) = value(pair, OBJECT_ID) else { continue };
        match kind {
            COMMON_NAME => common = string(text),
            ORGANISATION => organisation = string(text),
            _ => {}
        }
    }
    let parts: Vec<String> = [common, organisation].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The first value of `der` with its header, without what follows it.
pub(super) fn first_value(der: &[u8]) -> Option<&[u8]> {
    let (_, rest) = value(der, SEQUENCE)?;
    Some(&der[..der.len() - rest.len()])
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OBJECT_ID: u8 = 0x06;
/// Explicit context tag 0 of a certificate.
const VERSION: u8 = 0xa0;
/// 2.5.4.3 and 2.5.4.10 (RFC 5280 A.1).
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANISATION: &[u8] = &[0x55, 0x04, 0x0a];

/// Contents of a value with this tag at the start of `der`, and what follows it (X.690 §8.1).
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&short, rest) = rest.split_first()?;
    let (length, rest) = match short {
        0..=0x7f => (usize::from(short), rest),
        // More than four bytes of length do not fit a certificate.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// A text of any of the kinds that a name may have, short and without control characters.
fn string(der: &[u8]) -> Option<String> {
    const KINDS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];
    const MOST_CHARS: usize = 80;
    let (text, _) = KINDS.iter().find_map(|kind| value(der, *kind))?;
    let text = String::from_utf8_lossy(text);
    let text: String = text.chars().filter(|c| !c.is_control()).take(MOST_CHARS).collect();
    (!text.trim().is_empty()).then(|| text.trim().to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use fake_openai::{Config, FakeOpenAi};
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    /// A certificate authority of the fake's, PEM.
    pub(in super::super) fn authority() -> String {
        FakeOpenAi::start(Config::with_tls()).unwrap().ca_pem().to_owned()
    }

    #[test]
    fn the_issuer_is_named_as_the_certificate_names_it() {
        let der = CertificateDer::from_pem_slice(authority().as_bytes()).unwrap();
        assert_eq!(issuer(&der).as_deref(), Some("fake-openai FAKE CA"));
        assert_eq!(first_value(&der), Some(der.as_ref()));
    }

    #[test]
    fn bytes_that_are_no_certificate_name_nobody_and_do_no_harm() {
        let der = CertificateDer::from_pem_slice(authority().as_bytes()).unwrap();
        for end in 0..der.len() {
            let _told = issuer(&der[..end]);
        }
        for at in 0..der.len() {
            for byte in [0x00, 0x7f, 0x80, 0x84, 0xff] {
                let mut broken = der.to_vec();
                broken[at] = byte;
                let _told = issuer(&broken);
            }
        }
        assert_eq!(issuer(b""), None);
        assert_eq!(issuer(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
    }

    #[test]
    fn a_wrong_clock_is_told_with_what_it_says() {
        let der = CertificateDer::from_pem_slice(authority().as_bytes()).unwrap();
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_924_992_000);
        let bad = BadCertificate::new("chatgpt.com".to_owned(), &der, &CertificateError::Expired, now);
        assert_eq!(
            bad.to_string(),
            "the certificate of `chatgpt.com`, issued by `fake-openai FAKE CA`, has expired, as the clock here says 2031-01-01 00:00 UTC"
        );
    }
}
