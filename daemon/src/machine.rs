//! Which machine this is, so that a copied login is recognised.

/// The system's own id of this installation; `None` where there is none, and then logins are not bound to a machine.
pub(crate) fn id() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok())
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
}
