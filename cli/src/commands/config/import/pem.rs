//! Whether a file can be a bundle of certificates (RFC 7468 §5), told without a library for them: it has at least one
//! certificate, and each one's text decodes to one DER sequence of the length that it names. What is in them the daemon checks.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// Longest file that is read, as the daemon reads it: the bundle of a whole system has 250 KB.
const MOST_BYTES: u64 = 16 << 20;

/// What OpenSSL writes around a certificate with its own trust settings behind it.
const LABELS: [&str; 2] = ["CERTIFICATE", "TRUSTED CERTIFICATE"];

/// The error says why the daemon would refuse the file.
pub(super) fn check(path: &Path) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("could not read `{}`: {error}", path.display());
    let about = std::fs::metadata(path).map_err(unreadable)?;
    // A pipe or a device would never end.
    if !about.is_file() || about.len() > MOST_BYTES {
        return Err(format!("`{}` is not a file of certificates", path.display()));
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes)).map_err(unreadable)?;
    match broken(&String::from_utf8_lossy(&bytes)) {
        Some(why) => Err(format!("{why} in `{}`", path.display())),
        None => Ok(()),
    }
}

/// What is wrong with a bundle, if anything is.
fn broken(text: &str) -> Option<&'static str> {
    const BROKEN: Option<&str> = Some("a certificate is broken");
    let mut found = false;
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let begins = |label: &&&str| line == format!("-----BEGIN {label}-----");
        let Some(label) = LABELS.iter().find(begins) else { continue };
        let end = format!("-----END {label}-----");
        let mut body = String::new();
        loop {
            match lines.next() {
                Some(line) if line == end => break,
                Some(line) => body.push_str(line.trim()),
                None => return BROKEN,
            }
        }
        let Some(der) = base64(&body) else { return BROKEN };
        let rest = sequence(&der);
        // Behind a trusted one stand its settings.
        if rest.is_none_or(|rest| rest > 0 && *label == LABELS[0]) {
            return BROKEN;
        }
        found = true;
    }
    if found { None } else { Some("there is no PEM certificate") }
}

/// RFC 4648 §4; `None` for what is none.
fn base64(text: &str) -> Option<Vec<u8>> {
    let sign = |byte: u8| match byte {
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let signs = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - signs.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(signs.len() * 3 / 4);
    for group in signs.as_bytes().chunks(4) {
        let mut bits = 0;
        for at in 0..4 {
            bits = bits << 6 | group.get(at).map_or(Some(0), |byte| sign(*byte))?;
        }
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

/// How many bytes follow the DER sequence at the beginning (X.690 §8.1.3); `None`: there is none, or it is cut.
fn sequence(der: &[u8]) -> Option<usize> {
    const SEQUENCE: u8 = 0x30;
    let (&[SEQUENCE, first], rest) = der.split_first_chunk::<2>()? else { return None };
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81..=0x84 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    rest.len().checked_sub(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(label: &str, body: &str) -> String {
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    }

    #[test]
    fn a_bundle_has_a_certificate_and_no_broken_one() {
        // 30 03 02 01 2a, and 30 00 behind it.
        let (whole, with_settings) = ("MAMCASo=", "MAMCASowAA==");
        for (text, why) in [
            (format!("# one\r\n{}# two\n{}", block("CERTIFICATE", whole), block("X509 CRL", "%")), None),
            (block("TRUSTED CERTIFICATE", with_settings), None),
            (String::new(), Some("there is no PEM certificate")),
            (block("PRIVATE KEY", whole), Some("there is no PEM certificate")),
            (block("CERTIFICATE", "%%%"), Some("a certificate is broken")),
            (block("CERTIFICATE", "MAMC"), Some("a certificate is broken")),
            (block("CERTIFICATE", with_settings), Some("a certificate is broken")),
            (block("CERTIFICATE", "TWFu"), Some("a certificate is broken")),
            (
                block("CERTIFICATE", whole) + "-----BEGIN CERTIFICATE-----\nMAMC",
                Some("a certificate is broken"),
            ),
        ] {
            assert_eq!(broken(&text), why, "{text}");
        }
    }

    #[test]
    fn base64_is_decoded_as_it_is_written_down() {
        for (text, bytes) in [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmE=", "fooba")]
        {
            assert_eq!(base64(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        for text in ["Z", "Zg", "Zg=", "Z===", "Zm9v=", "Zm 9"] {
            assert_eq!(base64(text), None, "{text}");
        }
    }
}
