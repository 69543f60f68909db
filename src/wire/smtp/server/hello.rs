//! From the first octet to the list of extensions.

use super::{
    Cx, TOO_MANY_ERRORS, Tls,
    state::{Next, State},
    waiting::{EARLY, ExpectHello, ExpectMail, Waiting},
};
use crate::wire::{
    session::Step,
    smtp::{Dialect, command, reply::Reply},
};
use std::{fmt::Write, sync::Arc};

/// Waits for the peer to say nothing.
pub(super) struct ExpectSilence;

/// Waits for the handshake.
pub(super) struct ExpectTls;

/// A connection stands.
pub(super) fn begin(cx: &mut Cx) -> Next {
    let pause = cx.settings.limits.greet_pause;
    Next::Turn(State::Silence(ExpectSilence), Step::Read(pause))
}

impl ExpectSilence {
    /// Whoever speaks before the greeting does not follow the conversation.
    pub(super) fn octets(self, cx: &mut Cx, octets: &[u8], out: &mut Vec<u8>) -> (usize, Next) {
        match octets {
            [] => (0, Next::Turn(State::Silence(self), Step::More)),
            _ => (octets.len(), cx.close(&EARLY, out)),
        }
    }
}

/// ```abnf
/// Greeting = "220 " ( Domain / address-literal ) [ SP textstring ] CRLF
/// ```
/// RFC 5321 section 4.2.
pub(super) fn greet(cx: &mut Cx, out: &mut Vec<u8>) -> Next {
    let name = if cx.settings.dialect == Dialect::Lmtp { "LMTP" } else { "ESMTP" };
    let text = format!("{} {name}", cx.settings.hostname);
    Reply { code: 220, status: None, text: text.into() }.print(out);
    cx.fresh = true;
    Next::On(Waiting::Hello(ExpectHello).into())
}

impl ExpectTls {
    /// What was said before TLS is forgotten (RFC 3207 section 4.2).
    pub(super) fn secured(self, cx: &mut Cx) -> Next {
        let mut peer = Cx::peer(&cx.settings, &cx.known);
        Arc::make_mut(&mut peer).secured = true;
        cx.peer = peer;
        cx.fresh = true;
        Next::On(Waiting::Hello(ExpectHello).into())
    }
}

/// HELO: no extensions.
pub(super) fn helo(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    match greeted(cx, arguments, false) {
        Ok(()) => {
            let text = cx.settings.hostname.to_string();
            Reply { code: 250, status: None, text: text.into() }.print(out);
            waiting.leave(cx, Waiting::Mail(ExpectMail).into())
        }
        Err(reply) => cx.refuse(&reply, waiting.into(), out),
    }
}

/// ```abnf
/// ehlo-ok-rsp = "250-" Domain [ SP ehlo-greet ] CRLF *( "250-" ehlo-line CRLF ) "250" SP ehlo-line CRLF
/// ```
/// RFC 5321 section 4.1.1.1; LHLO is answered alike (RFC 2033 section 4.1).
pub(super) fn ehlo(waiting: Waiting, cx: &mut Cx, arguments: &str, out: &mut Vec<u8>) -> Next {
    if let Err(reply) = greeted(cx, arguments, true) {
        return cx.refuse(&reply, waiting.into(), out);
    }
    let mut text = cx.settings.hostname.to_string();
    let _ = write!(
        text,
        "\nPIPELINING\nSIZE {}\n8BITMIME\nENHANCEDSTATUSCODES\nCHUNKING\nSMTPUTF8\nDSN",
        cx.settings.limits.size
    );
    if cx.offers_tls() {
        text.push_str("\nSTARTTLS");
    }
    if cx.offers_login() {
        text.push_str("\nAUTH PLAIN LOGIN");
    }
    text.push_str("\nHELP");
    Reply { code: 250, status: None, text: text.into() }.print(out);
    waiting.leave(cx, Waiting::Mail(ExpectMail).into())
}

fn greeted(cx: &mut Cx, arguments: &str, extended: bool) -> Result<(), Reply> {
    let hello = command::hello(arguments)?;
    if !cx.peer.hello.is_empty() {
        cx.idles();
        if cx.is_tried() {
            return Err(TOO_MANY_ERRORS);
        }
    }
    let peer = Arc::make_mut(&mut cx.peer);
    peer.hello = hello.to_owned();
    peer.extended = extended;
    Ok(())
}

/// Begins TLS.
pub(super) fn secure(cx: &Cx, out: &mut Vec<u8>) -> Result<Next, Reply> {
    match cx.settings.tls {
        Tls::None => Err(Reply::fixed(502, 5, 1, "There is no TLS here")),
        Tls::Standing => Err(Reply::fixed(503, 5, 1, "TLS stands already")),
        _ if cx.peer.secured => Err(Reply::fixed(503, 5, 1, "TLS stands already")),
        Tls::Broken => Err(Reply::fixed(454, 7, 0, "TLS cannot be had now")),
        Tls::Offered => {
            Reply::fixed(220, 0, 0, "Begin").print(out);
            Ok(Next::Turn(State::Tls(ExpectTls), Step::StartTls))
        }
    }
}
