//! What mail-send is when it is called as `sendmail`: the old flags, and mail-relayd's socket for local programs. Cron, mutt, git,
//! PHP and thousands of scripts know no other way to send.

use super::{
    config::{Config, Reader, load},
    exit::{Exit, Failure},
    flags::Configuration,
    queue,
    server::Place,
    submit::{self, Job, Sought, Via},
};
use crate::{
    agent::send::{text::Text, until_dot::UntilDot},
    mail::{
        address::{Domain, Mailbox},
        envelope::Body,
    },
    net::dial,
};
use std::{ffi::OsString, io, path::PathBuf, time::Duration};

/// The flags, and whether a value stands behind. The page sendmail(8) has the same, which a test sees to.
pub const FLAGS: [(char, bool); 15] = [
    ('B', true),
    ('C', true),
    ('F', true),
    ('N', true),
    ('O', true),
    ('R', true),
    ('V', true),
    ('b', true),
    ('f', true),
    ('i', false),
    ('o', true),
    ('q', false),
    ('r', true),
    ('t', false),
    ('v', false),
];
/// The values of `-b`.
pub const MODES: [&str; 3] = ["m", "p", "s"];

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Mode {
    /// `-bm`: send a message.
    #[default]
    Message,
    /// `-bs`: SMTP on stdin and stdout.
    Smtp,
    /// `-bp`: print the queue.
    Print,
    /// `-q`: try what waits.
    Flush,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Flags {
    mode: Mode,
    config: Option<PathBuf>,
    read_recipients: bool,
    /// A line with a dot alone does not end the message.
    ignore_dots: bool,
    sender: Option<String>,
    full_name: Option<String>,
    body: Option<Body>,
    verbose: bool,
    recipients: Vec<String>,
}

/// Runs sendmail with the words behind its name.
pub fn run(words: impl Iterator<Item = OsString>) -> Result<Exit, Failure> {
    let flags = read(words)?;
    let configuration = Configuration { config: flags.config.clone(), check_config: false };
    match flags.mode {
        Mode::Print => return queue::print(configuration),
        Mode::Flush => return queue::flush(configuration),
        Mode::Message | Mode::Smtp => {}
    }
    let config = load(&configuration, Reader::User)?;
    match flags.mode {
        Mode::Smtp => talk(&Via::local(&config)),
        _ => job(flags, &config)?.run(),
    }
}

fn job(flags: Flags, config: &Config) -> Result<Job, Failure> {
    let here = submit::here(&config.hostname);
    let mut recipients: Vec<Mailbox> = Vec::new();
    let mut add = |more: Vec<Mailbox>| {
        for one in more {
            if !recipients.contains(&one) {
                recipients.push(one);
            }
        }
    };
    for text in &flags.recipients {
        add(submit::mailboxes(text, &here)?);
    }
    let given = flags.sender.as_deref().map(|text| submit::sender(text, &here)).transpose()?;
    let stdin = submit::stdin()?;
    let read = if flags.ignore_dots { Text::read(stdin) } else { Text::read(UntilDot::new(stdin)) };
    let mut text = read.map_err(|fault| Failure::input("stdin", &fault))?;
    if flags.read_recipients {
        add(text
            .addressees(&here)
            .map_err(|fault| Failure::new(Exit::DataErr, format!("stdin: {fault}")))?);
    }
    let (sender, from) = author(given, flags.full_name, here);
    text.finish(Some(&from));
    Ok(Job {
        program: "sendmail",
        via: Via::local(config),
        name: config.hostname.clone(),
        sender,
        recipients,
        sought: if flags.read_recipients { Sought::Header } else { Sought::Named },
        text,
        body: flags.body,
        verbose: flags.verbose,
        quiet: false,
        json: false,
        dry_run: false,
    })
}

/// The envelope's sender, and From for a message that has none. Who runs us is asked only where nobody was named.
fn author(
    given: Option<Option<Mailbox>>,
    full_name: Option<String>,
    here: Domain,
) -> (Option<Mailbox>, String) {
    match given {
        Some(Some(sender)) => {
            let from = submit::named(full_name.as_deref().unwrap_or_default(), &sender);
            (Some(sender), from)
        }
        other => {
            let (login, name) = submit::whoami();
            let own = Mailbox { local: login, domain: here };
            let from = submit::named(full_name.as_deref().unwrap_or(&name), &own);
            (if other.is_some() { None } else { Some(own) }, from)
        }
    }
}

/// SMTP between stdin, stdout and the daemon.
fn talk(via: &Via) -> Result<Exit, Failure> {
    let Place::Unix(path) = &via.server.place else { return Err(Failure::usage("-bs: no local socket")) };
    let lost = |fault: io::Error| Failure::new(Exit::TempFail, format!("{}: {fault}", via.server));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|fault| Failure::new(Exit::OsErr, format!("no event loop: {fault}")))?;
    let ended = runtime.block_on(async {
        let server = dial::unix(path, Duration::from_secs(30)).await?;
        let (mut from_server, mut to_server) = server.into_split();
        let (mut stdin, mut stdout) = (tokio::io::stdin(), tokio::io::stdout());
        let up = async {
            let copied = tokio::io::copy(&mut stdin, &mut to_server).await;
            // The end of stdin is the end of what the client says.
            drop(to_server);
            copied
        };
        let down = tokio::io::copy(&mut from_server, &mut stdout);
        tokio::pin!(up, down);
        // The server's end ends all; the client's does not.
        tokio::select! {
            biased;
            ended = &mut down => ended,
            said = &mut up => match said {
                Ok(_) => down.await,
                // The server has closed; what it said last is still to be told.
                Err(_) => down.await,
            },
        }
    });
    runtime.shutdown_background();
    ended.map_err(lost)?;
    Ok(Exit::Ok)
}

/// Reads the words as getopt(3) does: flags may be joined, and a value may be joined to its flag. What begins with a hyphen
/// is a flag up to `--` or the first word that is none.
fn read(words: impl Iterator<Item = OsString>) -> Result<Flags, Failure> {
    let mut flags = Flags::default();
    let mut words =
        words.map(|word| word.into_string().map_err(|word| Failure::usage(format!("{word:?} is not UTF-8"))));
    while let Some(word) = words.next().transpose()? {
        let letters = match word.strip_prefix('-') {
            Some("-") => {
                flags.recipients.extend(words.by_ref().collect::<Result<Vec<_>, _>>()?);
                break;
            }
            Some(letters) if !letters.is_empty() => letters,
            _ => {
                flags.recipients.push(word);
                flags.recipients.extend(words.by_ref().collect::<Result<Vec<_>, _>>()?);
                break;
            }
        };
        let mut rest = letters.chars();
        while let Some(letter) = rest.next() {
            let valued = FLAGS.iter().any(|&(known, valued)| known == letter && valued);
            let mut value = || match rest.as_str() {
                "" => words
                    .next()
                    .transpose()?
                    .ok_or_else(|| Failure::usage(format!("-{letter} needs a value"))),
                joined => Ok(joined.to_owned()),
            };
            match letter {
                't' => flags.read_recipients = true,
                'i' => flags.ignore_dots = true,
                'v' => flags.verbose = true,
                'q' if rest.as_str().is_empty() => flags.mode = Mode::Flush,
                'f' | 'r' => flags.sender = Some(plain('f', value()?)?),
                'F' => flags.full_name = Some(plain('F', value()?)?),
                'C' => flags.config = Some(value()?.into()),
                'B' => flags.body = Some(body(&value()?)?),
                'b' => flags.mode = mode(&value()?)?,
                // What a delivery report is to hold: taken, since callers give it, but nothing is made of it yet.
                'N' | 'R' | 'V' => drop(plain(letter, value()?)?),
                // Options in old style: only `i` means something here.
                'o' => flags.ignore_dots |= value()? == "i",
                'O' => flags.ignore_dots |= is_ignore_dots(&value()?),
                _ => {
                    let text = format!("-{letter} (of {word}) is not known here; see sendmail(8)");
                    return Err(Failure::usage(text));
                }
            }
            if valued {
                break;
            }
        }
    }
    Ok(flags)
}

/// Refuses what could end a header field or a command.
fn plain(letter: char, value: String) -> Result<String, Failure> {
    match value.chars().any(char::is_control) {
        true => Err(Failure::usage(format!("-{letter} {value:?} holds a control character"))),
        false => Ok(value),
    }
}

fn body(value: &str) -> Result<Body, Failure> {
    match value.to_ascii_uppercase().as_str() {
        "7BIT" => Ok(Body::SevenBit),
        "8BITMIME" => Ok(Body::EightBitMime),
        _ => Err(Failure::usage(format!("-B {value:?}: write 7BIT or 8BITMIME"))),
    }
}

fn mode(value: &str) -> Result<Mode, Failure> {
    match value {
        "m" => Ok(Mode::Message),
        "s" => Ok(Mode::Smtp),
        "p" => Ok(Mode::Print),
        _ => Err(Failure::usage(format!("-b{} is not known here; see sendmail(8)", value.escape_debug()))),
    }
}

fn is_ignore_dots(option: &str) -> bool {
    let (name, value) = option.split_once('=').unwrap_or((option, "true"));
    name.trim().eq_ignore_ascii_case("IgnoreDots") && !value.trim().eq_ignore_ascii_case("false")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &[&str]) -> Result<Flags, Failure> {
        read(line.iter().map(OsString::from))
    }

    #[test]
    fn callers_in_the_wild_are_understood() {
        let some = |text: &str| Some(text.to_owned());
        let base = Flags::default;
        let to = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let cases: [(&[&str], Flags); 10] = [
            // PHP; logwatch
            (&["-t", "-i"], Flags { read_recipients: true, ignore_dots: true, ..base() }),
            // cron
            (
                &["-FCronDaemon", "-i", "-B8BITMIME", "-oem", "root"],
                Flags {
                    full_name: some("CronDaemon"),
                    ignore_dots: true,
                    body: Some(Body::EightBitMime),
                    recipients: to(&["root"]),
                    ..base()
                },
            ),
            // mutt
            (
                &["-oem", "-oi", "-f", "me@x", "--", "a@x", "-b@x"],
                Flags { ignore_dots: true, sender: some("me@x"), recipients: to(&["a@x", "-b@x"]), ..base() },
            ),
            // git send-email
            (
                &["-f", "me@x", "-i", "a@x", "b@x"],
                Flags { ignore_dots: true, sender: some("me@x"), recipients: to(&["a@x", "b@x"]), ..base() },
            ),
            (
                &["-ti", "-f<>"],
                Flags { read_recipients: true, ignore_dots: true, sender: some("<>"), ..base() },
            ),
            (&["-f", "-x@y", "a"], Flags { sender: some("-x@y"), recipients: to(&["a"]), ..base() }),
            (&["-bm", "-v", "a", "-t"], Flags { verbose: true, recipients: to(&["a", "-t"]), ..base() }),
            (&["-bs"], Flags { mode: Mode::Smtp, ..base() }),
            (&["-bp"], Flags { mode: Mode::Print, ..base() }),
            (
                &["-O", "IgnoreDots=true", "-odb", "-N", "never", "a"],
                Flags { ignore_dots: true, recipients: to(&["a"]), ..base() },
            ),
        ];
        for (line, wanted) in cases {
            assert_eq!(flags(line).unwrap(), wanted, "{line:?}");
        }
    }

    #[test]
    fn the_table_is_what_is_read() {
        for letter in ('!'..='~').filter(|&letter| letter != '-') {
            let alone = format!("-{letter}");
            let said = flags(&[&alone]).err().map(|failure| failure.text().to_owned()).unwrap_or_default();
            match FLAGS.iter().find(|&&(known, _)| known == letter) {
                Some((_, true)) => assert!(said.contains("needs a value"), "{alone}: {said}"),
                Some((_, false)) => assert_eq!(said, "", "{alone}"),
                None => assert!(said.contains("is not known here"), "{alone}: {said}"),
            }
            let mode = format!("-b{letter}");
            assert_eq!(flags(&[&mode]).is_ok(), MODES.contains(&&mode[2..]), "{mode}");
        }
    }

    #[test]
    fn what_is_not_taken_is_named() {
        for (line, said) in [
            (&["-bd"][..], "-bd"),
            (&["-q15m"], "-q"),
            (&["-Ac"], "-A"),
            (&["-f"], "-f"),
            (&["-B", "9BIT"], "9BIT"),
            (&["-F", "Me\r\nBcc: x@y", "a"], "-F"),
            (&["-f", "a\n@b"], "-f"),
            (&["--read"], "--"),
        ] {
            let failure = flags(line).unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage);
            assert!(failure.text().contains(said), "{line:?}: {}", failure.text());
        }
    }
}
