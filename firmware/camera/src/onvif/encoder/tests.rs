use proptest::prelude::*;

use super::*;

fn element(text: &str) -> Element {
    Element::read(text.as_bytes()).unwrap()
}

const ONE: &str = "<Configuration token=\"V1\"><Name>main</Name><UseCount>2</UseCount><Encoding>H264</Encoding><Resolution><Width>1920</Width><Height>1080</Height></Resolution><Quality>3</Quality><RateControl><FrameRateLimit>25</FrameRateLimit><EncodingInterval>1</EncodingInterval><BitrateLimit>8192</BitrateLimit></RateControl><H264><GovLength>250</GovLength><H264Profile>High</H264Profile></H264><Multicast><Address><Type>IPv4</Type><IPv4Address>239.0.1.2</IPv4Address></Address><Port>8600</Port><TTL>5</TTL><AutoStart>false</AutoStart></Multicast><SessionTimeout>PT5S</SessionTimeout></Configuration>";
const TWO: &str = "<Configurations token=\"V1\" GovLength=\"100\" Profile=\"Main\"><Name>main</Name><UseCount>1</UseCount><Encoding>H265</Encoding><Resolution><Width>2560</Width><Height>1440</Height></Resolution><RateControl ConstantBitRate=\"true\"><FrameRateLimit>20</FrameRateLimit><BitrateLimit>3072</BitrateLimit></RateControl><Quality>3</Quality></Configurations>";
const OPTIONS_1: &str = "<R><Options><QualityRange><Min>0</Min><Max>5</Max></QualityRange><H264><ResolutionsAvailable><Width>1920</Width><Height>1080</Height></ResolutionsAvailable><GovLengthRange><Min>1</Min><Max>400</Max></GovLengthRange><FrameRateRange><Min>1</Min><Max>25</Max></FrameRateRange><EncodingIntervalRange><Min>1</Min><Max>1</Max></EncodingIntervalRange><H264ProfilesSupported>Main</H264ProfilesSupported></H264><Extension><H264><BitrateRange><Min>32</Min><Max>3000</Max></BitrateRange></H264></Extension></Options></R>";
const OPTIONS_2: &str = "<R><Options GovLengthRange=\"1 50\" FrameRatesSupported=\"30 15 12 1\" ProfilesSupported=\"Baseline High\"><Encoding>H264</Encoding><ResolutionsAvailable><Width>1920</Width><Height>1080</Height></ResolutionsAvailable><ResolutionsAvailable><Width>640</Width><Height>360</Height></ResolutionsAvailable><BitrateRange><Min>256</Min><Max>8192</Max></BitrateRange></Options><Options GovLengthRange=\"1 50\"><Encoding>H265</Encoding></Options></R>";

#[test]
fn a_long_gop_and_a_waste_of_bits_are_put_right_within_the_cameras_limits() {
    let now = Encoder::read(&element(ONE));
    assert_eq!((now.gop, now.kbps, now.size, now.fps), (250, 8192, (1920, 1080), 25.0));
    let new = now.improved(&Options::read(&element(OPTIONS_1))).unwrap();
    assert_eq!(
        (new.gop, new.kbps, new.profile.as_deref()),
        (25, 3000, Some("Main")),
        "4,000 is over its most"
    );
    let unlimited = now.improved(&Options::Unknown).unwrap();
    assert_eq!((unlimited.gop, unlimited.kbps, unlimited.profile.as_deref()), (25, 4000, Some("High")));
    // What was put right needs nothing more.
    assert_eq!(new.improved(&Options::read(&element(OPTIONS_1))), Some(new));
}

#[test]
fn h265_becomes_the_nearest_h264_that_the_camera_has() {
    let now = Encoder::read(&element(TWO));
    let new = now.improved(&Options::read2(&element(OPTIONS_2))).unwrap();
    assert_eq!((new.encoding.as_str(), new.size, new.fps, new.gop), ("H264", (1920, 1080), 15.0, 15));
    assert_eq!(new.kbps, 3072, "never more than it was");
    assert_eq!(new.profile.as_deref(), Some("Baseline"));
    let none = element("<R><Options><Encoding>H265</Encoding></Options></R>");
    assert_eq!(now.improved(&Options::read2(&none)), None);
    let unnamed = element("<R><Options><QualityRange><Min>1</Min><Max>5</Max></QualityRange></Options></R>");
    assert_eq!(Options::read2(&unnamed), Options::Unknown, "it is asked for H.264 all the same");
    assert_eq!(now.improved(&Options::Unknown).unwrap().encoding, "H264");
}

#[test]
fn a_bit_rate_of_mud_is_raised_and_a_modest_one_stays() {
    let mut now = Encoder { gop: 25, kbps: 1_500, ..Encoder::read(&element(ONE)) };
    assert_eq!(now.improved(&Options::Unknown).unwrap(), now, "nothing to do");
    now.kbps = 200;
    assert_eq!(now.improved(&Options::Unknown).unwrap().kbps, 4000);
    now.size = (1280, 720);
    assert_eq!(now.improved(&Options::Unknown).unwrap().kbps, 2000);
    now.size = (640, 360);
    assert_eq!(now.improved(&Options::Unknown).unwrap().kbps, 200, "a small picture needs little");
}

#[test]
fn what_is_not_ours_goes_back_as_it_came() {
    let now = Encoder::read(&element(ONE));
    let bound = |media2| format!("<x xmlns:tt=\"s\">{}</x>", now.xml(media2));
    let again = element(&bound(false)).children.remove(0);
    assert_eq!(Encoder::read(&again), now);
    assert_eq!(again.text_of("IPv4Address"), Some("239.0.1.2"));
    let two = Encoder::read(&element(TWO));
    let again = element(&format!("<x xmlns:tt=\"s\">{}</x>", two.xml(true))).children.remove(0);
    let read = Encoder::read(&again);
    assert_eq!(Encoder { multicast: None, ..read }, two);
    assert_eq!(again.attribute("GovLength"), Some("100"));
}

#[test]
fn a_camera_that_writes_elements_for_attributes_is_answered_alike() {
    let now = element(
        "<Configurations token=\"V\"><Encoding>H264</Encoding><Resolution><Width>1920</Width><Height>1080</Height></Resolution><RateControl><FrameRateLimit>30</FrameRateLimit><BitrateLimit>4096</BitrateLimit></RateControl><GovLength>60</GovLength><Profile>High</Profile></Configurations>",
    );
    let options = element(
        "<R><Options><Encoding>H264</Encoding><GovLengthRange><Min>1</Min><Max>20</Max></GovLengthRange><ProfilesSupported>Baseline</ProfilesSupported><ProfilesSupported>Main</ProfilesSupported></Options></R>",
    );
    let new = Encoder::read(&now).improved(&Options::read2(&options)).unwrap();
    assert_eq!((new.gop, new.profile.as_deref()), (20, Some("Main")));
    let sent = element(&format!("<x xmlns:tt=\"s\">{}</x>", new.xml(true)));
    assert_eq!((sent.text_of("GovLength"), sent.text_of("Profile")), (Some("20"), Some("Main")));
    // One that keeps to the schema gets nothing that is not in it.
    assert_eq!(
        element(&format!("<x xmlns:tt=\"s\">{}</x>", Encoder::read(&element(TWO)).xml(true)))
            .text_of("GovLength"),
        None
    );
}

#[test]
fn names_from_the_camera_cannot_leave_their_place() {
    let hostile = "</tt:Name><evil a=\"&";
    let encoder = Encoder { token: hostile.into(), name: hostile.into(), ..Encoder::default() };
    for media2 in [false, true] {
        let read = element(&format!("<x xmlns:tt=\"s\">{}</x>", encoder.xml(media2)));
        assert!(read.find("evil").is_none());
        assert_eq!(read.child("Configuration").unwrap().attribute("token"), Some(hostile));
    }
}

proptest! {
    #[test]
    fn whatever_a_camera_says_the_plan_is_h264_of_a_sane_gop(
        encoding in "H264|H265|JPEG|", fps in 0.0_f64..200.0, gop: u32, kbps: u32, width in 0_u32..8000, height in 0_u32..8000,
        least: u32, most: u32, rates in prop::collection::vec(0.0_f64..100.0, 0..4),
    ) {
        let now = Encoder { encoding, fps, gop, kbps, size: (width, height), ..Encoder::default() };
        let range = (least <= most).then_some((least, most));
        let limits = Limits { gop: range, kbps: range, rates, ..Limits::default() };
        for options in [Options::Unknown, Options::H264(limits)] {
            let new = now.improved(&options).unwrap();
            prop_assert!(is_h264(&new.encoding));
            prop_assert!(f64::from(new.gop) <= new.pace().round().max(1.0) || Some(new.gop) == range.map(|(least, _)| least));
            let again = new.improved(&options).unwrap();
            prop_assert_eq!(again, new, "a second time changes nothing");
        }
    }

    #[test]
    fn hostile_answers_never_panic(text in "(<(Options|H264|Encoding|GovLengthRange|Min|Max|Resolution|Width)( GovLengthRange='[0-9 -]{0,20}')?/?>|</(Options|H264|Min|Max)>|[0-9eE.+-]{0,8}){0,40}") {
        if let Ok(read) = Element::read(text.as_bytes()) {
            let _ = (Options::read(&read), Options::read2(&read), Encoder::read(&read).xml(true));
        }
    }
}
