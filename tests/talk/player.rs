//! The player itself: what it must notice.

use crate::kit::talk::{Scripted, Side, Talk};
use posthaste::wire::session::{Input, Session, Step, Turn};
use std::{panic, process::Command, time::Duration};

/// Greets, answers each line with itself behind `250 `, knows `TLS`, `ASK` and `QUIT`.
#[derive(Default)]
struct Echo {
    greeted: bool,
    secured: bool,
}

impl Session for Echo {
    type Ask = ();
    type Answer = u32;
    type Event = u32;

    fn turn(&mut self, input: Input<'_, u32, u32>, out: &mut Vec<u8>) -> Turn<()> {
        let read = Step::Read(Duration::from_secs(1));
        let mut say = |text: &str| out.extend_from_slice(format!("{text}\r\n").as_bytes());
        match input {
            Input::Begin => return Turn { used: 0, step: Step::Read(Duration::ZERO) },
            Input::Deadline if !self.greeted => {
                self.greeted = true;
                say("220 hello");
            }
            Input::Octets(octets) if !self.greeted => {
                say("554 too early");
                return Turn { used: octets.len(), step: Step::Close };
            }
            Input::Answer(number) => say(&format!("250 answer {number}")),
            Input::Event(number) => say(&format!("* event {number}")),
            Input::Secured => self.secured = true,
            Input::Deadline => {
                say("421 too slow");
                return Turn { used: 0, step: Step::Close };
            }
            Input::Eof => return Turn { used: 0, step: Step::Close },
            Input::Octets(octets) => {
                let mut used = 0;
                while let Some(at) = octets[used..].iter().position(|&octet| octet == b'\n') {
                    let line = octets[used..used + at].strip_suffix(b"\r").unwrap();
                    used += at + 1;
                    match line {
                        b"TLS" => {
                            say("220 go");
                            return Turn { used, step: Step::StartTls };
                        }
                        b"ASK" => return Turn { used, step: Step::Ask(()) },
                        b"QUIT" => {
                            say("221 bye");
                            return Turn { used, step: Step::Close };
                        }
                        line => say(&format!("250 {}", line.escape_ascii())),
                    }
                }
                return Turn { used, step: if used == 0 { Step::More } else { read } };
            }
        }
        Turn { used: 0, step: read }
    }
}

fn play(text: &str) {
    let talk = Talk::parse("here", text, Side::Server);
    talk.play_session(|_| Scripted::new(Echo::default(), |()| 7).events(|name| name.parse().unwrap()));
}

#[test]
fn a_dialogue_that_keeps_to_its_script_passes() {
    play(
        "# all kinds of lines\nS: 220 hello\nC: one\nC: two\nS: 250 one\nS: 250 two\nC: ASK\nC: three\nS: 250 answer 7\nS: 250 three\n",
    );
    play(
        "S: 220 ...\nC: \\b(\\0a\\0b)\\*3(x\\))\\x41\\\\\nS: 250 AGEAYg==x)x)x)A\\\\\\\\\nC: QUIT\nS: ...bye\n! close\n",
    );
    play(
        "S: 220 hello\nC: a\nC: b\nC: c\nS+ 250 ...\n! event 5\nS: * event 5\n! deadline\nS: 421 too slow\n! close\n",
    );
    play("S: 220 hello\nC: TLS\nC: thrown away\nS: 220 go\n! tls\nC: x\nS: 250 x\n! eof\n! close\n");
    play("C: me first\nS: 554 too early\n! close\n");
    play("S: 220 hello\nC: no line end yet\\\nC:  but now\nS: 250 no line end yet but now\n");
}

#[test]
fn a_dialogue_that_leaves_its_script_fails() {
    for text in [
        "S: 220 hell\n",
        "S: 220 hello\nC: one\nS: 250 two\n",
        "S: 220 hello\nC: one\n",
        "S: 220 hello\nC: one\nC: two\nS: 250 one\nC: three\nS: 250 two\nS: 250 three\n",
        "S: 220 hello\n! close\n",
        "S: 220 hello\nC: x\nS: 250 x\n! tls\n",
        "S: 220 hello\nC: QUIT\nS: 221 bye\nC: x\nS: 250 x\n",
        "S: 220 hello\nC: dots\nS: 250 \\...\n",
        "S: 220 hello\nX: what is this\n",
    ] {
        assert!(panic::catch_unwind(|| play(text)).is_err(), "passed: {text}");
    }
}

#[test]
fn a_program_on_stdin_and_stdout_is_played_too() {
    let talk = Talk::parse(
        "here",
        "S: 220 ...\nC: one\nS: 250 one\nC: two\nS: 250 two\n! eof\nS: 221 bye\n! close\n",
        Side::Server,
    );
    talk.play_stdio(|_| {
        let mut command = Command::new("sh");
        command.args(["-c", r"printf '220 sh\r\n'; while read -r line; do printf '250 %s\n' $line; done; printf '221 bye\r\n'"]);
        command
    });
}
