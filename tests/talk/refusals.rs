//! What the SMTP server refuses, a row a case: each is said in its place, answered as the table wants, and then the connection
//! is closed (`! close`) or still of use.

use super::smtp::scripted;
use crate::kit::talk::{Pace, Side, Talk};
use std::panic;

/// Where in a conversation a row's input is given.
#[derive(Clone, Copy)]
pub enum When {
    /// Before the greeting.
    Connected,
    /// Behind it.
    Greeted,
    /// Behind EHLO.
    Idle,
    /// With one recipient accepted.
    Open,
    /// Within DATA.
    Text,
}
pub use When::{Connected, Text};
use When::{Greeted, Idle, Open};

impl When {
    fn so_far(self) -> String {
        let steps = [
            "S: 220 ...\n",
            "C: EHLO client.example\nS+ 250-...\nS: 250 ...\n",
            "C: MAIL FROM:<joe@client.example>\nS: 250 ...\nC: RCPT TO:<alice@example.org>\nS: 250 ...\n",
            "C: DATA\nS: 354 ...\n",
        ];
        steps[..self as usize].concat()
    }
}

/// Settings, place, what is said and answered.
pub type Row = (&'static str, When, &'static str);

const TLS: &str = "@ tls offered\n@ logins offered\n";
pub const SUBMISSION: &str = "@ dialect submission\n@ tls standing\n@ logins offered\n";

/// Rows in which octets come before a reply that they had to wait for: they are another story when they come late.
pub const EARLY: [Row; 11] = [
    ("", Connected, "C: EHLO client.example\nS: 554 5.5.0 ...\n! close"),
    ("", Connected, "C: \\x16\\x03\\x01\\\nS: 554 5.5.0 ...\n! close"),
    ("", Greeted, "C: EHLO client.example\nC: MAIL FROM:<>\nS: 554 5.5.0 ...\n! close"),
    ("", Greeted, "C: HELO client.example\nC: MAIL FROM:<>\nS: 554 5.5.0 ...\n! close"),
    ("", Open, "C: DATA\nC: Subject: x\nS: 554 5.5.0 ...\n! close"),
    ("", Idle, "C: DATA\nC: Subject: x\nS: 554 5.5.0 ...\n! close"),
    (SUBMISSION, Idle, "C: AUTH LOGIN\nC: \\b(alice)\nS: 554 5.5.0 ...\n! close"),
    (
        SUBMISSION,
        Idle,
        "C: AUTH LOGIN\nS: 334 ...\nC: \\b(alice)\nC: \\b(wonderland)\nS: 554 5.5.0 ...\n! close",
    ),
    (
        SUBMISSION,
        Idle,
        "C: AUTH PLAIN\nS: 334 ...\nC: \\b(\\0alice\\0wonderland)\nC: MAIL FROM:<a@b.c>\nS: 554 5.5.0 ...\n! close",
    ),
    (TLS, Idle, "C: STARTTLS\nC: RSET\nS: 554 5.5.0 ...\n! close"),
    (TLS, Idle, "C: STARTTLS\nC: \\x16\\x03\\x01\\\nS: 554 5.5.0 ...\n! close"),
];

pub const ROWS: &[Row] = &[
    // What must not stand in DATA, and what must not end it.
    ("", Text, "C: a\\nb\nC: .\nS: 550 5.5.2 ...\n! close"),
    ("", Text, "C: a\\rb\nC: .\nS: 550 5.5.2 ...\n! close"),
    ("", Text, "C: a\\0b\nC: .\nS: 550 5.5.2 ...\n! close"),
    ("", Text, "C: a\\n.\\n\\\nC: MAIL FROM:<x@y.example>\nC: .\nS: 550 5.5.2 ...\n! close"),
    ("", Text, "C: a\\n.\nC: MAIL FROM:<x@y.example>\nC: .\nS: 550 5.5.2 ...\n! close"),
    ("", Text, "C: a\nC: .\\nMAIL FROM:<x@y.example>\nC: .\nS: 550 5.5.2 ...\n! close"),
    ("", Text, "C: a\\r.\\r\\\nC: MAIL FROM:<x@y.example>\nC: .\nS: 550 5.5.2 ...\n! close"),
    ("", Text, "C: a\nC: .\\rMAIL FROM:<x@y.example>\nC: .\nS: 550 5.5.2 ...\n! close"),
    ("", Text, "C: a\\r.\nC: .\nS: 550 5.5.2 ...\n! close"),
    ("", Text, "C: a\nC: .\\r\nC: .\nS: 550 5.5.2 ...\n! close"),
    ("", Text, "C: a\\0\\r\\n.\\r\nC: .\nS: 550 5.5.2 ...\n! close"),
    ("", Text, "C: \\n.\\n\nC: .\nC: QUIT\nS: 550 5.5.2 ...\n! close"),
    // TLS.
    (TLS, Idle, "C: STARTTLS x\nS: 501 5.5.4 ..."),
    (
        TLS,
        Idle,
        "C: STARTTLS\nS: 220 ...\n! tls\nC: EHLO x\nS+ 250-...\nS: 250 ...\nC: STARTTLS\nS: 503 5.5.1 ...",
    ),
    ("@ tls standing\n", Idle, "C: STARTTLS\nS: 503 5.5.1 ..."),
    ("@ tls broken\n", Idle, "C: STARTTLS\nS: 454 4.7.0 ..."),
    ("", Idle, "C: STARTTLS\nS: 502 5.5.1 ..."),
    ("", Greeted, "C: \\x16\\x03\\x01\\x02\\0\\\nS: 554 5.5.0 ...\n! close"),
    // A browser.
    ("", Greeted, "C: GET / HTTP/1.1\nC: Host: mx\nC:\nS: 421 4.7.0 ...\n! close"),
    ("", Greeted, "C: POST / HTTP/1.1\nC: MAIL FROM:<>\nS: 421 4.7.0 ...\n! close"),
    ("", Greeted, "C: CONNECT mx:25 HTTP/1.1\nS: 421 4.7.0 ...\n! close"),
    // Lines.
    ("", Idle, "C: NOOP \\*506(x)\nS: 500 5.5.2 ..."),
    ("", Idle, "C: NOOP \\*505(x)\nS: 250 ..."),
    ("", Idle, "C: MAIL FROM:<> \\*1180(x)\nS: 500 5.5.2 ..."),
    ("", Idle, "C: \\*1000(x)\\nRSET\\nRSET\nS: 500 5.5.2 ..."),
    ("", Idle, "C: \\*512(x)\nC: NOOP\nS: 500 5.5.2 ...\nS: 250 ..."),
    ("", Idle, "C: \\*70000(x)\\\nS: 500 5.5.2 ...\n! close"),
    (SUBMISSION, Idle, "C: AUTH PLAIN \\*12276(A)\nS: 500 5.5.6 ..."),
    (SUBMISSION, Idle, "C: AUTH PLAIN \\*12275(A)\nS: 501 5.5.2 ..."),
    (SUBMISSION, Idle, "C: AUTH PLAIN\nS: 334 ...\nC: \\*12287(A)\nS: 500 5.5.6 ..."),
    (SUBMISSION, Idle, "C: AUTH PLAIN\nS: 334 ...\nC: \\*25000(A)\\\nS: 500 5.5.6 ...\n! close"),
    ("", Idle, "C: AUTH PLAIN \\*600(A)\nS: 500 5.5.2 ..."),
    ("", Idle, "C: NOOP \\xc3\\x28\nS: 500 5.5.2 ..."),
    ("", Idle, "C: NOOP \\x1b[31m\nS: 500 5.5.2 ..."),
    ("", Idle, "C: NOOP \\0\nS: 500 5.5.2 ..."),
    ("", Idle, "C: NOOP \\x7f\nS: 500 5.5.2 ..."),
    ("", Idle, "C: NOOP \\xc2\\x9f\nS: 500 5.5.2 ..."),
    ("", Idle, "C: RSET\\nMAIL FROM:<>\nS: 500 5.5.2 ..."),
    ("", Idle, "C: RSET\\rMAIL FROM:<>\nS: 500 5.5.2 ..."),
    ("", Idle, "C: MAIL\\tFROM:<>\nS: 500 5.5.2 ..."),
    ("", Idle, "C:\nS: 500 5.5.2 ..."),
    ("", Idle, "C: MAILFROM:<>\nS: 500 5.5.2 ..."),
    ("", Idle, "C: TURN\nS: 500 5.5.2 ..."),
    ("", Idle, "C:  MAIL FROM:<>\nS: 500 5.5.2 ..."),
    // xtext.
    (SUBMISSION_IN, Idle, "C: MAIL FROM:<> AUTH=a+0Ab\nS: 501 5.5.4 ..."),
    (SUBMISSION_IN, Idle, "C: MAIL FROM:<> AUTH=a+0Db\nS: 501 5.5.4 ..."),
    (SUBMISSION_IN, Idle, "C: MAIL FROM:<> AUTH=a+00b\nS: 501 5.5.4 ..."),
    (SUBMISSION_IN, Idle, "C: MAIL FROM:<> AUTH=a+1Bb\nS: 501 5.5.4 ..."),
    (SUBMISSION_IN, Idle, "C: MAIL FROM:<> AUTH=e+3Dmc2@example.com\nS: 250 ..."),
    // Greetings.
    ("", Greeted, "C: EHLO\nS: 501 5.5.4 ..."),
    ("", Greeted, "C: HELO\nS: 501 5.5.4 ..."),
    ("", Greeted, "C: EHLO a b\nS: 501 5.5.4 ..."),
    ("", Greeted, "C: EHLO a(comment)\nS: 501 5.5.4 ..."),
    ("", Greeted, "C: EHLO b\\xc3\\xbccher.example\nS: 501 5.5.4 ..."),
    ("", Greeted, "C: EHLO \\*256(x)\nS: 501 5.5.4 ..."),
    ("", Greeted, "C: LHLO client.example\nS: 500 5.5.1 ..."),
    ("@ dialect lmtp\n", Greeted, "C: EHLO client.example\nS: 500 5.5.1 ..."),
    // The order of commands.
    ("", Greeted, "C: MAIL FROM:<>\nS: 503 5.5.1 ..."),
    ("", Greeted, "C: DATA\nS: 503 5.5.1 ..."),
    ("", Idle, "C: RCPT TO:<alice@example.org>\nS: 503 5.5.1 ..."),
    ("", Idle, "C: DATA\nS: 503 5.5.1 ..."),
    ("", Open, "C: MAIL FROM:<>\nS: 503 5.5.1 ..."),
    ("", Idle, "C: MAIL FROM:<>\nS: 250 ...\nC: DATA\nS: 554 5.5.1 ..."),
    ("", Open, "C: DATA now\nS: 501 5.5.4 ..."),
    ("", Open, "C: RSET now\nS: 501 5.5.4 ..."),
    ("", Open, "C: QUIT now\nS: 501 5.5.4 ..."),
    ("", Idle, "C: VRFY alice\nS: 252 ..."),
    ("", Idle, "C: EXPN staff\nS: 502 5.5.1 ..."),
    // Addresses.
    ("", Idle, "C: MAIL\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL TO:<a@b.example>\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:\nS: 501 5.1.7 ..."),
    ("", Idle, "C: MAIL FROM:a@b.example\nS: 501 5.1.7 ..."),
    ("", Idle, "C: MAIL FROM:<a@b.example\nS: 501 5.1.7 ..."),
    ("", Idle, "C: MAIL FROM:<a>\nS: 501 5.1.7 ..."),
    ("", Idle, "C: MAIL FROM:<a@b..example>\nS: 501 5.1.7 ..."),
    ("", Idle, "C: MAIL FROM:<@a.example:b@c.example>\nS: 501 5.1.7 ..."),
    ("", Idle, "C: MAIL FROM:<\\xc3\\xbc@b.example>\nS: 553 5.6.7 ..."),
    ("", Idle, "C: MAIL FROM:<a@\\xc3\\xbc.example>\nS: 553 5.6.7 ..."),
    // Forwarders' senders (SRS) and those of lists (VERP) are long.
    ("", Idle, "C: MAIL FROM:<SRS0=\\*200(x)=a.example=joe@b.example>\nS: 250 ..."),
    ("", Idle, "C: MAIL FROM:<\\*300(x)@b.example>\nS: 501 5.1.7 ..."),
    ("", Open, "C: RCPT\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT FROM:<alice@example.org>\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<>\nS: 501 5.1.3 ..."),
    ("", Open, "C: RCPT TO:alice@example.org\nS: 501 5.1.3 ..."),
    ("", Open, "C: RCPT TO:<alice>\nS: 501 5.1.3 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org.>\nS: 501 5.1.3 ..."),
    ("", Open, "C: RCPT TO:<@mx.example.org:alice@example.org>\nS: 501 5.1.3 ..."),
    ("", Open, "C: RCPT TO:<@a,@b:alice@example.org>\nS: 501 5.1.3 ..."),
    ("", Open, "C: RCPT TO:<\\xc3\\xbc@example.org>\nS: 553 5.6.7 ..."),
    ("", Open, "C: RCPT TO:<nobody@example.org>\nS: 550 5.1.1 ..."),
    ("", Open, "C: RCPT TO:<joe@elsewhere.example>\nS: 550 5.7.1 ..."),
    ("", Open, "C: RCPT TO:<full@example.org>\nS: 452 4.2.2 ..."),
    // Parameters.
    ("", Idle, "C: MAIL FROM:<>SIZE=1\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> X-Y=1\nS: 555 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> AUTH=<>\nS: 555 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> SMTPUTF8\nS: 250 ..."),
    ("", Idle, "C: MAIL FROM:<> SMTPUTF8=1\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> SMTPUTF8 smtputf8\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<\\xc3\\xbc@b.example> SIZE=1\nS: 553 5.6.7 ..."),
    ("", Idle, "C: MAIL FROM:<\\xc3\\xbc@b.example> SMTPUTF8 X-Y\nS: 555 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<\\xc3\\xbc@b.example> SMTPUTF8\nS: 250 ..."),
    ("", Idle, "C: MAIL FROM:<a@\\xc3\\xbc.example> SMTPUTF8\nS: 250 ..."),
    ("", Idle, "C: MAIL FROM:<a@\\xc3\\xbc..example> SMTPUTF8\nS: 501 5.1.7 ..."),
    ("", Idle, "C: MAIL FROM:<\\xc3\\xbc> SMTPUTF8\nS: 501 5.1.7 ..."),
    ("", Idle, "C: MAIL FROM:<\\xc3\\x28@b.example> SMTPUTF8\nS: 500 5.5.2 ..."),
    ("", Idle, "C: MAIL FROM:<\\xed\\xa0\\x80@b.example> SMTPUTF8\nS: 500 5.5.2 ..."),
    ("", Idle, "C: MAIL FROM:<\\xc2\\x85@b.example> SMTPUTF8\nS: 500 5.5.2 ..."),
    (
        "",
        Idle,
        "C: MAIL FROM:<> BODY=8BITMIME SMTPUTF8\nS: 250 ...\nC: RCPT TO:<\\xc3\\xbc@example.org>\nS: 550 5.1.1 ...",
    ),
    ("", Idle, "C: MAIL FROM:<> SMTPUTF8\nS: 250 ...\nC: RCPT TO:<\\xc3\\xbc@>\nS: 501 5.1.3 ..."),
    (
        "",
        Idle,
        "C: MAIL FROM:<> SMTPUTF8\nS: 250 ...\nC: RSET\nS: 250 ...\nC: MAIL FROM:<>\nS: 250 ...\nC: RCPT TO:<\\xc3\\xbc@example.org>\nS: 553 5.6.7 ...",
    ),
    ("", Idle, "C: MAIL FROM:<> SIZE=\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> SIZE\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> SIZE=1x\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> SIZE=-1\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> SIZE=1 SIZE=1\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> SIZE=000000000000000000001\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> BODY=9BIT\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> BODY=BINARYMIME\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> X-Y\nS: 555 5.5.4 ..."),
    // DSN (RFC 3461).
    ("", Idle, "C: MAIL FROM:<> RET=HDRS ENVID=QQ+20314159+2B\nS: 250 ..."),
    ("", Idle, "C: MAIL FROM:<> ret=full envid=a\nS: 250 ..."),
    ("", Idle, "C: MAIL FROM:<> RET=BODY\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> RET\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> RET=FULL RET=FULL\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> ENVID=a ENVID=a\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> ENVID=a+0Ab\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> ENVID=a+0Db\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> ENVID=a+00b\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> ENVID=a+1Bb\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> ENVID=a+C3+BC\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> ENVID=a+2\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> ENVID=a+2b\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> ENVID=a=b\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> ENVID=\\*100(x)\nS: 250 ..."),
    ("", Idle, "C: MAIL FROM:<> ENVID=\\*101(x)\nS: 501 5.5.4 ..."),
    ("", Idle, "C: MAIL FROM:<> NOTIFY=NEVER\nS: 555 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> RET=FULL\nS: 555 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> NOTIFY=NEVER\nS: 250 ..."),
    (
        "",
        Open,
        "C: RCPT TO:<alice@example.org> notify=Success,delay,FAILURE orcpt=rfc822;bob@example.org\nS: 250 ...",
    ),
    ("", Open, "C: RCPT TO:<alice@example.org> NOTIFY=NEVER,SUCCESS\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> NOTIFY=SUCCESS,\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> NOTIFY=ALWAYS\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> NOTIFY\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> NOTIFY=NEVER NOTIFY=NEVER\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ORCPT=rfc822\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ORCPT=;bob\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ORCPT=rfc822;\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ORCPT=rfc(822;bob\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ORCPT=rfc822;a+0Ab\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ORCPT=rfc822;a+0Db\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ORCPT=rfc822;a+00b\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ORCPT=rfc822;a+07b\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ORCPT=rfc822;a ORCPT=rfc822;a\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ORCPT=rfc822;\\*493(x)\nS: 250 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ORCPT=rfc822;\\*494(x)\nS: 501 5.5.4 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ORCPT=rfc822;\\*1100(x)\nS: 500 5.5.2 ..."),
    ("", Open, "C: RCPT TO:<alice@example.org> ==\nS: 501 5.5.4 ..."),
    // Size, declared or real.
    ("", Idle, "C: MAIL FROM:<> SIZE=1000\nS: 250 ..."),
    ("", Idle, "C: MAIL FROM:<> SIZE=1001\nS: 552 5.3.4 ..."),
    ("", Idle, "C: MAIL FROM:<> SIZE=99999999999999999999\nS: 552 5.3.4 ..."),
    ("", Text, "C: \\*998(x)\nC: .\nS: 250 ..."),
    ("", Text, "C: \\*999(x)\nC: .\nS: 552 5.3.4 ..."),
    ("", Text, "C: \\*100000(x)\nC: .\nS: 552 5.3.4 ..."),
    ("", Text, "C: \\*1200000(x)\\\nS: 552 5.3.4 ...\n! close"),
    ("@ size 200000\n", Text, "C: Subject: disk full\nC: \\*150000(x)\nC: .\nS: 452 4.3.1 ..."),
    // Text in parts.
    ("", Idle, "C: BDAT 6 LAST\nC: QUIT\nS: 503 5.5.1 ..."),
    ("", Greeted, "C: BDAT 6\nC: QUIT\nS: 503 5.5.1 ..."),
    ("", Open, "C: BDAT\nS: 501 5.5.4 ...\n! close"),
    ("", Open, "C: BDAT x\nS: 501 5.5.4 ...\n! close"),
    ("", Open, "C: BDAT -1\nS: 501 5.5.4 ...\n! close"),
    ("", Open, "C: BDAT +1\nS: 501 5.5.4 ...\n! close"),
    ("", Open, "C: BDAT 1.5\nS: 501 5.5.4 ...\n! close"),
    ("", Open, "C: BDAT 0x5\nS: 501 5.5.4 ...\n! close"),
    ("", Open, "C: BDAT 5 FIRST\nS: 501 5.5.4 ...\n! close"),
    ("", Open, "C: BDAT 5 LAST LAST\nS: 501 5.5.4 ...\n! close"),
    ("", Open, "C: BDAT LAST\nS: 501 5.5.4 ...\n! close"),
    ("", Open, "C: BDAT 9999999999\nS: 501 5.5.4 ...\n! close"),
    ("", Open, "C: BDAT 18446744073709551616 LAST\nS: 501 5.5.4 ...\n! close"),
    ("", Idle, "C: BDAT x\nC: MAIL FROM:<>\nS: 501 5.5.4 ...\n! close"),
    ("", Open, "C: BDAT 3\nC: a\nS: 250 2.0.0 ...\nC: DATA\nS: 503 5.5.1 ..."),
    ("", Open, "C: BDAT 3\nC: a\nS: 250 2.0.0 ...\nC: MAIL FROM:<>\nS: 503 5.5.1 ..."),
    ("", Open, "C: BDAT 3\nC: a\nS: 250 2.0.0 ...\nC: RCPT TO:<bob@example.org>\nS: 503 5.5.1 ..."),
    ("", Open, "C: BDAT 3\nC: a\nS: 250 2.0.0 ...\nC: STARTTLS\nS: 503 5.5.1 ..."),
    ("", Open, "C: BDAT 3\nC: a\nS: 250 2.0.0 ...\nC: BDAT -3\nS: 501 5.5.4 ...\n! close"),
    ("", Idle, "C: MAIL FROM:<>\nS: 250 ...\nC: BDAT 6 LAST\nC: QUIT\nS: 554 5.5.1 ..."),
    ("", Open, "C: BDAT 5 LAST\nC: a\\nb\nS: 550 5.5.2 ...\n! close"),
    ("", Open, "C: BDAT 5 LAST\nC: a\\rb\nS: 550 5.5.2 ...\n! close"),
    ("", Open, "C: BDAT 5 LAST\nC: a\\0b\nS: 550 5.5.2 ...\n! close"),
    ("", Open, "C: BDAT 5\nC: a\\nb\nS: 550 5.5.2 ...\n! close"),
    ("", Open, "C: BDAT 2 LAST\nC: a\\r\\\nS: 550 5.5.2 ...\n! close"),
    ("", Open, "C: BDAT 2\nC: a\\r\\\nS: 250 2.0.0 ...\nC: BDAT 3 LAST\nC: b\nS: 550 5.5.2 ...\n! close"),
    ("", Open, "C: BDAT 2\nC: a\\r\\\nS: 250 2.0.0 ...\nC: BDAT 0 LAST\nS: 550 5.5.2 ...\n! close"),
    ("", Open, "C: BDAT 8\nC: a\\nb\nC: .\nC: MAIL FROM:<x@y.example>\nS: 550 5.5.2 ...\n! close"),
    ("", Open, "C: BDAT 2\nC: a\\r\\\nS: 250 2.0.0 ...\nC: BDAT 1 LAST\nC: \\n\\\nS: 250 2.0.0 ..."),
    ("", Open, "C: BDAT 1000 LAST\nC: \\*998(x)\nS: 250 2.0.0 ..."),
    ("", Open, "C: BDAT 1001 LAST\nC: \\*999(x)\nS: 552 5.3.4 ..."),
    ("", Open, "C: BDAT 999 LAST\nC: \\*999(x)\\\nS: 552 5.3.4 ..."),
    ("", Open, "C: BDAT 600\nC: \\*598(x)\nS: 250 2.0.0 ...\nC: BDAT 600\nC: \\*598(x)\nS: 552 5.3.4 ..."),
    ("", Open, "C: BDAT 100000 LAST\nC: \\*99998(x)\nS: 552 5.3.4 ..."),
    ("", Open, "C: BDAT 13 LAST\nC: a\nC: .\nC: RSET\nC: b\\\nS: 250 2.0.0 ..."),
    // Logins.
    ("@ dialect submission\n@ logins offered\n@ tls offered\n", Idle, "C: MAIL FROM:<>\nS: 530 5.7.0 ..."),
    (SUBMISSION, Idle, "C: MAIL FROM:<>\nS: 530 5.7.0 ..."),
    (SUBMISSION, Idle, "C: MAIL nonsense\nS: 530 5.7.0 ..."),
    (TLS, Idle, "C: AUTH PLAIN \\b(\\0alice\\0wonderland)\nS: 530 5.7.0 ..."),
    ("", Idle, "C: AUTH PLAIN \\b(\\0alice\\0wonderland)\nS: 502 5.5.1 ..."),
    (SUBMISSION, Greeted, "C: AUTH PLAIN \\b(\\0alice\\0wonderland)\nS: 503 5.5.1 ..."),
    (SUBMISSION, Idle, "C: AUTH\nS: 501 5.5.4 ..."),
    (SUBMISSION, Idle, "C: AUTH PLAIN a b\nS: 501 5.5.4 ..."),
    (SUBMISSION, Idle, "C: AUTH GSSAPI\nS: 504 5.5.4 ..."),
    (SUBMISSION, Idle, "C: AUTH CRAM-MD5\nS: 534 5.7.9 ..."),
    (SUBMISSION, Idle, "C: AUTH digest-md5\nS: 534 5.7.9 ..."),
    (SUBMISSION, Idle, "C: AUTH PLAIN \\b(\\0alice\\0looking glass)\nS: 535 5.7.8 ..."),
    (SUBMISSION, Idle, "C: AUTH PLAIN \\b(bob\\0alice\\0wonderland)\nS: 535 5.7.8 ..."),
    (SUBMISSION, Idle, "C: AUTH PLAIN \\b(alice\\0alice\\0wonderland)\nS: 235 2.7.0 ..."),
    (SUBMISSION, Idle, "C: AUTH PLAIN AGFsa\nS: 501 5.5.2 ..."),
    (SUBMISSION, Idle, "C: AUTH PLAIN !!!!\nS: 501 5.5.2 ..."),
    (SUBMISSION, Idle, "C: AUTH PLAIN \\b(alice)\nS: 501 5.5.2 ..."),
    (SUBMISSION, Idle, "C: AUTH PLAIN \\b(\\0al\\nice\\0x)\nS: 501 5.5.2 ..."),
    (SUBMISSION, Idle, "C: AUTH LOGIN\nS: 334 ...\nC: \\0\nS: 501 5.5.2 ..."),
    (SUBMISSION, Idle, "C: AUTH LOGIN\nS: 334 ...\nC:\nS: 501 5.5.2 ..."),
    (SUBMISSION, Idle, "C: AUTH LOGIN\nS: 334 ...\nC: *\nS: 501 5.7.0 ..."),
    (SUBMISSION, Idle, "C: AUTH LOGIN \\b(alice)\nS: 334 ...\nC: *\nS: 501 5.7.0 ..."),
    (SUBMISSION, Idle, "C: AUTH PLAIN \\b(\\0broken\\0x)\nS: 454 4.7.0 ..."),
    (SUBMISSION_IN, Idle, "C: AUTH PLAIN \\b(\\0alice\\0wonderland)\nS: 503 5.5.1 ..."),
    (SUBMISSION_IN, Open, "C: AUTH PLAIN \\b(\\0alice\\0wonderland)\nS: 503 5.5.1 ..."),
    // An agent that has enough.
    ("", Idle, "C: MAIL FROM:<slow@client.example>\nS: 421 4.7.0 ...\n! close"),
    // Time.
    ("", Greeted, "! deadline\nS: 421 4.4.2 ...\n! close"),
    ("", Open, "C: RCPT\\\n! deadline\nS: 421 4.4.2 ...\n! close"),
    ("", Text, "C: x\\\n! deadline\nS: 421 4.4.2 ...\n! close"),
    (SUBMISSION, Idle, "C: AUTH LOGIN\nS: 334 ...\nC: A\\\n! deadline\nS: 421 4.4.2 ...\n! close"),
];

const SUBMISSION_IN: &str =
    "@ dialect submission\n@ tls standing\n@ logins offered\n@ login alice@example.org\n";

/// A row as a dialogue. Where the connection is to stay of use, that is tried.
pub fn dialogue((order, when, row): &Row) -> String {
    let of_use = if row.ends_with("! close") { "" } else { "C: NOOP\nS: 250 2.0.0 Ok\n" };
    format!("{order}{}{row}\n{of_use}", when.so_far())
}

fn judge(rows: &[Row], paces: &[Pace]) {
    let mut wrong = Vec::new();
    for row in rows {
        let talk = Talk::parse("row", &dialogue(row), Side::Server);
        for pace in paces {
            let played = panic::catch_unwind(|| talk.play_session_at(*pace, scripted));
            if let Err(fault) = played {
                let said = fault.downcast_ref::<String>().cloned().unwrap_or_default();
                wrong.push(format!("{}\n{said}", row.2));
            }
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn each_refusal_is_given_as_the_table_says() {
    judge(ROWS, &[Pace::Whole, Pace::Octets]);
}

#[test]
fn who_speaks_before_his_turn_is_sent_away() {
    judge(&EARLY, &[Pace::Whole]);
}

#[test]
fn a_hundred_recipients_are_taken_and_more_than_the_limit_are_told_to_come_again() {
    let accepted = "C: RCPT TO:<alice@example.org>\nS: 250 2.1.5 Ok\n".repeat(100);
    let text = format!(
        "@ recipients 101\n{}{accepted}C: RCPT TO:<bob@example.org>\nS: 452 4.5.3 ...\nC: DATA\nS: 354 ...\nC: .\nS: 250 ...\n",
        Open.so_far()
    );
    Talk::parse("recipients", &text, Side::Server).play_session(scripted);
}

#[test]
fn who_gives_a_long_list_at_once_comes_to_send_the_message_but_not_without_end() {
    let accepted = "C: RCPT TO:<alice@example.org>\nS: 250 2.1.5 Ok\n".repeat(30);
    let excess = "C: RCPT TO:<bob@example.org>\nS: 452 4.5.3 ...\n".repeat(30);
    let end = "C: DATA\nS: 354 ...\nC: .\nS: 250 ...\n";
    let start = format!(
        "@ recipients 30\n{}{accepted}{excess}",
        Open.so_far().replace("C: RCPT TO:<alice@example.org>\nS: 250 ...\n", "")
    );
    Talk::parse("excess", &format!("{start}{end}"), Side::Server).play_session(scripted);
    let errors = "C: RCPT TO:<bob@example.org>\nS: 452 4.5.3 ...\n".repeat(20);
    let text =
        format!("{start}{errors}C: RCPT TO:<bob@example.org>\nS: 421 4.7.0 Too many errors\n! close\n");
    Talk::parse("without end", &text, Side::Server).play_session(scripted);
}

#[test]
fn who_tries_out_names_is_cut_off_whether_they_are_refused_for_good_or_for_now() {
    for (name, reply) in [("nobody", "550 5.1.1"), ("full", "452 4.2.2")] {
        let guess = format!("C: RCPT TO:<{name}@example.org>\nS: {reply} ...\n");
        let last = format!("C: RCPT TO:<{name}@example.org>\nS: 421 4.7.0 Too many errors\n! close\n");
        let text = format!("{}{}{last}", Open.so_far(), guess.repeat(20));
        Talk::parse(name, &text, Side::Server).play_session(scripted);
    }
}

#[test]
fn too_many_errors_end_it() {
    let bad = "C: XYZZY\nS: 500 5.5.2 ...\n";
    for (order, errors) in [("", 20), (SUBMISSION, 5), (SUBMISSION_IN, 50)] {
        let text = format!(
            "{order}{}{}C: XYZZY\nS: 421 4.7.0 Too many errors\n! close\n",
            Idle.so_far(),
            bad.repeat(errors)
        );
        Talk::parse("errors", &text, Side::Server).play_session(scripted);
    }
}

#[test]
fn wrong_passwords_count_as_errors() {
    let bad = "C: AUTH PLAIN \\b(\\0alice\\0x)\nS: 535 ...\n";
    let last = bad.replace("535 ...", "421 4.7.0 Too many errors\n! close");
    let text = format!("{SUBMISSION}{}{}{last}", Idle.so_far(), bad.repeat(5));
    Talk::parse("passwords", &text, Side::Server).play_session(scripted);
}

#[test]
fn commands_that_lead_nowhere_become_errors() {
    for idle in [
        "NOOP\nS: 250 ...",
        "HELP\nS: 214 ...",
        "VRFY x\nS: 252 ...",
        "RSET\nS: 250 ...",
        "EHLO a\nS+ 250-...\nS: 250 ...",
    ] {
        let (command, _) = idle.split_once('\n').unwrap();
        let text = format!(
            "{}{}C: {command}\nS: 421 4.7.0 Too many errors\n! close\n",
            Idle.so_far(),
            format!("C: {idle}\n").repeat(120)
        );
        Talk::parse("idle", &text, Side::Server).play_session(scripted);
    }
}

#[test]
fn a_message_taken_forgives_the_errors_before_it() {
    let bad = "C: XYZZY\nS: 500 5.5.2 ...\n".repeat(15);
    let text =
        format!("{}{bad}C: DATA\nS: 354 ...\nC: .\nS: 250 ...\n{bad}C: NOOP\nS: 250 ...\n", Open.so_far());
    Talk::parse("forgiven", &text, Side::Server).play_session(scripted);
}
