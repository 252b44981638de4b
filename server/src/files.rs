//! The limit of open files: each connection is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::http_server::CONNECTIONS_MAX;

/// Besides connections: media sockets, storage, the catalog.
const OTHERS: u64 = 512;
/// Below this a busy server may really run out, and its owner is told.
const FEW: u64 = 4096;

/// Raises what the process may have open to what the system allows it, and says where that is little.
pub(crate) fn raise_limit() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return };
    let wanted = CONNECTIONS_MAX as u64 + OTHERS;
    let allowed = wanted.clamp(soft, hard.max(soft));
    if allowed > soft && setrlimit(Resource::RLIMIT_NOFILE, allowed, hard).is_err() {
        tracing::warn!(soft, "the limit of open files cannot be raised");
    }
    if allowed < FEW {
        tracing::warn!(allowed, wanted, "a low limit of open files (ulimit -Hn): connections beyond it wait");
    }
}
