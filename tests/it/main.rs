//! Tests through the real program: one binary, so that the world is linked once.

mod lab;
