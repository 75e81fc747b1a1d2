//! What packages ask the import system for, and who registers to run on restore.

use crate::error::{Error, Report};
use crate::guest::failure::Failure;
use crate::guest::guest::Guest;
use crate::guest::user_code::literal;

const WATCH: &str = include_str!("watch.py");
const WATCHED: &str = include_str!("watched.py");

/// `snapshot_restore_py`, for packages that register functions with it.
const SNAPSHOT_RESTORE: &str = include_str!("snapshot_restore.py");

/// What was written down.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Private modules of packages that were asked for and are not there: extensions
    /// that a package can do without are called so.
    pub(crate) misses: Vec<String>,
    /// Modules whose functions are registered to run on restore.
    pub(crate) restoring: Vec<String>,
}

impl Watched {
    fn parse(text: &str) -> Self {
        let mut watched = Self::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("miss", name)) => watched.misses.push(name.to_owned()),
                Some(("restore", name)) => watched.restoring.push(name.to_owned()),
                _ => {}
            }
        }
        watched
    }
}

impl Guest {
    /// Has the import system write down what is asked for.
    pub(crate) async fn watch(&mut self) -> Result<(), Failure> {
        let code = format!(
            "{WATCH}\n_eryx_preinit_watch({})\n",
            literal(SNAPSHOT_RESTORE)
        );
        self.execute(&code, "import hook")
            .await?
            .map_err(own_code_failed)
    }

    /// What was written down; the import system is left as it was.
    pub(crate) async fn watched(&mut self) -> Result<Watched, Failure> {
        self.store.data_mut().take_output();
        self.execute(WATCHED, "import hook")
            .await?
            .map_err(own_code_failed)?;
        Ok(Watched::parse(&self.store.data().take_output()))
    }
}

/// For code of this crate, which is right if the runtime is.
fn own_code_failed(message: String) -> Failure {
    Failure::Final(Error::Import(
        Report::new("the import system cannot be watched")
            .traceback_text(message)
            .hint("please report this with the versions in use"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_guest_printed_beside_it_is_no_module() {
        let watched = Watched::parse("hello\nmiss a._b\nrestore a.c\nmiss\n");
        assert_eq!(watched.misses, ["a._b"]);
        assert_eq!(watched.restoring, ["a.c"]);
    }
}
