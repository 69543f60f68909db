//! mail-show(1).

use super::{
    exit::{Exit, Failure, run},
    flags, place,
};
use crate::agent::show::{self, Fault, Order};
use clap::{ArgAction, CommandFactory as _, Parser};
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

/// Show messages as text, or parts of them
#[derive(Parser, Debug)]
#[command(name = "mail-show", version, disable_help_flag = true)]
struct Flags {
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Message files; default: their paths on stdin
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the values of the header fields of this name, decoded, one a line
    #[arg(short = 'h', long, value_name = "NAME", conflicts_with_all = ["part", "save", "json"])]
    header: Vec<String>,
    /// Print, or save, the part of this number, decoded
    #[arg(short, long, value_name = "NUMBER", conflicts_with = "json")]
    part: Option<String>,
    /// Save the attachments into this directory and print their paths
    #[arg(short, long, value_name = "DIR", conflicts_with = "json")]
    save: Option<PathBuf>,
    /// Paths on stdin end in NUL
    #[arg(short = '0', long)]
    null: bool,
    #[command(flatten)]
    json: flags::Json,
}

/// The flag table.
pub fn command() -> clap::Command {
    Flags::command()
}

/// The program.
pub fn main() -> ExitCode {
    run("mail-show", || shown(flags::parse()?))
}

fn shown(flags: Flags) -> Result<Exit, Failure> {
    let terminal = io::stdout().is_terminal();
    let order = match (flags.json.json, flags.save, flags.part) {
        (true, ..) => Order::Json,
        (_, Some(into), number) => Order::Save { into, number },
        (_, None, Some(number)) => Order::Part { number, harmless: terminal },
        _ if !flags.header.is_empty() => Order::Fields(flags.header),
        _ => Order::Text(super::terminal::columns(std::io::stdout())),
    };
    let files = match flags.files.is_empty() {
        true if io::stdin().is_terminal() => {
            return Err(Failure::usage("no message named: give files, or their paths on stdin"));
        }
        true => place::on_stdin(if flags.null { 0 } else { b'\n' })?,
        false => flags.files,
    };
    let headed = files.len() > 1 && matches!(order, Order::Text(_));
    let mut out = io::BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let mut exit = Exit::Ok;
    for (at, file) in files.iter().enumerate() {
        if headed {
            let gap = if at == 0 { "" } else { "\n" };
            let name = file.display().to_string();
            let name = crate::mail::harmless::line(&name);
            writeln!(out, "{gap}==> {name} <==").map_err(Failure::stdout)?;
        }
        let status = match show::run(file, &order, &mut out) {
            Ok(()) => continue,
            Err(Fault::Output(why)) => return Err(Failure::stdout(why)),
            Err(fault) => {
                out.flush().map_err(Failure::stdout)?;
                let status = match &fault {
                    Fault::Input(why) => Exit::of_input(why),
                    Fault::NoPart(..) => Exit::DataErr,
                    Fault::NotText(_) => Exit::Usage,
                    Fault::File(..) | Fault::Output(_) => Exit::CantCreat,
                };
                // With stderr gone there is nobody left to tell; the status still says it.
                let _ = writeln!(io::stderr(), "mail-show: {}: {fault}", file.display());
                status
            }
        };
        exit = Exit::over([exit, status]);
    }
    out.flush().map_err(Failure::stdout)?;
    Ok(exit)
}
