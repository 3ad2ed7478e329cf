//! Names of folders as servers write them: modified UTF-7 (RFC 3501, 5.1.3).

use base64::Engine as _;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};

const CODED: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// The name for the wire: ASCII, with all else in runs of Base64.
pub(super) fn encoded(name: &str) -> String {
    let (mut text, mut run) = (String::new(), Vec::new());
    for unit in name.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ 0x20..=0x7e) => {
                flush(&mut text, &mut run);
                text.push(char::from(byte));
                if byte == b'&' {
                    text.push('-');
                }
            }
            _ => run.extend(unit.to_be_bytes()),
        }
    }
    flush(&mut text, &mut run);
    text
}

fn flush(text: &mut String, run: &mut Vec<u8>) {
    if !run.is_empty() {
        text.push('&');
        CODED.encode_string(std::mem::take(run), text);
        text.push('-');
    }
}

#[cfg(test)]
mod tests {
    use super::encoded;

    #[test]
    fn names_are_coded_as_the_standard_shows() {
        assert_eq!(encoded("INBOX/R&D"), "INBOX/R&-D");
        assert_eq!(encoded("~peter/mail/台北/日本語"), "~peter/mail/&U,BTFw-/&ZeVnLIqe-");
        assert_eq!(encoded("Entwürfe"), "Entw&APw-rfe");
    }
}
