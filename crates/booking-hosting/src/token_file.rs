//! A file of tokens that a host goes by while it runs: read again when it has changed, so that a token is revoked without a restart.

use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::{Duration, SystemTime};

use crate::flags::{CannotRun, because};
use crate::tokens::{Current, SharedTokens, Tokens};

/// How often it is looked whether the file has changed.
const EVERY: Duration = Duration::from_secs(1);

/// Reads the file, and from now on again whenever it has changed, for as long as the tokens are used. A file that cannot be read then changes
/// nothing, the log says why, and it is tried again each second.
///
/// # Errors
/// [`CannotRun`], where it cannot be read now.
pub fn follow(flag: &str, path: &Path) -> Result<SharedTokens, CannotRun> {
    let (shared, mut file) = (SharedTokens::default(), Followed { path: path.to_owned(), read: None, said: None });
    file.look(&shared).map_err(because(flag))?;
    let current = shared.weak();
    let look = move || look_again(&mut file, &current);
    std::thread::Builder::new().name("tokens".to_owned()).spawn(look).map_err(because(flag))?;
    Ok(shared)
}

fn look_again(file: &mut Followed, current: &Weak<Current>) {
    loop {
        std::thread::sleep(EVERY);
        let Some(current) = current.upgrade() else { return };
        match file.look(&SharedTokens::from(current)) {
            Ok(Looked::Same) => {}
            Ok(Looked::Read { closes }) => {
                tracing::info!("{} has changed: the tokens were read again", file.path.display());
                if closes {
                    tracing::warn!("the public door asks for a token from now on");
                }
            }
            Err(why) if file.said.as_deref() == Some(why.as_str()) => {}
            Err(why) => {
                tracing::error!("{why}: the tokens from before still count");
                file.said = Some(why);
            }
        }
    }
}

/// A file, and what was read of it last.
struct Followed {
    path: PathBuf,
    read: Option<Stamp>,
    /// What the log has said about it since.
    said: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Looked {
    Same,
    Read { closes: bool },
}

impl Followed {
    fn look(&mut self, tokens: &SharedTokens) -> Result<Looked, String> {
        let because = |why: std::io::Error| format!("{}: {why}", self.path.display());
        // Before it is read: what changes meanwhile is read once more.
        let stamp = stamp(&self.path).map_err(because)?;
        if self.read == Some(stamp) {
            return Ok(Looked::Same);
        }
        let text = std::fs::read_to_string(&self.path).map_err(because)?;
        let found = Tokens::parse(&text).map_err(|why| format!("{}: {why}", self.path.display()))?;
        (self.read, self.said) = (Some(stamp), None);
        Ok(Looked::Read { closes: tokens.replace(found) })
    }
}

/// What tells a file from the one that was there before: when it was changed, how long it is, and which one it is.
type Stamp = (SystemTime, u64, u64);

fn stamp(path: &Path) -> std::io::Result<Stamp> {
    let about = std::fs::metadata(path)?;
    #[cfg(unix)]
    let which = std::os::unix::fs::MetadataExt::ino(&about);
    #[cfg(not(unix))]
    let which = 0;
    Ok((about.modified()?, about.len(), which))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::{Grant, GrantedDoor, TokenName};
    use booking_core::time::Timestamp;

    #[test]
    fn a_file_that_cannot_be_read_changes_nothing_and_is_tried_again() {
        let path = std::env::temp_dir().join(format!("booking-tokens-{}", std::process::id()));
        let name = TokenName::parse("shop").unwrap();
        let grant = Grant { name: name.clone(), door: GrantedDoor::Public, maps: vec![], expires: None, revoked: None };
        let mut tokens = Tokens::default();
        assert!(tokens.add("a-token-of-the-shop", grant));
        std::fs::write(&path, tokens.text()).unwrap();
        let (shared, mut file) = (SharedTokens::default(), Followed { path: path.clone(), read: None, said: None });
        assert_eq!(file.look(&shared), Ok(Looked::Read { closes: true }));
        assert_eq!(file.look(&shared), Ok(Looked::Same));
        for cut in ["", "hello\n"] {
            std::fs::write(&path, cut).unwrap();
            assert!(file.look(&shared).is_err() && file.look(&shared).is_err(), "it is tried again");
            assert_eq!(*shared.now(), tokens);
        }
        assert!(tokens.revoke(&name, Timestamp::from_millis(1)).is_some());
        std::fs::write(&path, tokens.text()).unwrap();
        assert_eq!(file.look(&shared), Ok(Looked::Read { closes: false }));
        assert_eq!(*shared.now(), tokens);
        std::fs::remove_file(&path).unwrap();
        assert!(file.look(&shared).is_err() && shared.close_public());
    }
}
