//! The ONVIF device, media and media2 services over HTTP, and the snapshot.
//!
//! Invariant: only GetSystemDateAndTime, GetServices and GetCapabilities are answered without a login (ONVIF Core
//! 5.9.4.3, class PRE_AUTH), and a WS-UsernameToken is right for 5 s around its time by the camera's clock.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    auth::Login,
    camera::{Camera, lock},
    clip::Codec,
    request::{Message, Request, take},
    wsd::element,
};

/// How old, or how far ahead, a token may be.
const WINDOW_US: i64 = 5_000_000;
/// An idle connection is closed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves a camera's HTTP port.
pub(crate) async fn serve(camera: Arc<Camera>, snapshot: Arc<Option<Vec<u8>>>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (camera, snapshot) = (Arc::clone(&camera), Arc::clone(&snapshot));
                tokio::spawn(async move {
                    let _ = connection(&camera, (*snapshot).as_deref(), stream).await; // a client that is gone is no news
                });
            }
            // out of descriptors: wait for clients to leave
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(camera: &Camera, snapshot: Option<&[u8]>, mut stream: TcpStream) -> io::Result<()> {
    let host = stream.local_addr()?.ip().to_string();
    let mut bytes = Vec::new();
    loop {
        let Some(message) = take(&mut bytes).map_err(io::Error::other)? else {
            if timeout(PATIENCE, stream.read_buf(&mut bytes)).await?? == 0 {
                return Ok(());
            }
            continue;
        };
        let Message::Request(request) = message else { return Ok(()) };
        let reply = answer(camera, snapshot, &request, &host);
        let mut head = format!(
            "HTTP/1.1 {} {}\r\nServer: simcam\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            reply.status,
            if reply.status == 200 { "OK" } else { "Refused" },
            reply.kind,
            reply.body.len()
        );
        if let Some(elsewhere) = reply.location {
            head += &format!("Location: {elsewhere}\r\n");
        }
        for challenge in reply.challenges {
            head += &format!("WWW-Authenticate: {challenge}\r\n");
        }
        let whole = [head.as_bytes(), b"\r\n", &reply.body].concat();
        stream.write_all(&whole).await?;
    }
}

struct Reply {
    status: u16,
    kind: &'static str,
    challenges: Vec<String>,
    location: Option<String>,
    body: Vec<u8>,
}

impl Reply {
    fn soap(status: u16, body: &str) -> Self {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
             <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
             xmlns:ter=\"http://www.onvif.org/ver10/error\" xmlns:tt=\"http://www.onvif.org/ver10/schema\" \
             xmlns:tds=\"http://www.onvif.org/ver10/device/wsdl\" xmlns:trt=\"http://www.onvif.org/ver10/media/wsdl\" \
             xmlns:tr2=\"http://www.onvif.org/ver20/media/wsdl\"><s:Body>{body}</s:Body></s:Envelope>"
        );
        Self {
            status,
            kind: "application/soap+xml; charset=utf-8",
            challenges: Vec::new(),
            location: None,
            body: text.into(),
        }
    }

    fn fault(status: u16, code: &str, reason: &str) -> Self {
        let body = format!(
            "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{code}</s:Value></s:Subcode></s:Code>\
             <s:Reason><s:Text xml:lang=\"en\">{reason}</s:Text></s:Reason></s:Fault>"
        );
        Self::soap(status, &body)
    }
}

/// The login in a request.
enum Given {
    None,
    Wrong,
    Right,
}

fn answer(camera: &Camera, snapshot: Option<&[u8]>, request: &Request, host: &str) -> Reply {
    let nothing =
        Reply { status: 404, kind: "text/plain", challenges: Vec::new(), location: None, body: Vec::new() };
    let (refuse, redirect) = {
        let quirks = lock(&camera.quirks);
        (quirks.refuse, quirks.redirect.clone())
    };
    if redirect.is_some() {
        return Reply { status: 302, location: redirect, ..nothing };
    }
    let path = request.target.split('?').next().unwrap_or_default();
    let soap = path.starts_with("/onvif/") && request.method == "POST";
    if !(soap || path == "/snapshot.jpg") || soap && !lock(&camera.quirks).onvif {
        return nothing;
    }
    let body = element(&request.body, "Body").unwrap_or_default();
    let action = first_element(body);
    if !(soap && matches!(action, "GetSystemDateAndTime" | "GetServices" | "GetCapabilities"))
        && let Some(login) = &camera.login
    {
        let given = given(camera, login, request);
        let passes = match given {
            Given::None => false,
            Given::Wrong => camera.login_passes(false),
            Given::Right => camera.login_passes(true),
        };
        if !passes {
            let mut reply = match given {
                Given::None => Reply::fault(401, "ter:NotAuthorized", "Sender not authorized"),
                _ => Reply::fault(
                    if request.header("authorization").is_some() { 401 } else { 400 },
                    "ter:NotAuthorized",
                    "Sender not authorized",
                ),
            };
            if reply.status == 401 {
                reply.challenges = login.challenges();
            }
            return reply;
        }
    }
    if !soap {
        return match snapshot {
            Some(picture) => Reply { status: 200, kind: "image/jpeg", body: picture.to_vec(), ..nothing },
            None => nothing,
        };
    }
    if refuse != 0 {
        return Reply::fault(500, "ter:Action", "refused");
    }
    match respond(camera, action, body, host) {
        Some(body) => Reply::soap(200, &body),
        None => Reply::fault(400, "ter:ActionNotSupported", "Optional Action Not Implemented"),
    }
}

fn given(camera: &Camera, login: &Login, request: &Request) -> Given {
    if let Some(header) = request.header("authorization") {
        return if login.accepts(&request.method, header) { Given::Right } else { Given::Wrong };
    }
    let Some(token) = element(&request.body, "UsernameToken") else { return Given::None };
    let part = |name| element(token, name).unwrap_or_default().trim();
    let created = part("Created");
    let age = unix_of(created).map(|unix| (camera.clock_us() - unix * 1_000_000).abs());
    let right = login.accepts_token(&unescape(part("Username")), part("Password"), part("Nonce"), created);
    if right && age.is_some_and(|age| age <= WINDOW_US) { Given::Right } else { Given::Wrong }
}

/// The local name of the first element.
fn first_element(xml: &str) -> &str {
    let tag = xml.find('<').map_or("", |at| &xml[at + 1..]);
    let name = tag.split([' ', '\t', '\r', '\n', '/', '>']).next().unwrap_or_default();
    name.rsplit(':').next().unwrap_or_default()
}

fn respond(camera: &Camera, action: &str, body: &str, host: &str) -> Option<String> {
    let service_host = lock(&camera.quirks).xaddrs_host.clone().unwrap_or_else(|| host.to_owned());
    let service = |name: &str| format!("http://{service_host}:{}/onvif/{name}", camera.http_port);
    let media2 = body.contains("ver20/media");
    let stream = || {
        let token = element(body, "ProfileToken").map(str::trim);
        camera.streams.get(usize::from(token == Some("sub")))
    };
    Some(match action {
        "GetSystemDateAndTime" => {
            let (year, month, day, second) = civil(camera.clock_us().div_euclid(1_000_000));
            let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
            let stamp = |name: &str| {
                format!(
                    "<tt:{name}><tt:Time><tt:Hour>{hour}</tt:Hour><tt:Minute>{minute}</tt:Minute><tt:Second>{second}</tt:Second></tt:Time>\
                     <tt:Date><tt:Year>{year}</tt:Year><tt:Month>{month}</tt:Month><tt:Day>{day}</tt:Day></tt:Date></tt:{name}>"
                )
            };
            format!(
                "<tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>\
                 <tt:DaylightSavings>false</tt:DaylightSavings>{}{}</tds:SystemDateAndTime></tds:GetSystemDateAndTimeResponse>",
                stamp("UTCDateTime"),
                stamp("LocalDateTime")
            )
        }
        "GetDeviceInformation" => format!(
            "<tds:GetDeviceInformationResponse><tds:Manufacturer>Streambox</tds:Manufacturer><tds:Model>simcam</tds:Model>\
             <tds:FirmwareVersion>{}</tds:FirmwareVersion><tds:SerialNumber>{}</tds:SerialNumber>\
             <tds:HardwareId>1</tds:HardwareId></tds:GetDeviceInformationResponse>",
            env!("CARGO_PKG_VERSION"),
            camera.uuid
        ),
        "GetServices" => {
            let services: String = [("ver10/device", "device_service"), ("ver10/media", "media_service"), ("ver20/media", "media2_service")]
                .iter()
                .map(|(space, name)| {
                    format!(
                        "<tds:Service><tds:Namespace>http://www.onvif.org/{space}/wsdl</tds:Namespace><tds:XAddr>{}</tds:XAddr>\
                         <tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>",
                        service(name)
                    )
                })
                .collect();
            format!("<tds:GetServicesResponse>{services}</tds:GetServicesResponse>")
        }
        "GetCapabilities" => format!(
            "<tds:GetCapabilitiesResponse><tds:Capabilities><tt:Device><tt:XAddr>{}</tt:XAddr></tt:Device>\
             <tt:Media><tt:XAddr>{}</tt:XAddr><tt:StreamingCapabilities><tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP>\
             </tt:StreamingCapabilities></tt:Media></tds:Capabilities></tds:GetCapabilitiesResponse>",
            service("device_service"),
            service("media_service")
        ),
        "GetProfiles" => profiles(camera, media2),
        "GetStreamUri" => {
            let stream = stream()?;
            let host = lock(&camera.quirks).uri_host.clone().unwrap_or_else(|| host.to_owned());
            let uri = escape(&format!("rtsp://{host}:{}{}", camera.rtsp_port, stream.path));
            address("GetStreamUri", &uri, media2)
        }
        "GetSnapshotUri" => {
            let uri = format!("http://{host}:{}/snapshot.jpg", camera.http_port);
            address("GetSnapshotUri", &uri, media2)
        }
        _ => return None,
    })
}

fn address(action: &str, uri: &str, media2: bool) -> String {
    if media2 {
        return format!("<tr2:{action}Response><tr2:Uri>{uri}</tr2:Uri></tr2:{action}Response>");
    }
    format!(
        "<trt:{action}Response><trt:MediaUri><tt:Uri>{uri}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>\
         <tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri></trt:{action}Response>"
    )
}

fn profiles(camera: &Camera, media2: bool) -> String {
    let mut text = String::new();
    for (stream, token) in camera.streams.iter().zip(["main", "sub"]) {
        let reel = &stream.first;
        let (width, height) = if token == "main" { (1920, 1080) } else { (640, 360) };
        let resolution = format!(
            "<tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>"
        );
        let rate = format!(
            "<tt:RateControl><tt:FrameRateLimit>{}</tt:FrameRateLimit><tt:BitrateLimit>4096</tt:BitrateLimit></tt:RateControl>",
            reel.fps.round()
        );
        text += &match (reel.codec, media2) {
            // the first media service has no word for H.265 (tt:VideoEncoding)
            (Codec::H265, false) => format!(
                "<trt:Profiles token=\"{token}\" fixed=\"true\"><tt:Name>{token}</tt:Name></trt:Profiles>"
            ),
            (Codec::H264, false) => format!(
                "<trt:Profiles token=\"{token}\" fixed=\"true\"><tt:Name>{token}</tt:Name>\
                 <tt:VideoEncoderConfiguration token=\"v-{token}\"><tt:Name>v-{token}</tt:Name><tt:Encoding>H264</tt:Encoding>\
                 {resolution}{rate}<tt:H264><tt:GovLength>25</tt:GovLength><tt:H264Profile>Main</tt:H264Profile></tt:H264>\
                 </tt:VideoEncoderConfiguration></trt:Profiles>"
            ),
            (codec, true) => format!(
                "<tr2:Profiles token=\"{token}\" fixed=\"true\"><tr2:Name>{token}</tr2:Name><tr2:Configurations>\
                 <tr2:VideoEncoder token=\"v-{token}\" GovLength=\"25\"><tt:Name>v-{token}</tt:Name><tt:Encoding>{}</tt:Encoding>\
                 {resolution}{rate}</tr2:VideoEncoder></tr2:Configurations></tr2:Profiles>",
                if codec == Codec::H264 { "H264" } else { "H265" }
            ),
        };
    }
    let prefix = if media2 { "tr2" } else { "trt" };
    format!("<{prefix}:GetProfilesResponse>{text}</{prefix}:GetProfilesResponse>")
}

/// Text as XML content.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

/// Year, month, day and second of the day of a unix time (Hinnant, chrono-compatible low-level date algorithms).
fn civil(unix: i64) -> (i64, i64, i64, i64) {
    let days = unix.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1, unix.rem_euclid(86_400))
}

/// Unix seconds of `YYYY-MM-DDThh:mm:ss[.fff]Z`.
fn unix_of(text: &str) -> Option<i64> {
    let (date, time) = text.trim().strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split('.').next()?.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, shifted) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_era = year.rem_euclid(400);
    let days = year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100
        + (153 * shifted + 2) / 5
        + day
        - 1;
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_told() {
        assert_eq!(unix_of("2010-09-16T07:50:45Z"), Some(1_284_623_445));
        assert_eq!(unix_of("2000-02-29T23:59:59.250Z"), Some(951_868_799));
        assert_eq!(civil(951_868_799), (2000, 2, 29, 86_399));
        assert_eq!(civil(1_284_623_445), (2010, 9, 16, 7 * 3600 + 50 * 60 + 45));
        assert_eq!(unix_of("yesterday"), None);
    }
}
