#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| wg_friend_fuzz::backup(input));
