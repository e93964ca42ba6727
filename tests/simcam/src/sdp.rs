//! What a stream says of itself (RFC 8866, RFC 6184 8.2.1, RFC 7798 7.2.1, RFC 3640 4.1).

use std::fmt::Write as _;

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    camera::Stream,
    clip::Codec,
    encoder,
    quirks::{Quirks, Sprop, Video},
    rtp::{PCMA_TYPE, VIDEO_TYPE},
};

/// The description of a stream, as its quirks want it. `base` is its RTSP address, without a slash at the end.
pub(crate) fn describe(stream: &Stream, base: &str, quirks: &Quirks) -> String {
    let mut sdp = String::from(
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=simcam\r\nt=0 0\r\na=control:*\r\na=range:npt=now-\r\n",
    );
    let control = |track: &str| {
        if quirks.absolute_control {
            format!("a=control:{base}/{track}\r\n")
        } else {
            format!("a=control:{track}\r\n")
        }
    };
    match quirks.video {
        Video::Right => {
            let _ = write!(sdp, "m=video 0 RTP/AVP {VIDEO_TYPE}\r\n");
            sdp += &video(stream, quirks);
            sdp += &control("video");
        }
        Video::None => {}
        Video::Mjpeg => {
            sdp += "m=video 0 RTP/AVP 26\r\na=rtpmap:26 JPEG/90000\r\n";
            sdp += &control("video");
        }
    }
    if let Some(sound) = &stream.sound {
        let _ = write!(sdp, "m=audio 0 RTP/AVP {}\r\n", sound.kind);
        if let Some(config) = sound.config {
            let (kind, channels) = (sound.kind, config[1] >> 3 & 15);
            let _ = write!(
                sdp,
                "a=rtpmap:{kind} mpeg4-generic/{}/{channels}\r\na=fmtp:{kind} streamtype=5;profile-level-id=1;mode=AAC-hbr;\
                 sizelength=13;indexlength=3;indexdeltalength=3;config={:02X}{:02X}\r\n",
                sound.rate, config[0], config[1]
            );
        } else {
            let _ = write!(sdp, "a=rtpmap:{PCMA_TYPE} PCMA/8000\r\n");
        }
        sdp += &control("sound");
    }
    for index in 0..quirks.sdp_media {
        let _ = write!(
            sdp,
            "m=application 0 RTP/AVP {}\r\n{}",
            98 + index % 30,
            control(&format!("more{index}"))
        );
    }
    while sdp.len() < quirks.sdp_size {
        sdp += "a=x-padding:0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
    }
    sdp
}

fn video(stream: &Stream, quirks: &Quirks) -> String {
    let Some((_, reel)) = encoder::playing(stream, quirks.second_clip) else { return String::new() };
    let mut sets: Vec<String> = reel.sets.iter().map(|set| STANDARD.encode(set)).collect();
    match quirks.sprop {
        Sprop::Right => {}
        Sprop::Missing => sets.clear(),
        Sprop::EmptyPps => {
            if let Some(pps) = sets.last_mut() {
                pps.clear();
            }
        }
        Sprop::Invalid => sets = sets.iter().map(|_| STANDARD.encode([0xff, 0, 1])).collect(),
    }
    let mut text = String::new();
    match reel.codec {
        Codec::H264 => {
            let level: String = reel
                .sets
                .first()
                .into_iter()
                .flat_map(|sps| sps.iter().skip(1).take(3))
                .fold(String::new(), |hex, byte| hex + &format!("{byte:02X}"));
            let _ = write!(
                text,
                "a=rtpmap:{VIDEO_TYPE} H264/90000\r\na=fmtp:{VIDEO_TYPE} packetization-mode=1;profile-level-id={level}"
            );
            if !sets.is_empty() {
                let _ = write!(text, ";sprop-parameter-sets={}", sets.join(","));
            }
        }
        Codec::H265 => {
            let _ = write!(text, "a=rtpmap:{VIDEO_TYPE} H265/90000\r\na=fmtp:{VIDEO_TYPE} ");
            let named: Vec<String> = ["vps", "sps", "pps"]
                .iter()
                .zip(&sets)
                .map(|(name, set)| format!("sprop-{name}={set}"))
                .collect();
            text += if named.is_empty() { "tx-mode=SRST" } else { "" };
            text += &named.join(";");
        }
    }
    let _ = write!(text, "\r\na=framerate:{}\r\n", reel.fps);
    text
}
