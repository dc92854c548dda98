//! The user that a check runs as: that of qmail-remote, since root could read files that qmail-remote cannot.

use super::file_readers::{Ids, QMAILR, group_of, ids_of};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The user of a check.
pub struct RunsAs {
    pub uid: u32,
    /// The user in words.
    pub words: String,
    /// The user and group that the process must become before it reads a control file.
    pub change: Option<Ids>,
    /// The user can read other files than qmail-remote can, so an OK is not certain.
    pub is_another: bool,
}

impl RunsAs {
    /// For a process of the user `uid`. Only root can become another user, and it does, unless QMAILHOME names the home (`is_named`)
    /// and no qmail has used that: its files are a draft of root's. An error if the user of qmail-remote is not known.
    pub fn find(home: Option<&Path>, is_named: bool, uid: u32) -> Result<RunsAs, String> {
        let Some(home) = home else {
            return Ok(RunsAs { uid, words: format!("uid {uid}"), change: None, is_another: false });
        };
        let change = match owner_of_tcpto(home) {
            _ if uid != 0 => None,
            None if is_named => None,
            owner => Some(owner.or_else(|| ids_of(QMAILR)).ok_or_else(|| unknown(home))?),
        };
        let uid = change.map_or(uid, |(uid, _)| uid);
        let is_another = uid != 0 && of_qmail(home).is_some_and(|(qmailr, _)| qmailr != uid);
        let hint = match uid {
            0 => ", who can read every file; the user of qmail-remote is not known, since no qmail has used this home",
            _ if is_another => {
                ", who can read other files than qmail-remote can: run this as root, and it becomes qmailr"
            }
            _ => "",
        };
        Ok(RunsAs { uid, words: format!("uid {uid}{hint}"), change, is_another })
    }
}

fn unknown(home: &Path) -> String {
    format!(
        "{}/queue/lock/tcpto is missing or root's, and there is no user {QMAILR}, so it is not known which user qmail-remote has. \
         Nothing was tried. Run this as the user of qmail-rspawn.",
        home.display()
    )
}

/// The user of qmail-remote and its group: the owner of queue/lock/tcpto, else qmailr.
pub fn of_qmail(home: &Path) -> Option<Ids> {
    owner_of_tcpto(home).or_else(|| ids_of(QMAILR))
}

/// qmail's installer gives queue/lock/tcpto to the user of qmail-remote, whatever its name, and to the group of qmail. None if it is
/// missing, or root's, as in a copy. Root's group is from a copy, too.
fn owner_of_tcpto(home: &Path) -> Option<Ids> {
    let file = fs::metadata(home.join("queue/lock/tcpto")).ok()?;
    match (file.uid(), file.gid()) {
        (0, _) => None,
        (uid, 0) => Some((uid, group_of(uid)?)),
        ids => Some(ids),
    }
}
