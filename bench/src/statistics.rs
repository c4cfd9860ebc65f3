//! Medians and their like.

/// The value in the middle, or the mean of the two that are there; 0 of none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let values = sorted(values);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (None, _) => 0.0,
        (Some(value), 1) => *value,
        (Some(value), _) => f64::midpoint(values[middle - 1], *value),
    }
}

/// The least of the values that at least `percent` of 100 of them do not
/// exceed; 0 of none.
pub(super) fn percentile(percent: usize, values: impl IntoIterator<Item = f64>) -> f64 {
    let values = sorted(values);
    let rank = (values.len() * percent).div_ceil(100);
    values
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or_default()
}

/// Mean and standard error of the mean; 0 where there are too few values.
pub(super) fn mean(values: &[f64]) -> (f64, f64) {
    if values.is_empty() {
        return (0.0, 0.0);
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() == 1 {
        return (mean, 0.0);
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

fn sorted(values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn medians() {
        assert!(close(median([]), 0.0));
        assert!(close(median([7.0]), 7.0));
        assert!(close(median([3.0, 1.0, 2.0]), 2.0));
        assert!(close(median([4.0, 1.0, 2.0, 3.0]), 2.5));
    }

    #[test]
    fn percentiles() {
        assert!(close(percentile(95, []), 0.0));
        assert!(close(percentile(95, (1..=20).map(f64::from)), 19.0));
        assert!(close(percentile(95, (1..=15).map(f64::from)), 15.0));
        assert!(close(percentile(10, (1..=30).map(f64::from)), 3.0));
    }

    #[test]
    fn means() {
        let (value, error) = mean(&[1.0, 2.0, 3.0]);
        assert!(close(value, 2.0) && close(error, (1.0_f64 / 3.0).sqrt()));
        assert_eq!(mean(&[5.0]).1.to_bits(), 0.0_f64.to_bits());
    }
}
