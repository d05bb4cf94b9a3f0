//! What a world is made of: values that are shared by all worlds that have them alike, each with its print at hand.
//!
//! A print is 128 bits that tell one value from another, the same on every target. It is made fast, not against
//! malice: a search over ten million worlds takes two of them for one with a chance of less than one in 10^24.

use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A value that many worlds may share. Changing it in one leaves the others alone.
#[derive(Debug)]
pub(crate) struct Part<T>(Arc<Kept<T>>);

#[derive(Debug)]
struct Kept<T> {
    value: T,
    print: OnceLock<u128>,
}

impl<T: Clone> Clone for Kept<T> {
    /// Made only to be changed, so it has no print yet.
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), print: OnceLock::new() }
    }
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Part<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Part<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(Kept { value, print: OnceLock::new() }))
    }
}

impl<T: Clone> Part<T> {
    /// The value, to be changed.
    pub(crate) fn change(&mut self) -> &mut T {
        let kept = Arc::make_mut(&mut self.0);
        kept.print = OnceLock::new();
        &mut kept.value
    }
}

impl<T: Hash> Part<T> {
    pub(crate) fn print(&self) -> u128 {
        *self.0.print.get_or_init(|| print(&self.0.value))
    }
}

/// The print of a value.
pub(crate) fn print(value: &(impl Hash + ?Sized)) -> u128 {
    let mut printer = Printer::default();
    value.hash(&mut printer);
    printer.print()
}

/// Two lanes of multiplying and folding, 64 bits at a time.
pub(crate) struct Printer {
    left: u64,
    right: u64,
}

impl Default for Printer {
    fn default() -> Self {
        Self { left: 0x243F_6A88_85A3_08D3, right: 0x1319_8A2E_0370_7344 }
    }
}

/// The upper and the lower half of a product, as one.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    let bytes = product.to_le_bytes();
    let (low, high) = bytes.split_at(8);
    let half = |half: &[u8]| u64::from_le_bytes(half.try_into().expect("eight bytes of sixteen"));
    half(low) ^ half(high)
}

impl Printer {
    pub(crate) fn print(&self) -> u128 {
        let left = fold(self.left ^ 0xA409_3822_299F_31D0, self.right | 1);
        let right = fold(self.right ^ 0x082E_FA98_EC4E_6C89, self.left | 1);
        u128::from(left) << 64 | u128::from(right)
    }
}

impl Hasher for Printer {
    fn finish(&self) -> u64 {
        fold(self.left, self.right | 1)
    }

    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut last = [0; 8];
            last[..rest.len()].copy_from_slice(rest);
            self.write_u64(u64::from_le_bytes(last));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word.into());
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.left = fold(self.left ^ word, 0x9E37_79B9_7F4A_7C15).wrapping_add(word);
        self.right = fold(self.right.rotate_left(23) ^ word, 0xD6E8_FEB8_6659_FD93).wrapping_add(!word);
    }

    fn write_u128(&mut self, word: u128) {
        self.write(&word.to_le_bytes());
    }

    /// As wide on every target.
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    /// Takes the discriminant of an enum's variant; as wide on every target.
    fn write_isize(&mut self, word: isize) {
        self.write_u64(i64::try_from(word).expect("at most 64 bits").cast_unsigned());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn prints_tell_values_apart_and_are_the_same_everywhere() {
        let prints: BTreeSet<u128> = (0_u64..100_000).map(|n| print(&(n, n / 3))).collect();
        assert_eq!(prints.len(), 100_000);
        assert_ne!(print("ab"), print("a"));
        assert_ne!(print(&["a", "b"]), print(&["ab", ""]));
        // Written down, so that another target or another Rust that prints otherwise is noticed.
        assert_eq!(print(&(7_usize, "seat-7", Some(-1_isize))), 25_256_492_386_109_267_828_817_819_360_372_116_252);
    }

    #[test]
    fn changing_a_part_leaves_the_others_alone() {
        let one = Part::new(vec![1]);
        let mut other = one.clone();
        let before = other.print();
        other.change().push(2);
        assert_eq!((one.len(), other.len()), (1, 2));
        assert_eq!(one.print(), before);
        assert_ne!(other.print(), before);
    }
}
