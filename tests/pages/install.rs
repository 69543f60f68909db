//! `make install` puts everything where a packager expects it.

use super::{page::Page, programs};
use crate::kit;
use std::{fs, path::Path, process::Command};

#[test]
fn make_install_fills_a_prefix() {
    let Some(make) = kit::peer("make") else { return };
    let house = kit::house::House::new();
    let programs = programs::names();
    let first = kit::program(programs.first().unwrap());
    let out = Command::new(make)
        .current_dir(kit::root())
        .arg("install")
        .arg(format!("TARGET={}", first.parent().unwrap().display()))
        .arg(format!("DESTDIR={}", house.path("").display()))
        .arg("PREFIX=/opt/mail")
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let at = |name: &str| house.path("opt/mail").join(name);
    let there = |name: String| assert!(at(&name).exists(), "{name} was not installed");
    for program in &programs {
        there(format!("bin/{program}"));
        there(format!("share/bash-completion/completions/{program}"));
        there(format!("share/zsh/site-functions/_{program}"));
        there(format!("share/fish/vendor_completions.d/{program}.fish"));
    }
    for page in Page::all() {
        there(format!("share/man/man{}/{}", page.name.rsplit_once('.').unwrap().1, page.name));
    }
    let unit = fs::read_to_string(at("lib/systemd/system/mail-relayd.service")).unwrap();
    assert!(unit.contains("\nExecStart=/opt/mail/bin/mail-relayd"), "{unit}");
    // Names that callers know: each leads to a program that is there.
    for link in ["sbin/sendmail", "bin/mailq", "bin/newaliases"] {
        if let Ok(target) = fs::read_link(at(link)) {
            let target = at(link).parent().unwrap().join(target);
            assert!(Path::new(&target).exists(), "{link} leads nowhere");
        }
    }
}
