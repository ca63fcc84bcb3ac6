//! Windows: owners and access lists.

use std::fs::{Metadata, OpenOptions};
use std::io;
use std::path::Path;

use super::DirError;
use crate::local::{UserId, create_folder, owner_of};

/// Owners beside the user who could read everything anyway: the system, the administrators (whom an elevated process
/// makes the owner of what it creates) and the installer of Windows.
const TRUSTED_OWNERS: &[&str] =
    &["S-1-5-18", "S-1-5-32-544", "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464"];

/// Makes a directory for the user, the system and the administrators; what is made in it later inherits that.
pub(super) fn create_private(path: &Path, uid: UserId) -> io::Result<()> {
    create_folder(path, &format!("D:P(A;OICI;FA;;;{uid})(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)"))
}

/// Whether a directory is the user's. Who else may enter it is left as it was found: the folders of a profile are closed
/// by inheritance.
pub(super) fn check_owner(path: &Path, _: &Metadata, uid: UserId) -> Result<(), DirError> {
    let owner = owner_of(path).map_err(|source| DirError::Inspect { path: path.to_owned(), source })?;
    if is_trusted(owner, uid) {
        return Ok(());
    }
    Err(DirError::ForeignOwner { path: path.to_owned(), owner, us: uid })
}

/// Whether it belongs to the user.
pub(super) fn is_ours(path: &Path, uid: UserId) -> bool {
    owner_of(path).is_ok_and(|owner| is_trusted(owner, uid))
}

/// Nothing to ask for: a file inherits from its folder who may read it.
pub(crate) fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Whether a program, or its folder, belongs to somebody else than the user or the system.
pub(crate) fn trusted(path: &Path, uid: UserId) -> Result<(), String> {
    let owner = owner_of(path).map_err(|error| format!("could not inspect `{}`: {error}", path.display()))?;
    if is_trusted(owner, uid) { Ok(()) } else { Err(format!("`{}` belongs to user {owner}", path.display())) }
}

fn is_trusted(owner: UserId, uid: UserId) -> bool {
    owner == uid || TRUSTED_OWNERS.contains(&owner.to_string().as_str())
}
