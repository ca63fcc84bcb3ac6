//! Windows: the buffers of the threads that read and write.

use std::io;

use codex_oauth_proto::local::{AsSource as _, Wanted as Want, wait_for};

use super::{Found, Ready, Wanted};

/// What one entry of the wait is about.
enum About {
    Stdout,
    Stdin,
    LinkInput(usize),
    LinkRoom,
}

/// Waits; `None` when the deadline has passed.
///
/// Nothing tells that nobody reads a pipe any more but a write to it, so the end of the standard output is its writer's
/// to find (`Wrote::Broken`).
#[expect(clippy::unnecessary_wraps, reason = "on Unix the system may refuse to wait")]
pub(crate) fn poll(wanted: &Wanted<'_>) -> io::Result<Option<Ready>> {
    let mut wants = Vec::new();
    if wanted.writes {
        wants.push((About::Stdout, Want::Room(wanted.stdout.outlet())));
    }
    if let Some(stdin) = wanted.stdin {
        wants.push((About::Stdin, if wanted.reads { Want::Input(stdin) } else { Want::End(stdin) }));
    }
    for (at, link) in wanted.links.iter().enumerate() {
        let stream = link.link.stream();
        if link.reads {
            wants.push((About::LinkInput(at), Want::Input(stream.as_source())));
        }
        if link.writes {
            wants.push((About::LinkRoom, Want::Room(stream.outlet())));
        }
    }
    let (about, wants): (Vec<_>, Vec<_>) = wants.into_iter().unzip();
    let Some(found) = wait_for(&wants, wanted.deadline) else { return Ok(None) };
    let mut ready = Ready::default();
    for (about, _) in about.iter().zip(found).filter(|(_, found)| *found) {
        match about {
            About::Stdout => ready.stdout.ready = true,
            About::Stdin => ready.stdin = Found { ready: true, over: !wanted.reads },
            About::LinkInput(at) => ready.links.push(wanted.links[*at].link.id),
            About::LinkRoom => {}
        }
    }
    Ok(Some(ready))
}
