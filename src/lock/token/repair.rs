//! A lock directory whose token was lost, or doubled, by something else than its users. Never mended in passing: all
//! clients must be stopped, because a token that looks lost may be one that this node does not see yet.

use super::directory::{Directory, fresh_count};
use super::name::{Flags, Hold, Token};
use super::owner::Owner;
use crate::error::{Error, Result};

/// Puts one new token in the place of none, or of several. It is born held, by this process, with both flags: its
/// first tenure fences and recovers whatever the old ones left. Answers what was wrong, or `None` if nothing was.
///
/// # Errors
///
/// [`Error::LockVersion`] and [`Error::Lock`].
pub(crate) fn repair(directory: &Directory) -> Result<Option<String>> {
    let Some(scan) = directory.scan()? else {
        let text = format!("{} is no lock directory: there is nothing to repair", directory.path.display());
        return Err(Error::InvalidArgument(text));
    };
    if scan.the_token().is_ok() {
        return Ok(None);
    }
    let found = match scan.tokens.as_slice() {
        [] => "its token was gone".to_owned(),
        [one] => format!("its token was not to be read: {one}"),
        several => format!("it had {} tokens: {}", several.len(), several.join(", ")),
    };
    let flags = Flags { half_written: true, must_fence: true };
    directory.put(&Token::Held(Hold { count: fresh_count(), beat: 0, flags, owner: Owner::me() }))?;
    for name in &scan.tokens {
        directory.discard(name);
    }
    Ok(Some(found))
}
