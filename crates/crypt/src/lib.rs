//! Key derivation and sealing.
