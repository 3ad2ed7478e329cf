//! The shape of the sources, held by a test: which module may know which, what a pure module must not touch, how long a
//! file may be. Comments and strings are left out as well as a reader of lines can; in-file tests are left out whole.

mod arrows;
mod rules;
mod source;
