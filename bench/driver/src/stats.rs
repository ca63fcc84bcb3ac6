//! Medians and ratios.

use std::time::Duration;

/// The `percent`-th percentile (nearest rank) of what is not empty; of nothing it is no number, which meets no target.
pub(crate) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied().unwrap_or(f64::NAN)
}

/// The median.
pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

/// The median of `values[i] / bases[i]`: each pair was measured side by side, so that what disturbs the machine disturbs both.
pub(crate) fn median_ratio(values: &[f64], bases: &[f64]) -> f64 {
    let ratios: Vec<f64> = values.iter().zip(bases).map(|(value, base)| value / base).collect();
    median(&ratios)
}

/// Microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// How many in a second.
pub(crate) fn per_second(count: u32, time: Duration) -> f64 {
    f64::from(count) / time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let values: Vec<f64> = (1..=20).rev().map(f64::from).collect();
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(median(&values), 10.0) && near(percentile(&values, 95), 19.0));
        assert!(near(percentile(&values, 100), 20.0) && near(percentile(&[7.0], 5), 7.0));
    }

    #[test]
    fn nothing_measured_meets_no_target() {
        assert!(median(&[]).is_nan() && median_ratio(&[], &[1.0]).is_nan());
    }

    #[test]
    fn a_ratio_is_taken_pair_by_pair() {
        let ratio = median_ratio(&[2.0, 40.0, 6.0], &[1.0, 10.0, 3.0]);
        assert!((ratio - 2.0).abs() < 1e-9, "{ratio}");
    }
}
