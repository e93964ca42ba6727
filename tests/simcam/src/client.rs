//! One session that plays: where its packets go and how they are numbered.
//!
//! Invariant: sequence numbers have no holes; video starts with a keyframe (or, by quirk, never with one) and sound
//! starts after the video.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    camera::{Camera, Track, lock},
    log::Sent,
    pipe::Pipe,
    rtp::{self, Header, Train},
};

/// Time between sender reports (RFC 3550 6.2 asks for 5 s on average).
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// One frame to be sent.
pub(crate) struct Frame<'a> {
    pub(crate) track: Track,
    pub(crate) train: &'a Train,
    pub(crate) number: u64,
    pub(crate) stamp: u32,
    /// RTP clock, Hz.
    pub(crate) rate: u32,
    /// Whether a client's first frame must be a keyframe, or must not.
    pub(crate) start_at_key: bool,
}

/// Where packets go.
#[derive(Debug)]
pub(crate) enum Way {
    /// Over the RTSP connection: RTP on this channel, RTCP on the next.
    Interleaved(u8),
    /// RTP and RTCP sockets of ours, and the client's address for each.
    Udp { rtp: (UdpSocket, SocketAddr), rtcp: (UdpSocket, SocketAddr) },
}

/// One track of a session.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) way: Way,
    pub(crate) kind: u8,
    pub(crate) ssrc: u32,
    /// The next packet's number.
    pub(crate) sequence: u16,
    packets: u32,
    bytes: u32,
    report_due: Option<Instant>,
}

impl Lane {
    pub(crate) fn new(way: Way, kind: u8) -> Self {
        let random = crate::random();
        let (ssrc, sequence) = (random as u32, (random >> 32) as u16);
        Self { way, kind, ssrc, sequence, packets: 0, bytes: 0, report_due: None }
    }
}

/// One session.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) pipe: Arc<Pipe>,
    pub(crate) video: Mutex<Option<Lane>>,
    pub(crate) sound: Mutex<Option<Lane>>,
    started: AtomicBool,
}

impl Client {
    pub(crate) fn new(id: u64, pipe: Arc<Pipe>) -> Self {
        Self { id, pipe, video: Mutex::default(), sound: Mutex::default(), started: AtomicBool::new(false) }
    }

    pub(crate) fn lane(&self, track: Track) -> &Mutex<Option<Lane>> {
        match track {
            Track::Video => &self.video,
            Track::Sound => &self.sound,
        }
    }

    /// Sends a frame if this client wants it; says whether it did.
    pub(crate) fn send(&self, camera: &Camera, frame: &Frame<'_>, scratch: &mut Vec<u8>) -> bool {
        if !self.started.load(Ordering::Relaxed) {
            let starts = match frame.track {
                Track::Video => frame.train.key == frame.start_at_key,
                Track::Sound => lock(&self.video).is_none(),
            };
            if !starts {
                return false;
            }
            self.started.store(true, Ordering::Relaxed);
        }
        let mut lane = lock(self.lane(frame.track));
        let Some(lane) = lane.as_mut() else { return false };
        self.report(camera, lane, frame.rate);
        let channel = if let Way::Interleaved(channel) = lane.way { channel } else { 0 };
        let header =
            Header { kind: lane.kind, channel, sequence: lane.sequence, stamp: frame.stamp, ssrc: lane.ssrc };
        frame.train.write(header, scratch);
        lane.sequence = lane.sequence.wrapping_add(frame.train.len() as u16);
        lane.packets = lane.packets.wrapping_add(frame.train.len() as u32);
        lane.bytes = lane.bytes.wrapping_add(frame.train.payload_bytes() as u32);
        let sent = (frame.track == Track::Video).then_some(Sent {
            camera: camera.index,
            client: self.id,
            frame: frame.number,
            stamp: frame.stamp,
            key: frame.train.key,
        });
        match &lane.way {
            Way::Interleaved(_) => self.pipe.send(scratch, sent, &camera.log),
            Way::Udp { rtp: (socket, to), .. } => {
                for datagram in frame.train.datagrams(scratch) {
                    let _ = socket.send_to(datagram, to); // UDP promises nothing
                }
                if let Some(sent) = sent {
                    camera.log.note(sent);
                }
            }
        }
        true
    }

    fn report(&self, camera: &Camera, lane: &mut Lane, rate: u32) {
        let now = Instant::now();
        if lane.report_due.is_some_and(|due| now < due) {
            return;
        }
        lane.report_due = Some(now + REPORT_EVERY);
        let (unix_us, stamp) = camera.report_stamp(rate);
        let report = rtp::sender_report(lane.ssrc, unix_us, stamp, lane.packets, lane.bytes);
        match &lane.way {
            Way::Interleaved(channel) => {
                let mut framed = vec![b'$', channel + 1];
                framed.extend_from_slice(&(report.len() as u16).to_be_bytes());
                framed.extend_from_slice(&report);
                self.pipe.send(&framed, None, &camera.log);
            }
            Way::Udp { rtcp: (socket, to), .. } => {
                let _ = socket.send_to(&report, to);
            }
        }
    }
}
