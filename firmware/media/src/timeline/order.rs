//! Picture order count of each access unit (H.264 8.2.1, H.265 8.3.1), and how far decoding runs ahead of output.

use crate::picture::MAX_REORDER;
use crate::unit::VideoFormat;
use crate::{h264, h265};

/// Pictures that are remembered: twice what any decoder may hold.
const REMEMBERED: usize = 2 * MAX_REORDER;

/// Reads the order of each picture.
#[derive(Debug, Default)]
pub(super) struct Order {
    codec: Option<Codec>,
    /// Where counting stands: `PicOrderCntMsb` and `pic_order_cnt_lsb` of the last picture that others are counted from.
    base: (i64, i64),
    /// Order counts since the last restart, latest last.
    recent: Vec<i64>,
    /// The smallest step between two pictures; 2 for frames of most H.264 encoders.
    step: Option<i64>,
}

#[derive(Debug)]
enum Codec {
    H264(Box<h264::Sps>),
    H265(Box<h265::Sps>, h265::Pps),
}

/// One picture's place in output order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Poc {
    /// Counts from the last restart.
    pub(super) count: i64,
    /// Every picture before it is shown before it.
    pub(super) restart: bool,
    /// Pictures since the restart that came before it and are shown after it.
    pub(super) overtaken: usize,
}

impl Order {
    /// A reader for this format, and the reorder depth that the format tells.
    pub(super) fn of(format: &VideoFormat) -> (Self, Option<usize>) {
        let (codec, depth) = match format {
            VideoFormat::H264 { sps, .. } => {
                let sps = h264::Sps::parse(sps).ok();
                let depth = sps.as_ref().and_then(h264::Sps::reorder);
                (sps.map(|sps| Codec::H264(Box::new(sps))), depth)
            }
            VideoFormat::H265 { sps, pps, .. } => {
                let sps = h265::Sps::parse(sps).ok();
                let depth = sps.as_ref().map(|sps| sps.reorder);
                (sps.map(|sps| Codec::H265(Box::new(sps), h265::Pps::parse(pps).unwrap_or_default())), depth)
            }
        };
        (Self { codec, ..Self::default() }, depth)
    }

    /// The order of the next access unit; `None` where it does not tell.
    pub(super) fn read(&mut self, data: &[u8]) -> Option<Poc> {
        let (lsb, bits, restart, base) = match self.codec.as_ref()? {
            Codec::H264(sps) => {
                let slice = sps.slice_order(data)?;
                (slice.poc_lsb, sps.poc_lsb_bits()?, slice.idr, slice.reference)
            }
            Codec::H265(sps, pps) => {
                let slice = sps.slice_order(*pps, data)?;
                (slice.poc_lsb, sps.poc_lsb_bits, slice.restart, slice.base)
            }
        };
        let (lsb, wrap) = (i64::from(lsb), 1_i64 << bits);
        if restart {
            self.recent.clear();
            self.base = (0, 0);
        }
        let (base_msb, base_lsb) = self.base;
        let msb = match lsb - base_lsb {
            _ if restart => 0,
            back if back <= -wrap / 2 => base_msb + wrap,
            ahead if ahead > wrap / 2 => base_msb - wrap,
            _ => base_msb,
        };
        if base {
            self.base = (msb, lsb);
        }
        let count = msb + lsb;
        for other in &self.recent {
            let step = (count - other).abs();
            if step > 0 && self.step.is_none_or(|known| step < known) {
                self.step = Some(step);
            }
        }
        let overtaken = self.recent.iter().filter(|other| **other > count).count().min(MAX_REORDER);
        if self.recent.len() >= REMEMBERED {
            self.recent.remove(0);
        }
        self.recent.push(count);
        Some(Poc { count, restart, overtaken })
    }

    /// Frames from one picture to another, by their counts; `None` before a step is known.
    pub(super) fn frames(&self, from: i64, to: i64) -> Option<i64> {
        self.step.map(|step| ((to - from) / step).clamp(-(REMEMBERED as i64), REMEMBERED as i64))
    }
}
