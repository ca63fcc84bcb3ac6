//! Facts as a person reads them, the same in a terminal and in Claude Code. Behind the feature `people`: the shim shows
//! nothing to anybody.

pub mod errors;
pub mod limits;
pub mod login;
pub mod status;
pub mod story;
pub mod words;
