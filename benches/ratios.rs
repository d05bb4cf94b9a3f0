//! How two services compare, round by round: the median of their ratios, and an interval around it that assumes nothing
//! of how rounds are distributed.

/// Ratios, in thousandths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ratio {
    /// The one in the middle.
    pub median: u64,
    /// Between these two order statistics.
    pub interval: (u64, u64),
    /// How likely the true median is between them, in tenths of a percent.
    pub coverage: u64,
}

/// Compares two series, round by round: the first over the second. `None` where a round has nothing to divide by, or
/// there is no round.
#[must_use]
pub fn ratio(of: &[u64], to: &[u64]) -> Option<Ratio> {
    let divided = |(of, to): (&u64, &u64)| of.checked_mul(1_000)?.checked_div(*to);
    let mut all: Vec<u64> = of.iter().zip(to).map(divided).collect::<Option<_>>()?;
    all.sort_unstable();
    let (skipped, coverage) = order(all.len())?;
    let interval = (*all.get(skipped)?, *all.get(all.len() - 1 - skipped)?);
    Some(Ratio { median: *all.get(all.len() / 2)?, interval, coverage })
}

/// How many values are left out at each end so that the rest holds the median with at least 95 %, and how likely it does,
/// in tenths of a percent. Too few rounds leave none out.
///
/// The number of values below the median is binomial, each with one half: the source is any text on the sign test.
#[must_use]
pub fn order(rounds: usize) -> Option<(usize, u64)> {
    let rounds = u32::try_from(rounds).ok().filter(|rounds| (1..=60).contains(rounds))?;
    let all = 1_u128 << rounds;
    // Of 2^rounds, those in which the median is below the (skipped + 1)-th value, or above its mirror image.
    let (mut ways, mut outside, mut found) = (1_u128, 2_u128, None);
    for skipped in 0..rounds.div_ceil(2) {
        let coverage = u64::try_from(all.saturating_sub(outside) * 1_000 / all).ok()?;
        if skipped > 0 && coverage < 950 {
            break;
        }
        found = Some((usize::try_from(skipped).ok()?, coverage));
        ways = ways * u128::from(rounds - skipped) / u128::from(skipped + 1);
        outside += 2 * ways;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_nine_rounds_the_second_and_the_eighth_are_96_percent() {
        assert_eq!(order(9), Some((1, 960)));
    }

    #[test]
    fn too_few_rounds_leave_nothing_out_and_say_so() {
        assert_eq!(order(3), Some((0, 750)));
        assert_eq!(order(1), Some((0, 0)));
        assert_eq!(order(0), None);
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_medians() {
        let found = ratio(&[100, 10, 30], &[50, 10, 10]);
        assert_eq!(found.map(|ratio| (ratio.median, ratio.interval)), Some((2_000, (1_000, 3_000))));
    }

    #[test]
    fn nothing_is_divided_by_nothing() {
        assert_eq!(ratio(&[1, 2], &[1, 0]), None);
    }
}
