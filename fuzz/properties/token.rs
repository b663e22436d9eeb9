//! What holds for every file name that may stand in a lock directory.

use tirastore::lock::reread_token;

/// Pieces from which names are built that reach every rule.
pub const FRAGMENTS: &[&str] = &[
    "f.",
    "h.",
    "p.",
    ".",
    "..",
    "0",
    "1",
    "01",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "+1",
    "W",
    "D",
    "WD",
    "DW",
    "h.1.2.3.",
    "h.1.2.3.W.",
    "h.1.2.3.WD.00000000000000ff.1000.",
    "h.1.2.3..00000000000000ff.0.6e6f6465.",
    "6c8a3a3e-2d1f-4b58-9c0e-1f2a3b4c5d6e",
    "00000000000000ff",
    "00000000000000FF",
    "6e6f6465",
    "6e6",
    "ff",
    ".4026531836.4026531834.4711.123456.1763700000",
    ".....1763700000",
    " ",
    "é",
    "\0",
    "/",
];

/// Panics where a property does not hold.
pub fn check(data: &[u8]) {
    let Ok(name) = std::str::from_utf8(data) else { return };
    if let Some(again) = reread_token(name) {
        // One state has one name: else two clients could both rename it.
        assert_eq!(again, name);
        assert!(!name.contains(['/', '\0']), "{name:?} is no file name");
    }
}
