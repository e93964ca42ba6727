#!/bin/sh
# Makes the clips of this directory anew. Needs ffmpeg with libx264, libx265 and aac (Debian: apt install ffmpeg).
# testsrc2 draws a running clock and moving shapes, so no two pictures are equal.
set -eu
cd "$(dirname "$0")"
quiet="ffmpeg -y -v error -nostdin -bitexact"

# gate: 640x360, H.264 main, 25 fps, keyframe each second, 6 s, with sound (AAC-LC, 48 kHz, mono)
$quiet -f lavfi -i testsrc2=size=640x360:rate=25:duration=6 -pix_fmt yuv420p -c:v libx264 -profile:v main -preset slow \
    -b:v 400k -maxrate 450k -bufsize 450k -x264-params "keyint=25:min-keyint=25:scenecut=0:bframes=0:repeat-headers=1:threads=1" gate.h264
$quiet -f lavfi -i "sine=frequency=440:beep_factor=4:sample_rate=48000:duration=6" -ac 1 -c:a aac -b:a 48k -f adts gate.aac

$quiet -f lavfi -i testsrc2=size=640x360:rate=1:duration=1 -frames:v 1 -q:v 8 gate.jpg

# slow: as gate, with a keyframe each 6 s, which is its whole length
$quiet -f lavfi -i testsrc2=size=640x360:rate=25:duration=6 -pix_fmt yuv420p -c:v libx264 -profile:v main -preset slow \
    -b:v 300k -maxrate 350k -bufsize 350k -x264-params "keyint=150:min-keyint=150:scenecut=0:bframes=0:repeat-headers=1:threads=1" slow.h264

# yard: 640x360, H.264 baseline, 15 fps, keyframe each 2 s, 8 s, no sound
$quiet -f lavfi -i testsrc2=size=640x360:rate=15:duration=8 -vf "hue=h=120,hflip" -pix_fmt yuv420p -c:v libx264 -profile:v baseline \
    -preset slow -b:v 300k -maxrate 350k -bufsize 350k -x264-params "keyint=30:min-keyint=30:scenecut=0:repeat-headers=1:threads=1" yard.h264

# hall: 320x240, H.265 main, 10 fps, keyframe each second, 4 s
$quiet -f lavfi -i testsrc2=size=320x240:rate=10:duration=4 -pix_fmt yuv420p -c:v libx265 -preset medium -b:v 150k \
    -x265-params "keyint=10:min-keyint=10:scenecut=0:bframes=0:repeat-headers=1:log-level=error:pools=1:frame-threads=1" hall.h265

for clip in gate.h264 slow.h264 yard.h264 hall.h265; do
    pictures=$(ffmpeg -v error -nostdin -i "$clip" -f framemd5 - | grep -vc '^#')
    different=$(ffmpeg -v error -nostdin -i "$clip" -f framemd5 - | grep -v '^#' | sed 's/.*, *//' | sort -u | wc -l)
    echo "$clip: $(wc -c <"$clip") bytes, $pictures pictures, $different different"
    [ "$pictures" = "$different" ]
done
