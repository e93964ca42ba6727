//! RTP: a clip is cut into packets once; for each client only headers are patched.
//!
//! Invariant: a [`Train`] is one stamp's packets laid end to end, each behind a gap of 16 bytes that takes the
//! interleaving header (RFC 2326 10.12) and the RTP header (RFC 3550 5.1), so that a frame is one write.

use crate::clip::{Aac, Clip, Codec};

/// Room in front of each payload: `$`, channel, 16-bit length, then 12 bytes of RTP header.
pub const GAP: usize = 16;
/// Largest RTP payload in bytes: an Ethernet frame less IPv4, UDP and RTP headers, rounded down.
pub const PAYLOAD: usize = 1400;
/// RTP payload type of the video.
pub const VIDEO_TYPE: u8 = 96;
/// RTP payload type of AAC.
pub const AAC_TYPE: u8 = 97;
/// RTP payload type of G.711 A-law (RFC 3551, static).
pub const PCMA_TYPE: u8 = 8;

/// NAL unit types of RFC 6184 table 1.
const STAP_A: u8 = 0x18;
const FU_A: u8 = 0x1c;

/// The packets of one picture or one audio frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Train {
    bytes: Box<[u8]>,
    /// Where each packet's payload starts and how long it is.
    packets: Box<[(u32, u32)]>,
    /// Whether decoding can start here.
    pub key: bool,
}

/// What differs between clients.
#[derive(Debug, Clone, Copy)]
pub struct Header {
    /// RTP payload type.
    pub kind: u8,
    /// Interleaved channel, when over TCP.
    pub channel: u8,
    /// Sequence number of the first packet.
    pub sequence: u16,
    /// RTP stamp.
    pub stamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

impl Train {
    fn new(payloads: &[Vec<u8>], key: bool) -> Self {
        let size = payloads.iter().map(|payload| payload.len() + GAP).sum();
        let mut bytes = Vec::with_capacity(size);
        let mut packets = Vec::with_capacity(payloads.len());
        for payload in payloads {
            bytes.extend_from_slice(&[0; GAP]);
            packets.push((bytes.len() as u32, payload.len() as u32));
            bytes.extend_from_slice(payload);
        }
        Self { bytes: bytes.into(), packets: packets.into(), key }
    }

    /// How many packets it has.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Bytes of payload, as a sender report counts them.
    pub fn payload_bytes(&self) -> usize {
        self.bytes.len() - GAP * self.packets.len()
    }

    /// Writes the packets with their headers over `out`, interleaved, the marker on the last one.
    pub fn write(&self, header: Header, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.bytes);
        let last = self.packets.len().saturating_sub(1);
        for (index, &(start, len)) in self.packets.iter().enumerate() {
            let start = start as usize;
            let Some(gap) = out.get_mut(start - GAP..start) else { continue };
            let sequence = header.sequence.wrapping_add(index as u16);
            gap[0] = b'$';
            gap[1] = header.channel;
            gap[2..4].copy_from_slice(&(len as u16 + 12).to_be_bytes());
            gap[4] = 0x80;
            gap[5] = header.kind | if index == last { 0x80 } else { 0 };
            gap[6..8].copy_from_slice(&sequence.to_be_bytes());
            gap[8..12].copy_from_slice(&header.stamp.to_be_bytes());
            gap[12..16].copy_from_slice(&header.ssrc.to_be_bytes());
        }
    }

    /// The datagrams in what [`Self::write`] wrote: RTP header and payload each.
    pub fn datagrams<'a>(&'a self, written: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.packets.iter().filter_map(|&(start, len)| {
            let start = start as usize;
            written.get(start - 12..start + len as usize)
        })
    }
}

/// Cuts every picture of a clip.
pub fn video(clip: &Clip) -> Vec<Train> {
    clip.pictures
        .iter()
        .map(|picture| {
            let nals: Vec<&[u8]> = clip.nals(picture).collect();
            Train::new(&payloads(clip.codec, &nals), picture.key)
        })
        .collect()
}

/// Cuts every frame of a sound clip (RFC 3640 3.3.6, AAC-hbr: 13 bits of size, 3 of index).
pub fn aac(clip: &Aac) -> Vec<Train> {
    clip.frames
        .iter()
        .map(|frame| {
            let mut payload = vec![0, 16];
            payload.extend_from_slice(&((frame.len() as u16) << 3).to_be_bytes());
            payload.extend_from_slice(frame);
            Train::new(&[payload], true)
        })
        .collect()
}

/// A second of a 400 Hz tone in G.711 A-law, 20 ms a packet.
pub fn tone() -> Vec<Train> {
    let samples: Vec<u8> = (0..8000_u32)
        .map(|n| {
            let phase = f64::from(n) * 400.0 / 8000.0 * std::f64::consts::TAU;
            a_law((phase.sin() * 8000.0) as i16)
        })
        .collect();
    samples.chunks(160).map(|packet| Train::new(&[packet.to_vec()], true)).collect()
}

/// ITU-T G.711 A-law of a 16-bit sample.
fn a_law(sample: i16) -> u8 {
    let sample = sample >> 3; // 13 bits
    let (magnitude, mask) = if sample < 0 { (!sample, 0x55) } else { (sample, 0xd5) };
    let segment = (magnitude >> 5).checked_ilog2().map_or(0, |bits| bits + 1);
    let step = if segment < 2 { magnitude >> 1 } else { magnitude >> segment };
    ((segment as u8) << 4 | (step & 15) as u8) ^ mask
}

/// The payloads of one picture.
fn payloads(codec: Codec, nals: &[&[u8]]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut small: Vec<&[u8]> = Vec::new();
    for nal in nals {
        let gathered: usize = small.iter().map(|nal| nal.len() + 2).sum();
        if is_small(codec, nal) && gathered + nal.len() + 4 <= PAYLOAD {
            small.push(nal);
            continue;
        }
        aggregate(codec, &mut small, &mut payloads);
        if nal.len() <= PAYLOAD { payloads.push(nal.to_vec()) } else { fragment(codec, nal, &mut payloads) }
    }
    aggregate(codec, &mut small, &mut payloads);
    payloads
}

/// Parameter sets, SEI and delimiters travel together.
fn is_small(codec: Codec, nal: &[u8]) -> bool {
    match (codec, nal.first()) {
        (Codec::H264, Some(byte)) => (6..=9).contains(&(byte & 0x1f)),
        (Codec::H265, Some(byte)) => (32..=40).contains(&(byte >> 1 & 0x3f)),
        (_, None) => false,
    }
}

/// STAP-A (RFC 6184 5.7.1), AP (RFC 7798 4.4.2); a single one goes alone.
fn aggregate(codec: Codec, small: &mut Vec<&[u8]>, payloads: &mut Vec<Vec<u8>>) {
    if let [alone] = small.as_slice() {
        payloads.push(alone.to_vec());
    } else if !small.is_empty() {
        let mut payload = match codec {
            Codec::H264 => vec![small.iter().map(|nal| nal[0] & 0x60).max().unwrap_or(0) | STAP_A],
            Codec::H265 => vec![48 << 1, 1],
        };
        for nal in small.iter() {
            payload.extend_from_slice(&(nal.len() as u16).to_be_bytes());
            payload.extend_from_slice(nal);
        }
        payloads.push(payload);
    }
    small.clear();
}

/// FU-A (RFC 6184 5.8), FU (RFC 7798 4.4.3).
fn fragment(codec: Codec, nal: &[u8], payloads: &mut Vec<Vec<u8>>) {
    let (head, kind, body): (Vec<u8>, u8, &[u8]) = match codec {
        Codec::H264 => (vec![nal[0] & 0xe0 | FU_A], nal[0] & 0x1f, &nal[1..]),
        Codec::H265 => (vec![nal[0] & 0x81 | 49 << 1, nal[1]], nal[0] >> 1 & 0x3f, &nal[2..]),
    };
    let chunks = body.chunks(PAYLOAD - head.len() - 1);
    let last = chunks.len() - 1;
    for (index, chunk) in chunks.enumerate() {
        let start = if index == 0 { 0x80 } else { 0 };
        let end = if index == last { 0x40 } else { 0 };
        let mut payload = head.clone();
        payload.push(kind | start | end);
        payload.extend_from_slice(chunk);
        payloads.push(payload);
    }
}

/// A sender report with a CNAME (RFC 3550 6.4.1, 6.5.1), 12 + 16 + 12 bytes.
pub fn sender_report(ssrc: u32, unix_us: i64, stamp: u32, packets: u32, bytes: u32) -> Vec<u8> {
    /// Seconds from 1900 to 1970 (RFC 5905).
    const NTP_EPOCH_S: i64 = 2_208_988_800;
    let seconds = (unix_us.div_euclid(1_000_000) + NTP_EPOCH_S) as u32;
    let fraction = ((unix_us.rem_euclid(1_000_000) << 32) / 1_000_000) as u32;
    let mut report = vec![0x80, 200, 0, 6];
    for word in [ssrc, seconds, fraction, stamp, packets, bytes] {
        report.extend_from_slice(&word.to_be_bytes());
    }
    report.extend_from_slice(&[0x81, 202, 0, 4]);
    report.extend_from_slice(&ssrc.to_be_bytes());
    report.extend_from_slice(&[1, 6]);
    report.extend_from_slice(b"simcam");
    report.extend_from_slice(&[0; 4]);
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receiver, written from the RFCs: NAL units of a picture's payloads.
    fn receive(codec: Codec, payloads: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut nals: Vec<Vec<u8>> = Vec::new();
        for payload in payloads {
            assert!(payload.len() <= PAYLOAD);
            let (kind, head) = match codec {
                Codec::H264 => (payload[0] & 0x1f, 1),
                Codec::H265 => (payload[0] >> 1, 2),
            };
            match (codec, kind) {
                (Codec::H264, 24) | (Codec::H265, 48) => {
                    let mut rest = &payload[head..];
                    while let [high, low, nal @ ..] = rest {
                        let (nal, next) = nal.split_at(usize::from(*high) << 8 | usize::from(*low));
                        nals.push(nal.to_vec());
                        rest = next;
                    }
                }
                (Codec::H264, 28) | (Codec::H265, 49) => {
                    let (flags, body) = (payload[head], &payload[head + 1..]);
                    if flags & 0x80 != 0 {
                        nals.push(match codec {
                            Codec::H264 => vec![payload[0] & 0xe0 | flags & 0x1f],
                            Codec::H265 => vec![payload[0] & 0x81 | (flags & 0x3f) << 1, payload[1]],
                        });
                    }
                    nals.last_mut().unwrap().extend_from_slice(body);
                }
                _ => nals.push(payload.clone()),
            }
        }
        nals
    }

    #[test]
    fn what_goes_in_comes_out_of_a_receiver() {
        for (codec, sets, slice) in [
            (Codec::H264, vec![vec![0x67, 1, 2], vec![0x68, 3]], [0x65, 0x88]),
            (Codec::H265, vec![vec![0x40, 1, 9], vec![0x42, 1, 8], vec![0x44, 1, 7]], [0x26, 1]),
        ] {
            for size in [3, PAYLOAD - 1, PAYLOAD, PAYLOAD + 1, 2 * PAYLOAD, 50_000] {
                let mut nals = sets.clone();
                nals.push(slice.into_iter().chain((2..size).map(|byte| byte as u8)).collect());
                let given: Vec<&[u8]> = nals.iter().map(Vec::as_slice).collect();
                let sent = payloads(codec, &given);
                assert_eq!(receive(codec, &sent), nals, "{codec:?} {size}");
            }
        }
    }

    #[test]
    fn headers_are_patched_per_client() {
        let train = Train::new(&[vec![1, 2], vec![3]], true);
        let header = Header { kind: 96, channel: 2, sequence: 0xffff, stamp: 0x0102_0304, ssrc: 0x0506_0708 };
        let mut out = vec![9; 100];
        train.write(header, &mut out);
        let first = [b'$', 2, 0, 14, 0x80, 96, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2];
        let second = [b'$', 2, 0, 13, 0x80, 0xe0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 3];
        assert_eq!(out, [&first[..], &second].concat());
        let datagrams: Vec<_> = train.datagrams(&out).collect();
        assert_eq!(datagrams, [&first[4..], &second[4..]]);
        assert_eq!((train.len(), train.payload_bytes()), (2, 3));
    }

    #[test]
    fn aac_frames_say_their_size() {
        let clip = Aac { rate: 48_000, config: [0x11, 0x88], frames: vec![vec![7; 300]] };
        let mut out = Vec::new();
        let header = Header { kind: 97, channel: 2, sequence: 0, stamp: 0, ssrc: 0 };
        aac(&clip)[0].write(header, &mut out);
        assert_eq!(out[GAP..GAP + 5], [0, 16, 0x09, 0x60, 7], "16 bits of headers, 300 << 3");
    }

    #[test]
    fn the_tone_is_a_law() {
        // ITU-T G.711 table 1a: zero, the smallest negative value, both ends
        assert_eq!([a_law(0), a_law(-1), a_law(i16::MAX), a_law(i16::MIN)], [0xd5, 0x55, 0xaa, 0x2a]);
        // decision values: segments begin at 1, 2, 4 ... times 256 of 32768
        assert_eq!([a_law(256), a_law(512), a_law(1024), a_law(16384)], [0xc5, 0xf5, 0xe5, 0xa5]);
    }

    #[test]
    fn a_report_pairs_ntp_with_rtp() {
        let report = sender_report(1, 1_500_000, 2, 3, 4);
        assert_eq!(report[..8], [0x80, 200, 0, 6, 0, 0, 0, 1]);
        assert_eq!(
            report[8..16],
            [0x83, 0xaa, 0x7e, 0x81, 0x80, 0, 0, 0],
            "1970 + 1.5 s (RFC 5905: 2,208,988,800)"
        );
        assert_eq!(report.len() % 4, 0);
    }
}
