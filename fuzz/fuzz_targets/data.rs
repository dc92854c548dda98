//! No message can end its own data, for any receiver of tests/suite/delivery/smuggling.rs. A 0xff in the input begins the next
//! piece.
#![no_main]

#[path = "../../tests/support/receivers.rs"]
mod receivers;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let pieces: Vec<Vec<u8>> = input.split(|c| *c == 0xff).map(<[u8]>::to_vec).collect();
    receivers::check(&pieces);
});
