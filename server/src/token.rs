//! The API token: configured, or made once and kept in the data folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rand::TryRng;
use rand::rngs::SysRng;

use crate::config::Secret;

const FILE: &str = "api-token";
/// 256 bits.
const RANDOM_BYTES: usize = 32;

/// Where a token came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOrigin {
    /// `api.token`
    Configured,
    /// The data folder.
    Kept,
    /// Made just now: this is the only time that it is printed.
    Made,
}

/// The API token of this server.
#[derive(Clone, Debug)]
pub struct Token {
    /// The token itself.
    pub secret: Secret,
    /// Where it came from.
    pub origin: TokenOrigin,
    /// Where it is kept, or would be.
    pub path: PathBuf,
}

/// The token's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read or written.
    #[error("cannot keep the API token in {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not hold a token.
    #[error("{} holds no token: {why}; delete it to have a new one made", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        why: &'static str,
    },
}

impl Token {
    /// The configured token, or the kept one, or a new one.
    pub(crate) fn obtain(configured: Option<Secret>, data_dir: &Path) -> Result<Self, TokenError> {
        let path = data_dir.join(FILE);
        if let Some(secret) = configured {
            return Ok(Self { secret, origin: TokenOrigin::Configured, path });
        }
        match fs::read_to_string(&path) {
            Ok(text) => match text.trim().parse() {
                Ok(secret) => Ok(Self { secret, origin: TokenOrigin::Kept, path }),
                Err(why) => Err(TokenError::Content { path, why }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => match make(&path) {
                Ok(secret) => Ok(Self { secret, origin: TokenOrigin::Made, path }),
                Err(source) => Err(TokenError::File { path, source }),
            },
            Err(source) => Err(TokenError::File { path, source }),
        }
    }
}

/// Written beside its place and moved there, so that a crash never leaves half a token.
fn make(path: &Path) -> io::Result<Secret> {
    let mut random = [0_u8; RANDOM_BYTES];
    SysRng.try_fill_bytes(&mut random).map_err(io::Error::other)?;
    let text: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("new");
    let mut file = create_private(&beside)?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    text.parse().map_err(io::Error::other)
}

/// Readable by the owner only, from its first moment.
fn create_private(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::{Token, TokenError, TokenOrigin};

    #[test]
    fn it_is_made_once_kept_privately_and_a_configured_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let made = Token::obtain(None, &data).unwrap();
        assert_eq!(made.origin, TokenOrigin::Made);
        assert_eq!(made.secret.expose().len(), 64);
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&made.path).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
        let kept = Token::obtain(None, &data).unwrap();
        assert_eq!((kept.origin, kept.secret.expose()), (TokenOrigin::Kept, made.secret.expose()));
        let configured = Token::obtain(Some("configured".parse().unwrap()), &data).unwrap();
        assert_eq!((configured.origin, configured.secret.expose()), (TokenOrigin::Configured, "configured"));
    }

    #[test]
    fn two_installations_have_two_tokens() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let made = |folder: &tempfile::TempDir| Token::obtain(None, folder.path()).unwrap().secret;
        assert_ne!(made(&a), made(&b));
    }

    #[test]
    fn an_empty_file_is_an_error_and_not_an_open_door() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("api-token"), "\n").unwrap();
        assert!(matches!(Token::obtain(None, folder.path()), Err(TokenError::Content { .. })));
    }
}
