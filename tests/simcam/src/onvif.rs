//! The ONVIF device, media and media2 services over HTTP, and the snapshot.
//!
//! Invariant: only GetSystemDateAndTime, GetServices and GetCapabilities are answered without a login (ONVIF Core
//! 5.9.4.3, class PRE_AUTH), and a WS-UsernameToken is right for 5 s around its time by the camera's clock.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

use crate::{
    auth::Login,
    camera::{Camera, lock},
    encoder,
    quirks::{OnvifAuth, Xml},
    request::{Message, Request, take},
    wsd::element,
};

/// How old, or how far ahead, a token may be.
const WINDOW_US: i64 = 5_000_000;
/// An idle connection is closed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves a camera's HTTP port.
pub(crate) async fn serve(camera: Arc<Camera>, snapshot: Arc<Vec<u8>>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let (camera, snapshot) = (Arc::clone(&camera), Arc::clone(&snapshot));
                tokio::spawn(async move {
                    let _ = connection(&camera, &snapshot, stream).await; // a client that is gone is no news
                });
            }
            // out of descriptors: wait for clients to leave
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(camera: &Camera, snapshot: &[u8], mut stream: TcpStream) -> io::Result<()> {
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
        camera.requests.fetch_add(1, Ordering::Relaxed);
        let xml = lock(&camera.quirks).xml;
        if xml == Xml::Huge {
            return huge(&mut stream).await;
        }
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
        if let Some(seconds) = reply.retry_after {
            head += &format!("Retry-After: {seconds}\r\n");
        }
        for challenge in reply.challenges {
            head += &format!("WWW-Authenticate: {challenge}\r\n");
        }
        let whole = [head.as_bytes(), b"\r\n", &reply.body].concat();
        stream.write_all(&whole).await?;
    }
}

/// 100 MB of elements, as long as anybody takes them.
async fn huge(stream: &mut TcpStream) -> io::Result<()> {
    const SIZE: usize = 100_000_000;
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\nContent-Length: {SIZE}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let chunk = "<a></a>\n".repeat(8 << 10);
    let mut left = SIZE;
    while left > 0 {
        let part = chunk.as_bytes().get(..left.min(chunk.len())).unwrap_or_default();
        stream.write_all(part).await?;
        left -= part.len();
    }
    Ok(())
}

/// What a hostile camera answers.
fn hostile(xml: Xml, url: &str) -> Option<String> {
    let answer =
        "<GetProfilesResponse><Profiles token=\"&x;\"><Name>&x;</Name></Profiles></GetProfilesResponse>";
    let body = |kind: &str, inside: &str| {
        format!(
            "<?xml version=\"1.0\"?>{kind}<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\"><s:Body>{inside}</s:Body>\
             </s:Envelope>"
        )
    };
    Some(match xml {
        Xml::Right | Xml::Huge => return None,
        Xml::Entities => body(&format!("<!DOCTYPE a [<!ENTITY x SYSTEM \"{url}\">]>"), answer),
        Xml::Bomb => {
            let level = |number: u32| {
                let inside = format!("&x{};", number - 1).repeat(10);
                format!("<!ENTITY x{number} \"{inside}\">")
            };
            let levels: String = (1..=8).map(level).collect();
            body(&format!("<!DOCTYPE a [<!ENTITY x0 \"lol\">{levels}<!ENTITY x \"&x8;\">]>"), answer)
        }
        Xml::Dtd => body(&format!("<!DOCTYPE a SYSTEM \"{url}\">"), "<a/>"),
        Xml::Deep => body("", &format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000))),
    })
}

struct Reply {
    status: u16,
    retry_after: Option<u64>,
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
            retry_after: None,
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

fn answer(camera: &Camera, snapshot: &[u8], request: &Request, host: &str) -> Reply {
    let nothing = Reply {
        status: 404,
        retry_after: None,
        kind: "text/plain",
        challenges: Vec::new(),
        location: None,
        body: Vec::new(),
    };
    let quirks = camera.quirks();
    let (refuse, redirect) = (quirks.refuse, quirks.redirect.clone());
    if !quirks.activated {
        if request.header("authorization").is_some() || request.body.contains("UsernameToken") {
            camera.login_passes(false);
        }
        // as ISAPI says it
        let body = "<ResponseStatus version=\"2.0\" xmlns=\"http://www.hikvision.com/ver20/XMLSchema\"><statusCode>4</statusCode>\
                    <statusString>Invalid Operation</statusString><subStatusCode>notActivated</subStatusCode></ResponseStatus>";
        return Reply { status: 401, kind: "application/xml", body: body.into(), ..nothing };
    }
    if redirect.is_some() {
        return Reply { status: 302, location: redirect, ..nothing };
    }
    let path = request.target.split('?').next().unwrap_or_default();
    let soap = path.starts_with("/onvif/") && request.method == "POST";
    if !(soap || path == "/snapshot.jpg") || soap && !quirks.onvif {
        return nothing;
    }
    if let Some(body) = hostile(quirks.xml, quirks.xml_url.as_deref().unwrap_or("http://127.0.0.1:9/")) {
        return Reply { status: 200, kind: "application/soap+xml", body: body.into(), ..nothing };
    }
    let body = element(&request.body, "Body").unwrap_or_default();
    let action = first_element(body);
    if !(soap && matches!(action, "GetSystemDateAndTime" | "GetServices" | "GetCapabilities"))
        && let Some(login) = camera.onvif_login.as_ref().filter(|_| soap).or(camera.login.as_ref())
    {
        let given = given(camera, login, request, if soap { quirks.onvif_auth } else { OnvifAuth::Http });
        let passes = match given {
            Given::None => false,
            Given::Wrong => camera.login_passes(false),
            Given::Right => camera.login_passes(true),
        };
        if !passes {
            let mut reply = match given {
                Given::None if quirks.onvif_auth == OnvifAuth::Token && soap => {
                    Reply::fault(400, "ter:NotAuthorized", "Sender not authorized")
                }
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
            let left = lock(&camera.ledger).left(Instant::now());
            if let Some(seconds) = left.filter(|_| quirks.lockout_told && !matches!(given, Given::None)) {
                reply.retry_after = Some(seconds);
                let body = format!(
                    "<userCheck><statusValue>401</statusValue><isActivated>true</isActivated><lockStatus>lock</lockStatus>\
                     <unlockTime>{seconds}</unlockTime></userCheck>"
                );
                reply.body = body.into();
            }
            return reply;
        }
    }
    if !soap {
        return Reply { status: 200, kind: "image/jpeg", body: snapshot.to_vec(), ..nothing };
    }
    if refuse != 0 {
        return Reply::fault(500, "ter:Action", "refused");
    }
    let media2 = body.contains("ver20/media");
    if action == "SetVideoEncoderConfiguration" {
        return match encoder::set(camera, body, media2) {
            Ok(body) => Reply::soap(200, &body),
            Err(code) => Reply::fault(400, code, "The settings are not possible"),
        };
    }
    match respond(camera, action, body, host) {
        Some(body) => Reply::soap(200, &body),
        None => Reply::fault(400, "ter:ActionNotSupported", "Optional Action Not Implemented"),
    }
}

fn given(camera: &Camera, login: &Login, request: &Request, auth: OnvifAuth) -> Given {
    if let Some(header) = request.header("authorization").filter(|_| auth != OnvifAuth::Token) {
        return if login.accepts(&request.method, header) { Given::Right } else { Given::Wrong };
    }
    if auth == OnvifAuth::Http {
        return Given::None;
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
        let token = token.map(unescape);
        camera.streams.iter().find(|stream| token.as_deref() == Some(stream.token.as_str()))
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
            "<tds:GetDeviceInformationResponse><tds:Manufacturer>{}</tds:Manufacturer><tds:Model>{}</tds:Model>\
             <tds:FirmwareVersion>{}</tds:FirmwareVersion><tds:SerialNumber>{}</tds:SerialNumber>\
             <tds:HardwareId>1</tds:HardwareId></tds:GetDeviceInformationResponse>",
            escape(&camera.maker),
            escape(&camera.model),
            env!("CARGO_PKG_VERSION"),
            camera.uuid
        ),
        "GetServices" => {
            let services: String = [("ver10/device", "device_service"), ("ver10/media", "media_service"), ("ver20/media", "media2_service")]
                .iter()
                .filter(|(space, _)| *space != "ver20/media" || lock(&camera.quirks).media2)
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
        _ if media2 && !lock(&camera.quirks).media2 => return None,
        "GetProfiles" => encoder::profiles(camera, media2),
        "GetVideoEncoderConfiguration" | "GetVideoEncoderConfigurations" => {
            encoder::configurations(camera, action, body, media2)?
        }
        "GetVideoEncoderConfigurationOptions" => encoder::options(camera, body, media2)?,
        "GetStreamUri" => {
            let stream = stream()?;
            let host = lock(&camera.quirks).uri_host.clone().unwrap_or_else(|| host.to_owned());
            let uri = escape(&format!("rtsp://{host}:{}{}", camera.rtsp_port, stream.path));
            address("GetStreamUri", &uri, media2)
        }
        "GetSnapshotUri" => {
            stream()?;
            let host = lock(&camera.quirks).uri_host.clone().unwrap_or_else(|| host.to_owned());
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

/// Text as XML content.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(crate) fn unescape(text: &str) -> String {
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
