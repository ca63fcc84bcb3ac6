//! What is different on Windows. The other files of this folder stand in for their namesakes above it.

pub(crate) mod sys;
