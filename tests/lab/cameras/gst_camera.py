"""An RTSP camera on gst-rtsp-server that loops clips without a seam and without encoding.

  gst_camera.py --bind 10.77.0.2 --mount /main=clip.mp4 [--auth digest|basic --user u --password p [--tls cert.pem key.pem]]
  signals: USR1 drops every client; USR2 stalls and goes on (no RTP, connections stay)

Packets come from PyAV and enter an appsrc at the pace of the wall clock, with their decode stamps, so B-frames
and loops stay exact. Prints `ready` once it listens.
"""
import argparse
import signal
import sys
import threading
import time

import av
import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

NS = 1_000_000_000
# Keeps decode stamps positive although B-frames are decoded before time zero.
LEAD_NS = NS // 2
ROLE = "viewer"
STALLED = threading.Event()


def branch(stream):
    """Caps, payloader and payload type for a stream of a clip."""
    codec = stream.codec_context
    data = f",codec_data=(buffer){bytes(codec.extradata).hex()}" if codec.extradata else ""
    name = codec.name
    if name == "h264":
        return f"video/x-h264,stream-format=avc,alignment=au{data}", "h264parse ! rtph264pay config-interval=-1", 96
    if name == "hevc":
        return f"video/x-h265,stream-format=hvc1,alignment=au{data}", "h265parse ! rtph265pay config-interval=-1", 96
    if name == "mjpeg":
        size = f"width={codec.width},height={codec.height},framerate=(fraction)0/1"
        return f"image/jpeg,{size}", "rtpjpegpay", 26
    if name == "aac":
        kind = f"rate={codec.sample_rate},channels={codec.layout.nb_channels}"
        return f"audio/mpeg,mpegversion=4,stream-format=raw,{kind}{data}", "rtpmp4gpay", 97
    raise SystemExit(f"no payloader for {name}")


class Clip:
    """The packets of a clip, ready to be pushed again and again."""

    def __init__(self, path):
        with av.open(path) as container:
            streams = [s for s in container.streams if s.type in ("video", "audio")]
            self.branches = [branch(s) for s in streams]
            place = {s.index: i for i, s in enumerate(streams)}
            self.packets = []
            for p in container.demux(streams):
                if p.size:
                    stamp = lambda ticks: int(ticks * p.time_base * NS)
                    self.packets.append((place[p.stream_index], stamp(p.dts), stamp(p.pts), stamp(p.duration), bytes(p)))
        self.packets.sort(key=lambda packet: packet[1])
        self.length = max(pts + duration for _, _, pts, duration, _ in self.packets)


class Feeder(threading.Thread):
    """Pushes a clip round and round until the media is taken down."""

    def __init__(self, clip, sources):
        super().__init__(daemon=True)
        self.clip, self.sources, self.over = clip, sources, False

    def run(self):
        turn, start = 0, time.monotonic()
        while not self.over:
            for track, dts, pts, duration, data in self.clip.packets:
                if self.over:
                    return
                wait = (turn + dts) / NS - (time.monotonic() - start)
                if wait > 0:
                    time.sleep(wait)
                if STALLED.is_set():
                    continue
                unit = Gst.Buffer.new_wrapped(data)
                unit.pts, unit.dts, unit.duration = LEAD_NS + turn + pts, LEAD_NS + turn + dts, duration
                if self.sources[track].emit("push-buffer", unit) == Gst.FlowReturn.FLUSHING:
                    return
            turn += self.clip.length


class Mount(GstRtspServer.RTSPMediaFactory):
    """One path of the camera."""

    def __init__(self, path, protocols):
        super().__init__()
        self.clip = Clip(path)
        parts = [
            f'appsrc name=source{i} is-live=true format=time caps="{caps}" ! queue ! {pay} name=pay{i} pt={pt}'
            for i, (caps, pay, pt) in enumerate(self.clip.branches)
        ]
        self.set_launch(f"( {' '.join(parts)} )")
        self.set_shared(True)
        self.set_protocols(protocols)
        self.connect("media-configure", self.configure)

    def configure(self, _factory, media):
        element = media.get_element()
        sources = [element.get_by_name(f"source{i}") for i in range(len(self.clip.branches))]
        feeder = Feeder(self.clip, sources)
        media.connect("unprepared", lambda _: setattr(feeder, "over", True))
        feeder.start()


def authentication(kind, user, password):
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", ROLE)
    if kind == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    return auth


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bind", required=True)
    parser.add_argument("--port", default="554")
    parser.add_argument("--mount", action="append", default=[], metavar="/PATH=CLIP")
    parser.add_argument("--transport", choices=["both", "tcp", "udp"], default="both")
    parser.add_argument("--auth", choices=["none", "basic", "digest"], default="none")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password", default="test-pass")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), help="RTSP over TLS (rtsps); with --auth only")
    options = parser.parse_args()

    Gst.init(None)
    tcp, udp = GstRtsp.RTSPLowerTrans.TCP, GstRtsp.RTSPLowerTrans.UDP
    protocols = {"both": tcp | udp, "tcp": tcp, "udp": udp}[options.transport]
    server = GstRtspServer.RTSPServer()
    server.set_address(options.bind)
    server.set_service(options.port)
    for mount in options.mount:
        path, clip = mount.split("=", 1)
        factory = Mount(clip, protocols)
        if options.auth != "none":
            allowed = f"{ROLE},media.factory.access=(boolean)true,media.factory.construct=(boolean)true"
            factory.add_role_from_structure(Gst.Structure.from_string(allowed)[0])
        server.get_mount_points().add_factory(path, factory)
    if options.auth != "none":
        auth = authentication(options.auth, options.user, options.password)
        if options.tls:
            auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(*options.tls))
        server.set_auth(auth)

    def drop_clients():
        server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REMOVE)
        print("dropped", flush=True)
        return True

    def toggle_stall():
        STALLED.clear() if STALLED.is_set() else STALLED.set()
        print(f"stalled {STALLED.is_set()}", flush=True)
        return True

    def expire_sessions():
        server.get_session_pool().cleanup()
        return True

    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR1, drop_clients)
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGUSR2, toggle_stall)
    GLib.timeout_add_seconds(5, expire_sessions)
    if not server.attach(None):
        sys.exit(f"cannot listen on {options.bind}:{options.port}")
    print(f"ready rtsp://{options.bind}:{options.port}", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
