//! Small sources, and what is read from them.
