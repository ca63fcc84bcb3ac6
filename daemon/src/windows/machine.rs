//! Which machine this is, so that a copied login is recognised.

use crate::windows::sys;

/// The id of this installation of Windows; `None` where there is none, and then logins are not bound to a machine.
pub(crate) fn id() -> Option<String> {
    sys::machine_guid().filter(|text| !text.is_empty())
}
