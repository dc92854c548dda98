//! A qmail home in a temporary directory. The fuzz targets have theirs from here, too.

use std::fs;
use std::path::{Path, PathBuf};

/// A qmail home: `control/me` and timeouts of 20 seconds are there, the rest is the test's.
pub struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    pub fn new() -> Home {
        let home = Home { dir: tempfile::tempdir().unwrap() };
        home.control("me", "client.example.net\n");
        home.control("timeoutconnect", "20\n");
        home.control("timeoutremote", "20\n");
        home
    }

    /// A home whose every mail goes by this value of the empty smtproutes key: `relay[:port] user password` and so on.
    pub fn with_route(route: &str) -> Home {
        let home = Home::new();
        home.control("smtproutes", format!(":{route}\n"));
        home
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes `control/NAME`, with the directories on the way.
    pub fn control(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join("control").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }
}
