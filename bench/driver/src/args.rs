//! `codex-oauth-bench <benchmark> --name value …`: the scripts write this line, no person does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::Error;

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Args {
    what: String,
    paths: BTreeMap<String, PathBuf>,
}

impl Args {
    /// Every path is made absolute, since each program runs in a folder of its own.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, Error> {
        let refuse = |reason: String| Error::said("read the arguments", reason);
        let what =
            words.next().ok_or_else(|| refuse("start bench/cold-start or bench/tool-call".to_owned()))?;
        let mut paths = BTreeMap::new();
        while let Some(word) = words.next() {
            let name = word.strip_prefix("--").ok_or_else(|| refuse(format!("`{word}` is not an option")))?;
            let value = words.next().ok_or_else(|| refuse(format!("--{name} needs a path")))?;
            let path = std::path::absolute(&value).map_err(|error| refuse(format!("--{name}: {error}")))?;
            paths.insert(name.to_owned(), path);
        }
        Ok(Self { what, paths })
    }

    /// The benchmark's name.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The path given as `--name`, where there has to be a file.
    pub(crate) fn path(&self, name: &str) -> Result<&Path, Error> {
        let path = self
            .paths
            .get(name)
            .ok_or_else(|| Error::said("read the arguments", format!("--{name} is missing")))?;
        if path.is_file() {
            return Ok(path);
        }
        Err(Error::said("find a program", format!("{} (--{name}) is not there", path.display())))
    }

    /// The same for what may be absent.
    pub(crate) fn if_there(&self, name: &str) -> Option<&Path> {
        self.path(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Args, Error> {
        Args::parse(words.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn a_path_is_absolute_and_has_to_be_there() {
        let args = parse(&["cold-start", "--shim", "Cargo.toml", "--limit", "nowhere"]).unwrap();
        assert_eq!(args.what(), "cold-start");
        assert!(args.path("shim").unwrap().is_absolute());
        assert!(args.path("limit").is_err() && args.path("daemon").is_err());
    }

    #[test]
    fn an_option_without_a_value_is_refused() {
        assert!(parse(&["tool-call", "--shim"]).is_err());
        assert!(parse(&["tool-call", "shim"]).is_err());
        assert!(parse(&[]).is_err());
    }
}
