//! Figures of one camera over time: one sample each half minute, an hour of them in one text, and an hour's sum in the
//! text of its day. Texts are base64 of fixed-size records, so that a year of a thousand cameras stays small.
//!
//! Whatever a database holds is read without complaint: what is no record is no sample.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::Serialize;

/// Between two samples, milliseconds.
pub const STEP_MS: u64 = 30_000;
/// An hour and a day, milliseconds.
pub const HOUR_MS: u64 = 3_600_000;
/// See [`HOUR_MS`].
pub const DAY_MS: u64 = 24 * HOUR_MS;
/// Samples in an hour.
const SLOTS: usize = (HOUR_MS / STEP_MS) as usize;
/// Bytes of a sample and of an hour's sum.
const SAMPLE_BYTES: usize = 11;
const SUM_BYTES: usize = 13;
/// Bit rates are kept in units of so many bits per second.
const RATE_UNIT: u64 = 4_000;

/// Figures of one camera at one time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Sample {
    /// The camera's port accepted a connection after so many milliseconds.
    pub ping_ms: Option<u16>,
    /// From a picture's last packet until it could be fetched, milliseconds.
    pub latency_ms: Option<u16>,
    /// Pictures per second.
    pub fps: f32,
    /// Bits per second.
    pub bit_rate: u64,
    /// Milliseconds since the last keyframe, in tenths of a second.
    pub keyframe_age_ms: Option<u64>,
}

/// The sum of an hour.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Sum {
    /// Samples in it.
    pub samples: u8,
    /// Those whose ping was answered.
    pub answered: u8,
    /// Their mean, milliseconds.
    pub ping_ms: Option<u16>,
    /// The slowest of them, milliseconds.
    pub slowest_ms: Option<u16>,
    /// Mean latency, milliseconds.
    pub latency_ms: Option<u16>,
    /// Mean pictures per second.
    pub fps: f32,
    /// Mean bits per second.
    pub bit_rate: u64,
}

/// An hour's samples, each in its half minute.
#[derive(Debug, Clone, PartialEq)]
pub struct Hour(Box<[Option<Sample>; SLOTS]>);

impl Default for Hour {
    fn default() -> Self {
        Self(Box::new([None; SLOTS]))
    }
}

impl Hour {
    /// Puts a sample at its time, in place of one that is there.
    pub fn put(&mut self, at_ms: u64, sample: Sample) {
        let slot = usize::try_from(at_ms % HOUR_MS / STEP_MS).unwrap_or_default();
        if let Some(place) = self.0.get_mut(slot) {
            *place = Some(sample);
        }
    }

    /// Takes over what another one has and this one has not.
    pub fn fill(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(other.0.iter()) {
            *own = own.or(*other);
        }
    }

    /// All samples with their offset into the hour, milliseconds.
    pub fn samples(&self) -> impl Iterator<Item = (u64, &Sample)> {
        self.0.iter().enumerate().filter_map(|(slot, sample)| Some((slot as u64 * STEP_MS, sample.as_ref()?)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Option::is_none)
    }

    /// The sum of all samples.
    pub fn sum(&self) -> Sum {
        let all: Vec<&Sample> = self.samples().map(|(_, sample)| sample).collect();
        let mean = |values: &[u64]| {
            let count = values.len() as u64;
            (count > 0)
                .then(|| u16::try_from((values.iter().sum::<u64>() + count / 2) / count).unwrap_or(u16::MAX))
        };
        let pings: Vec<u64> = all.iter().filter_map(|sample| sample.ping_ms.map(u64::from)).collect();
        let late: Vec<u64> = all.iter().filter_map(|sample| sample.latency_ms.map(u64::from)).collect();
        let count = all.len().max(1);
        Sum {
            samples: all.len() as u8,
            answered: pings.len() as u8,
            ping_ms: mean(&pings),
            slowest_ms: pings.iter().max().map(|most| *most as u16),
            latency_ms: mean(&late),
            fps: all.iter().map(|sample| sample.fps).sum::<f32>() / count as f32,
            bit_rate: all.iter().fold(0, |sum: u64, sample| sum.saturating_add(sample.bit_rate))
                / count as u64,
        }
    }

    /// As it is kept.
    pub fn pack(&self) -> String {
        let mut bytes = Vec::with_capacity(SLOTS * SAMPLE_BYTES);
        for (slot, sample) in self.0.iter().enumerate() {
            let Some(sample) = sample else { continue };
            bytes.push(slot as u8);
            put(&mut bytes, maybe(sample.ping_ms));
            put(&mut bytes, maybe(sample.latency_ms));
            put(&mut bytes, hundredths(sample.fps));
            put(&mut bytes, rate(sample.bit_rate));
            let tenths = sample.keyframe_age_ms.map(|age| u16::try_from(age / 100).unwrap_or(u16::MAX));
            put(&mut bytes, maybe(tenths));
        }
        BASE64.encode(bytes)
    }

    /// What was kept.
    pub fn unpack(text: &str) -> Self {
        let mut hour = Self::default();
        let bytes = BASE64.decode(text).unwrap_or_default();
        for record in bytes.chunks_exact(SAMPLE_BYTES) {
            let [slot, p0, p1, l0, l1, f0, f1, r0, r1, k0, k1] = *record else { continue };
            let sample = Sample {
                ping_ms: read(p0, p1),
                latency_ms: read(l0, l1),
                fps: f32::from(u16::from_be_bytes([f0, f1])) / 100.0,
                bit_rate: u64::from(u16::from_be_bytes([r0, r1])) * RATE_UNIT,
                keyframe_age_ms: read(k0, k1).map(|tenths| u64::from(tenths) * 100),
            };
            hour.put(u64::from(slot) * STEP_MS % HOUR_MS, sample);
        }
        hour
    }
}

/// The sums of a day's hours.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Day([Option<Sum>; 24]);

impl Day {
    /// Puts an hour's sum in its place.
    pub fn put(&mut self, hour_of_day: u64, sum: Sum) {
        if let Some(place) = usize::try_from(hour_of_day).ok().and_then(|hour| self.0.get_mut(hour)) {
            *place = Some(sum);
        }
    }

    /// All sums with their hour of the day.
    pub fn sums(&self) -> impl Iterator<Item = (u64, &Sum)> {
        self.0.iter().enumerate().filter_map(|(hour, sum)| Some((hour as u64, sum.as_ref()?)))
    }

    /// As it is kept.
    pub fn pack(&self) -> String {
        let mut bytes = Vec::with_capacity(24 * SUM_BYTES);
        for (hour, sum) in self.sums() {
            bytes.extend([hour as u8, sum.samples, sum.answered]);
            put(&mut bytes, maybe(sum.ping_ms));
            put(&mut bytes, maybe(sum.slowest_ms));
            put(&mut bytes, maybe(sum.latency_ms));
            put(&mut bytes, hundredths(sum.fps));
            put(&mut bytes, rate(sum.bit_rate));
        }
        BASE64.encode(bytes)
    }

    /// What was kept.
    pub fn unpack(text: &str) -> Self {
        let mut day = Self::default();
        let bytes = BASE64.decode(text).unwrap_or_default();
        for record in bytes.chunks_exact(SUM_BYTES) {
            let [hour, samples, answered, p0, p1, s0, s1, l0, l1, f0, f1, r0, r1] = *record else { continue };
            let sum = Sum {
                samples,
                answered,
                ping_ms: read(p0, p1),
                slowest_ms: read(s0, s1),
                latency_ms: read(l0, l1),
                fps: f32::from(u16::from_be_bytes([f0, f1])) / 100.0,
                bit_rate: u64::from(u16::from_be_bytes([r0, r1])) * RATE_UNIT,
            };
            day.put(u64::from(hour), sum);
        }
        day
    }
}

fn put(bytes: &mut Vec<u8>, number: u16) {
    bytes.extend(number.to_be_bytes());
}

/// 0 is none, else one more than the number.
fn maybe(number: Option<u16>) -> u16 {
    number.map_or(0, |number| number.saturating_add(1))
}

fn read(high: u8, low: u8) -> Option<u16> {
    u16::from_be_bytes([high, low]).checked_sub(1)
}

fn hundredths(number: f32) -> u16 {
    (number * 100.0).round() as u16
}

fn rate(bits: u64) -> u16 {
    u16::try_from(bits.saturating_add(RATE_UNIT / 2) / RATE_UNIT).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(ping: u16) -> Sample {
        Sample {
            ping_ms: Some(ping),
            latency_ms: Some(90),
            fps: 25.0,
            bit_rate: 4_000_000,
            keyframe_age_ms: Some(700),
        }
    }

    #[test]
    fn an_hour_survives_being_packed() {
        let mut hour = Hour::default();
        hour.put(0, sample(0));
        hour.put(HOUR_MS - 1, Sample { ping_ms: None, latency_ms: None, keyframe_age_ms: None, ..sample(0) });
        hour.put(61_000, sample(65_534));
        assert_eq!(Hour::unpack(&hour.pack()), hour);
        assert_eq!(hour.samples().map(|(at, _)| at).collect::<Vec<_>>(), [0, 60_000, HOUR_MS - STEP_MS]);
    }

    #[test]
    fn an_hour_is_small_and_so_is_a_day() {
        let mut hour = Hour::default();
        (0..SLOTS as u64).for_each(|slot| hour.put(slot * STEP_MS, sample(3)));
        assert!(hour.pack().len() < 1_800, "{}", hour.pack().len());
        let mut day = Day::default();
        (0..24).for_each(|of_day| day.put(of_day, hour.sum()));
        assert!(day.pack().len() < 420, "{}", day.pack().len());
    }

    #[test]
    fn a_sum_counts_pings_that_failed_and_means_only_the_others() {
        let mut hour = Hour::default();
        hour.put(0, sample(10));
        hour.put(30_000, sample(21));
        hour.put(60_000, Sample::default());
        let sum = hour.sum();
        assert_eq!((sum.samples, sum.answered, sum.ping_ms, sum.slowest_ms), (3, 2, Some(16), Some(21)));
        assert_eq!((sum.latency_ms, sum.bit_rate), (Some(90), 8_000_000 / 3));
        let mut day = Day::default();
        day.put(23, sum);
        let (hour, read) = Day::unpack(&day.pack()).sums().map(|(hour, sum)| (hour, *sum)).next().unwrap();
        assert_eq!((hour, read.samples, read.answered, read.slowest_ms), (23, 3, 2, Some(21)));
    }

    #[test]
    fn two_clouds_that_heard_parts_of_an_hour_make_one() {
        let (mut first, mut second) = (Hour::default(), Hour::default());
        first.put(0, sample(1));
        second.put(0, sample(9));
        second.put(30_000, sample(2));
        second.fill(&first);
        assert_eq!(
            second.samples().map(|(_, sample)| sample.ping_ms).collect::<Vec<_>>(),
            [Some(9), Some(2)]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in ".{0,200}", bytes: Vec<u8>) {
            for text in [text, BASE64.encode(bytes)] {
                let hour = Hour::unpack(&text);
                prop_assert_eq!(Hour::unpack(&hour.pack()), hour);
                let day = Day::unpack(&text);
                prop_assert_eq!(Day::unpack(&day.pack()), day);
            }
        }
    }
}
