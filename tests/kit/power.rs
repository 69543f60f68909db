//! A disk whose power can be cut: ext4 in a file, mounted through a loop device, with a journal that writes only what
//! is synced (`commit=300`).

use super::{PATIENCE, missing, peer, scratch::Scratch};
use std::{
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// The disk. Unmounted when dropped.
pub struct Disk {
    scratch: Scratch,
    mount: PathBuf,
}

/// EXT4_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH (fs/ext4/ext4.h): from now on nothing reaches the disk, and every
/// write fails. Perl is part of every Debian, and can call an ioctl without code of ours that is unsafe.
const CUT: &str = r#"open(my $dir, "<", $ARGV[0]) or die "$!"; my $how = pack("I", 2); ioctl($dir, 0x8004587d, $how) or die "$!";"#;

impl Disk {
    /// Makes a disk of 256 MiB. Needs root and loop devices; where they are missing this says so and answers `None`, and
    /// with `CI=true` it is a failure instead.
    pub fn make(name: &str) -> Option<Disk> {
        if !rustix::process::getuid().is_root() {
            return missing("power cuts need root");
        }
        peer("mkfs.ext4")?;
        peer("perl")?;
        let scratch = Scratch::new(name);
        let (image, mount) = (scratch.path().join("image"), scratch.path().join("mount"));
        std::fs::create_dir(&mount).unwrap();
        std::fs::File::create(&image).unwrap().set_len(256 << 20).unwrap();
        run("mkfs.ext4", &["-q", "-F", image.to_str().unwrap()]).unwrap();
        let disk = Disk { scratch, mount };
        match disk.mount() {
            Ok(()) => Some(disk),
            Err(fault) => missing(&format!("power cuts need loop devices: {fault}")),
        }
    }

    /// Its root directory.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// Cuts the power.
    pub fn cut(&self) {
        run("perl", &["-e", CUT, self.mount.to_str().unwrap()]).unwrap();
    }

    /// Gives the power back. Nobody may have a file open on it; who was killed may be on its way out.
    pub fn restore(&self) {
        let until = Instant::now() + PATIENCE;
        while let Err(fault) = run("umount", &[self.mount.to_str().unwrap()]) {
            assert!(fault.contains("busy") && Instant::now() < until, "{fault}");
            thread::sleep(Duration::from_millis(10));
        }
        self.mount().unwrap();
    }

    fn mount(&self) -> Result<(), String> {
        let image = self.scratch.path().join("image");
        run("mount", &["-o", "loop,commit=300", image.to_str().unwrap(), self.mount.to_str().unwrap()])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run("umount", &["-l", self.mount.to_str().unwrap()]);
    }
}

/// A disk that is soon full: a tmpfs. Unmounted when dropped.
pub struct Small {
    scratch: Scratch,
}

impl Small {
    /// Makes one of so many octets. Needs root; where that is missing this says so and answers `None`, and with `CI=true` it
    /// is a failure instead.
    pub fn make(octets: u64) -> Option<Small> {
        if !rustix::process::getuid().is_root() {
            return missing("a small disk needs root");
        }
        let scratch = Scratch::new("small");
        let size = format!("size={octets}");
        match run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", scratch.path().to_str().unwrap()]) {
            Ok(()) => Some(Small { scratch }),
            Err(fault) => missing(&format!("a small disk needs tmpfs: {fault}")),
        }
    }

    /// Its root directory.
    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Gives it room.
    pub fn grow(&self) {
        run("mount", &["-o", "remount,size=256m", self.path().to_str().unwrap()]).unwrap();
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = run("umount", &["-l", self.path().to_str().unwrap()]);
    }
}

fn run(program: &str, words: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(words).output().map_err(|fault| format!("{program}: {fault}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
