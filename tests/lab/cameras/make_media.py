"""Makes the lab's clips: make_media.py FOLDER

Eight seconds of a moving test picture at 20 frames/s with a key frame each second, every frame different, so that
the hash of a decoded frame names its place. Eight seconds also hold exactly 375 AAC frames at 48 kHz, so a clip
loops without a seam in either track. NAME.mp4 is one turn, NAME.long.mp4 many turns for servers that only play
files to their end.
"""
import pathlib
import subprocess
import sys
from fractions import Fraction

import av

SECONDS = 8
FRAMES_PER_SECOND = 20
SAMPLE_RATE = 48_000
SAMPLES_PER_FRAME = 1024
# The longest scenario, Firefox watching three pages at a time, lasts eight minutes, and 22 if each round needs all its tries.
LONG_SECONDS = 1440

GOP = FRAMES_PER_SECOND
H264 = ["-c:v", "libx264", "-preset", "veryfast", "-g", f"{GOP}", "-keyint_min", f"{GOP}", "-sc_threshold", "0"]
H265 = ["-c:v", "libx265", "-preset", "fast", "-tag:v", "hvc1", "-x265-params"]
H265_COMMON = f"keyint={GOP}:min-keyint={GOP}:open-gop=0:scenecut=0:log-level=error"
ENCODERS = {
    "h264-baseline": [*H264, "-profile:v", "baseline"],
    "h264-main": [*H264, "-profile:v", "main", "-bf", "0"],
    "h264-bframes": [*H264, "-profile:v", "high", "-bf", "3", "-b_strategy", "0", "-x264-params", "b-pyramid=normal"],
    "h265": [*H265, f"bframes=0:{H265_COMMON}"],
    "h265-bframes": [*H265, f"bframes=3:b-adapt=0:b-pyramid=1:{H265_COMMON}"],
}
RATE = ["-pix_fmt", "yuv420p", "-b:v", "400k", "-maxrate", "500k", "-bufsize", "500k"]


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)], check=True)


def packets(path, kind):
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        return [p for p in container.demux(stream) if p.size]


def write(path, video, audio, turns):
    """Muxes `turns` turns of a clip's packets; stamps continue exactly."""
    with av.open(str(video)) as container, av.open(str(audio)) as sound:
        pass_video, pass_audio = container.streams.video[0], sound.streams.audio[0]
        out = av.open(str(path), "w")
        tracks = [(out.add_stream_from_template(pass_video), packets(video, "video"))]
        if "aac" in path.name:
            # The encoder's priming frames are not part of the loop.
            whole = packets(audio, "audio")[4:4 + SECONDS * SAMPLE_RATE // SAMPLES_PER_FRAME]
            tracks.append((out.add_stream_from_template(pass_audio), whole))
        queue = []
        for track, (stream, clip) in enumerate(tracks):
            base = clip[0].time_base
            zero = min(p.pts for p in clip)
            for turn in range(turns):
                shift = turn * int(SECONDS / base) - zero
                queue += [(float((p.dts + shift) * base), track, turn, p, shift) for p in clip]
        for _, track, _, packet, shift in sorted(queue, key=lambda entry: entry[:3]):
            copy = av.Packet(bytes(packet))
            copy.stream, copy.time_base = tracks[track][0], packet.time_base
            copy.pts, copy.dts, copy.duration = packet.pts + shift, packet.dts + shift, packet.duration
            copy.is_keyframe = packet.is_keyframe
            out.mux(copy)
        out.close()


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    sound = folder / "sound.mp4"
    ffmpeg("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate={SAMPLE_RATE}:duration={SECONDS + 1}",
           "-c:a", "aac", "-b:a", "48k", "-ac", "1", sound)
    picture = f"testsrc2=size=640x360:rate={FRAMES_PER_SECOND}:duration={SECONDS}"
    for name, encoder in ENCODERS.items():
        source = folder / f"{name}.source.mp4"
        ffmpeg("-f", "lavfi", "-i", picture, *encoder, *RATE, source)
        for clip in (name, f"{name}-aac"):
            print(f"clip {clip}", flush=True)
            write(folder / f"{clip}.mp4", source, sound, 1)
            write(folder / f"{clip}.long.mp4", source, sound, LONG_SECONDS // SECONDS)
        source.unlink()
    ffmpeg("-f", "lavfi", "-i", picture, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-q:v", "8", folder / "mjpeg.mov")
    ffmpeg("-i", sound, "-c", "copy", folder / "sound-only.mp4")


if __name__ == "__main__":
    main()
