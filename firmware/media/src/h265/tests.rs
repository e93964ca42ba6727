use proptest::prelude::*;

use super::*;
use crate::testing::{bytes, hex, sample, ue};

// Written by x265 from 320x180 at 25 fps with four B-frames, and from 1920x1080 with ten bits.
const VPS_BF: &str = "40010c01ffff01600000030090000003000003003c959809";
const SPS_BF: &str = "42010101600000030090000003000003003ca00a080c1f3e595992930bc05a020000030002000003003210";
const PPS_BF: &str = "4401c073c189";
const SPS_TEN_BIT: &str =
    "420101022000000300900000030000030078a003c0801107cad965654a4c2f016808000003000800000300c840";

#[test]
fn parameter_sets_tell_what_ffprobe_and_hvcc_tell() {
    let sps = Sps::parse(&hex(SPS_BF)).unwrap();
    let expected = PictureFacts {
        width: 320,
        height: 180,
        fps: Some(25.0),
        reorder: Some(2),
        codec: "hvc1.1.6.L60.90".into(),
    };
    assert_eq!(sps.facts(&hex(VPS_BF)), expected);
    assert_eq!((sps.chroma_format, sps.luma_bits, sps.chroma_bits, sps.temporal_layers), (1, 8, 8, 1));

    let ten = Sps::parse(&hex(SPS_TEN_BIT)).unwrap();
    assert_eq!((ten.size, ten.luma_bits, ten.chroma_bits, ten.fps), ((1920, 1080), 10, 10, Some(25.0)));
    assert_eq!(ten.codec(), "hvc1.2.4.L120.90");
    assert_eq!(ten.profile.constraints, [0x90, 0, 0, 0, 0, 0]);
    assert_eq!(ten.profile.compatibility, 0x2000_0000);
}

#[test]
fn slices_tell_their_order() {
    // Decoded first, second, third; shown first, sixth, fourth.
    let (sps, pps) = (Sps::parse(&hex(SPS_BF)).unwrap(), Pps::parse(&hex(PPS_BF)).unwrap());
    let orders: Vec<SliceOrder> = ["2801ac74c2ea8bd26089", "0201d0294b8838613e5b", "0201e0649d608121847e"]
        .iter()
        .map(|slice| sps.slice_order(pps, &sample(&[&hex("4e0105"), &hex(slice)])).unwrap())
        .collect();
    assert_eq!(orders.iter().map(|order| order.poc_lsb).collect::<Vec<_>>(), [0, 5, 3]);
    assert!(orders[0].restart && !orders[1].restart);
}

#[test]
fn a_broken_tail_costs_only_the_frame_rate() {
    let whole = hex(SPS_BF);
    let cut = Sps::parse(&whole[..28]).unwrap();
    assert_eq!((cut.size, cut.reorder, cut.fps), ((320, 180), 2, None));
    assert!(Sps::parse(&whole[..20]).is_err());
}

#[test]
fn a_picture_beyond_the_limit_is_unsupported() {
    // An SPS of Main profile up to log2_max_pic_order_cnt_lsb_minus4, with sides of 65,535.
    let head = format!("{:0104b}", 0x01_01_60_00_00_00_90_00_00_00_00_00_3c_u128);
    let rbsp = bytes(&(head + "1" + "010" + &ue(65_535) + &ue(65_535) + "0" + "111" + "1"));
    // Emulation prevention (7.4.2).
    let mut unit = vec![0x42, 1];
    for byte in rbsp {
        if byte <= 3 && unit.ends_with(&[0, 0]) {
            unit.push(3);
        }
        unit.push(byte);
    }
    let refused = ParameterSetError::UnsupportedSize { width: 65_535, height: 65_535 };
    assert_eq!(Sps::parse(&unit).unwrap_err(), refused);
}

proptest! {
    #[test]
    fn no_bytes_panic(
        at in 0_usize..40, with in any::<u8>(), noise in proptest::collection::vec(any::<u8>(), 0..80))
    {
        let mut sps = hex(SPS_BF);
        sps[at] = with;
        for unit in [sps, [vec![0x42, 1], noise.clone()].concat()] {
            if let Ok(sps) = Sps::parse(&unit) {
                let facts = sps.facts(&[vec![0x40, 1], noise.clone()].concat());
                prop_assert!(facts.width <= 8192 && facts.height <= 8192 && facts.reorder.unwrap_or(0) <= 16);
                let pps = Pps::parse(&[vec![0x44, 1], noise.clone()].concat()).unwrap_or_default();
                let _ = sps.slice_order(pps, &noise);
                let _ = sps.slice_order(pps, &sample(&[&[vec![0x02, 1], noise.clone()].concat()]));
            }
        }
    }
}
