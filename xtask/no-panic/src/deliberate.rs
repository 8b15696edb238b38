//! Functions that panic, each in another way. The inspection must name every one.

use alloc::vec::Vec;
use core::cell::RefCell;

#[unsafe(no_mangle)]
fn deliberate_index(at: usize) -> u8 {
    static BYTES: [u8; 4] = [1, 2, 3, 4];
    BYTES.as_slice()[at]
}

#[unsafe(no_mangle)]
fn deliberate_slice(bytes: &[u8; 64], from: usize, to: usize) -> usize {
    bytes[from..to].iter().filter(|&&byte| byte == 0).count()
}

#[unsafe(no_mangle)]
fn deliberate_unwrap(a: u32, b: u32) -> u32 {
    a.checked_sub(b).unwrap()
}

#[unsafe(no_mangle)]
fn deliberate_expect(a: u64) -> u32 {
    u32::try_from(a).expect("small")
}

#[unsafe(no_mangle)]
fn deliberate_overflow(a: u32, b: u32) -> u32 {
    a - b
}

#[unsafe(no_mangle)]
fn deliberate_division(a: u32, b: u32) -> u32 {
    a / b
}

#[unsafe(no_mangle)]
fn deliberate_panic(a: u32) {
    assert_ne!(a, 7, "seven");
}

#[unsafe(no_mangle)]
fn deliberate_copy(from: &[u8; 8], len: usize, to: &mut [u8; 4]) {
    to.copy_from_slice(from.get(..len).unwrap_or(&[]));
}

#[unsafe(no_mangle)]
fn deliberate_borrow(cell: &RefCell<u32>) -> u32 {
    *cell.borrow()
}

#[unsafe(no_mangle)]
fn deliberate_push(list: &mut Vec<u32>, a: u32) {
    list.push(a);
}

#[unsafe(no_mangle)]
fn deliberate_capacity(len: usize, keep: &mut Vec<u64>) {
    *keep = Vec::with_capacity(len);
}
