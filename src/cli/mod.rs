//! One file a program: flags become settings, settings an order for an agent.

pub mod config;
pub mod daemon;
pub mod deliver;
pub mod exit;
pub mod fetch;
pub mod flags;
pub mod list;
pub mod log;
pub mod open;
pub mod place;
pub mod prompt;
pub mod queue;
pub mod relayd;
pub mod secret;
pub mod send;
pub mod sendmail;
pub mod serve;
pub mod server;
pub mod show;
pub mod submit;
pub mod terminal;
pub mod user;

/// The flag table of every program in `bin/`: `tests/pages.rs` compares it with the manual pages, and completions are
/// made from it. A new program adds its line, `x::command()`.
pub fn commands() -> Vec<clap::Command> {
    vec![
        deliver::command(),
        fetch::command(),
        list::command(),
        queue::command(),
        relayd::command(),
        send::command(),
        serve::command(),
        show::command(),
        user::command(),
    ]
}
