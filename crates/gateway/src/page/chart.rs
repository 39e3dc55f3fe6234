//! What an account used, a bar a day.

use tryon_core::time::Timestamp;
use tryon_store::UsageDay;

use super::frame::rfc3339;

/// Days that are shown.
pub(super) const DAYS: i64 = 30;

const DAY_MILLIS: i64 = 86_400_000;

/// Units of the picture that a bar's day takes, and the tallest bar.
const STEP: i64 = 24;
const HEIGHT: u64 = 120;

/// The pictures of the last days.
pub(super) struct Chart {
    pub(super) bars: Vec<Bar>,
    /// Pictures of the day with the most.
    pub(super) most: u64,
    /// Of all days.
    pub(super) pictures: u64,
    pub(super) completed: u64,
    pub(super) failed: u64,
}

/// A day.
pub(super) struct Bar {
    pub(super) date: String,
    pub(super) pictures: u64,
    pub(super) failed: u64,
    pub(super) x: i64,
    pub(super) y: u64,
    pub(super) height: u64,
}

/// The first day that is shown.
pub(super) fn first_day(now: Timestamp) -> i64 {
    now.as_millis().div_euclid(DAY_MILLIS) - DAYS + 1
}

impl Chart {
    /// The days up to `now`, of which `used` are those with any use.
    pub(super) fn new(used: &[UsageDay], now: Timestamp) -> Self {
        let first = first_day(now);
        let most = used.iter().map(|day| day.pictures).max().unwrap_or(0);
        let bar = |number: i64| {
            let day = used.iter().find(|it| it.day == first + number);
            let (pictures, failed) = day.map_or((0, 0), |day| (day.pictures, day.failed));
            let date = rfc3339(Timestamp::from_millis((first + number) * DAY_MILLIS));
            // A day with pictures can be seen, however many there were on another.
            let height = (pictures * HEIGHT).div_ceil(most.max(1));
            Bar {
                date: date[..10].to_owned(),
                pictures,
                failed,
                x: number * STEP,
                y: HEIGHT - height,
                height,
            }
        };
        Self {
            bars: (0..DAYS).map(bar).collect(),
            most,
            pictures: used.iter().map(|day| day.pictures).sum(),
            completed: used.iter().map(|day| day.completed).sum(),
            failed: used.iter().map(|day| day.failed).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_has_its_bar() {
        let now = Timestamp::from_millis(20_000 * DAY_MILLIS + 5);
        let day = |day, pictures| UsageDay {
            day,
            pictures,
            completed: 1,
            failed: 2,
        };
        let chart = Chart::new(&[day(19_971, 1), day(20_000, 1_000)], now);
        assert_eq!(chart.bars.len(), 30);
        let (first, last) = (&chart.bars[0], &chart.bars[29]);
        assert_eq!((first.height, first.y), (1, 119));
        assert_eq!((last.height, last.y, last.x), (120, 0, 29 * 24));
        assert_eq!(last.date, "2024-10-04");
        assert_eq!(
            (chart.most, chart.pictures, chart.failed),
            (1_000, 1_001, 4)
        );
        assert!(Chart::new(&[], now).bars.iter().all(|bar| bar.height == 0));
    }
}
