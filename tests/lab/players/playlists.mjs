// Judges every playlist in a folder with hls-parser (strict) and m3u8-parser; one JSON line per fault.
//   playlists.mjs FOLDER
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import HLS from "hls-parser";
import { Parser } from "m3u8-parser";

const folder = process.argv[2];
HLS.setOptions({ strictMode: true, silent: false });
const fault = (file, judge, message) => console.log(JSON.stringify({ file, judge, message }));
console.error = () => {};
console.warn = () => {};

const newest = new Map();
for (const file of readdirSync(folder).filter((name) => name.endsWith(".m3u8")).sort()) {
  const text = readFileSync(join(folder, file), "utf8");
  let list;
  try {
    list = HLS.parse(text);
  } catch (error) {
    fault(file, "hls-parser", error.message);
    continue;
  }
  const parser = new Parser();
  parser.on("warn", (event) => fault(file, "m3u8-parser", event.message));
  parser.on("error", (event) => fault(file, "m3u8-parser", event.message));
  parser.push(text);
  parser.end();
  const whole = (segments) => segments.filter((segment) => segment.uri).length;
  if (!list.isMasterPlaylist && whole(list.segments) !== whole(parser.manifest.segments)) {
    fault(file, "both", "they read different numbers of segments");
  }
  if (list.isMasterPlaylist) continue;

  // Over time: numbers never go back, a segment never changes, the target never changes.
  const stream = file.replace(/\.\d+\.m3u8$/, "");
  const before = newest.get(stream) ?? { sequence: 0, segments: new Map(), target: list.targetDuration };
  if (list.mediaSequenceBase < before.sequence) fault(file, "over time", "EXT-X-MEDIA-SEQUENCE went back");
  if (list.targetDuration !== before.target) fault(file, "over time", "EXT-X-TARGETDURATION changed");
  for (const segment of list.segments.filter((s) => s.uri)) {
    const known = before.segments.get(segment.mediaSequenceNumber);
    if (known && (known.uri !== segment.uri || known.duration !== segment.duration)) {
      fault(file, "over time", `segment ${segment.mediaSequenceNumber} changed`);
    }
    before.segments.set(segment.mediaSequenceNumber, segment);
  }
  newest.set(stream, { ...before, sequence: list.mediaSequenceBase });
}
