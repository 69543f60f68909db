//! ENVELOPE (RFC 3501 section 7.4.2): the fields that a list of messages shows.

use crate::{
    mail::header::{
        self, Field,
        addresses::{self, Item},
    },
    wire::imap::print,
};

/// The most addresses of a field that are told.
const ADDRESSES_MAX: usize = 1000;

/// The fields it is made of, in its order.
const NAMES: [&str; 10] =
    ["Date", "Subject", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "Message-ID"];

/// ```abnf
/// envelope = "(" env-date SP env-subject SP env-from SP env-sender SP env-reply-to SP env-to SP env-cc SP env-bcc SP
///            env-in-reply-to SP env-message-id ")"
/// ```
/// Of the message whose header stands at the front of `octets`; of a field that is there more than once the first.
pub(super) fn print(octets: &[u8], out: &mut Vec<u8>) {
    let mut found: [Option<Field>; 10] = Default::default();
    for field in header::fields(octets) {
        let place = NAMES.iter().position(|name| field.is(name));
        if let Some(empty @ None) = place.and_then(|place| found.get_mut(place)) {
            *empty = Some(field);
        }
    }
    let [date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id] = &found;
    out.push(b'(');
    text(date.as_ref(), out);
    out.push(b' ');
    text(subject.as_ref(), out);
    for list in [from, sender, reply_to, to, cc, bcc] {
        // Sender and Reply-To are From's where they are missing or empty.
        let falls_back = std::ptr::eq(list, sender) || std::ptr::eq(list, reply_to);
        out.push(b' ');
        let printed = addresses_of(list.as_ref(), out) || (falls_back && addresses_of(from.as_ref(), out));
        if !printed {
            out.extend_from_slice(b"NIL");
        }
    }
    for last in [in_reply_to, message_id] {
        out.push(b' ');
        text(last.as_ref(), out);
    }
    out.push(b')');
}

fn text(field: Option<&Field>, out: &mut Vec<u8>) {
    print::nstring(field.map(Field::unfolded).as_deref(), out);
}

/// ```abnf
/// address = "(" addr-name SP addr-adl SP addr-mailbox SP addr-host ")"
/// ```
/// False when there is none.
fn addresses_of(field: Option<&Field>, out: &mut Vec<u8>) -> bool {
    let items = field.map(|field| addresses::list(field.body, ADDRESSES_MAX).0).unwrap_or_default();
    if items.is_empty() {
        return false;
    }
    out.push(b'(');
    for item in &items {
        match item {
            Item::Address(address) => {
                out.push(b'(');
                print::nstring(Some(address.name.as_slice()).filter(|name| !name.is_empty()), out);
                out.extend_from_slice(b" NIL ");
                // NIL would begin or end a group.
                print::string(&address.local, out);
                out.push(b' ');
                print::string(address.domain.as_deref().unwrap_or_default(), out);
                out.push(b')');
            }
            Item::GroupStart(name) => {
                out.extend_from_slice(b"(NIL NIL ");
                print::string(name, out);
                out.extend_from_slice(b" NIL)");
            }
            Item::GroupEnd => out.extend_from_slice(b"(NIL NIL NIL NIL)"),
        }
    }
    out.push(b')');
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(header: &str) -> String {
        let mut out = Vec::new();
        print(header.as_bytes(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn the_envelope_of_rfc_3501() {
        // The example of its section 8.
        let header = "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n\
             From: Terry Gray <gray@cac.washington.edu>\r\n\
             Subject: IMAP4rev1 WG mtg summary and minutes\r\n\
             To: imap@cac.washington.edu\r\n\
             cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n\
             Message-Id: <B27397-0100000@cac.washington.edu>\r\n\r\n";
        assert_eq!(
            printed(header),
            "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev1 WG mtg summary and minutes\" \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
             ((NIL NIL \"imap\" \"cac.washington.edu\")) \
             ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) \
             NIL NIL \"<B27397-0100000@cac.washington.edu>\")"
        );
    }

    #[test]
    fn odd_fields_stay_within_the_grammar() {
        assert_eq!(printed(""), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        assert_eq!(
            printed("From: root\nTo: Friends: a@b, \"c\" <d@e>;\nSender:\nSubject: a\n b\"c\nBcc: u:;\n"),
            "(NIL \"a b\\\"c\" ((NIL NIL \"root\" \"\")) ((NIL NIL \"root\" \"\")) ((NIL NIL \"root\" \"\")) \
             ((NIL NIL \"Friends\" NIL)(NIL NIL \"a\" \"b\")(\"c\" NIL \"d\" \"e\")(NIL NIL NIL NIL)) NIL \
             ((NIL NIL \"u\" NIL)(NIL NIL NIL NIL)) NIL NIL)"
        );
        assert_eq!(printed("Subject: \u{e9}\n\n").split(" NIL").next(), Some("(NIL {2}\r\n\u{e9}"));
    }
}
