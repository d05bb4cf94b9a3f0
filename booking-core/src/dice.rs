//! Chance that is the same everywhere and for ever: a seed that failed must fail again in ten years.

/// Numbers that look drawn, from a seed. SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", OOPSLA 2014), written here because no library promises that its numbers stay as they are.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Dice that fall as this seed says.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `count`; 0 where that is 0.
    pub fn below(&mut self, count: usize) -> usize {
        let count = count as u64;
        let product = u128::from(self.draw()) * u128::from(count);
        usize::try_from(product >> 64).expect("less than a count that was a usize")
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: u8, most: u8) -> u8 {
        let span = usize::from(most.saturating_sub(least)) + 1;
        least + u8::try_from(self.below(span)).expect("less than the span of two bytes")
    }

    /// True in `percent` of a hundred draws.
    pub fn chance(&mut self, percent: u8) -> bool {
        self.below(100) < usize::from(percent)
    }

    /// One of some things.
    ///
    /// # Panics
    /// If there are none.
    pub fn one_of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let mut dice = Dice::new(1);
        let drawn: Vec<u64> = (0..3).map(|_| dice.draw()).collect();
        assert_eq!(drawn, [0x910A_2DEC_8902_5CC1, 0xBEEB_8DA1_658E_EC67, 0xF893_A2EE_FB32_555E]);
        assert!((0..1000).all(|_| dice.below(7) < 7));
        assert_eq!(dice.below(0), 0);
        assert!((0..1000).all(|_| (3..=5).contains(&dice.between(3, 5))));
        assert!((0..1000).all(|_| !dice.chance(0) && dice.chance(100)));
    }
}
