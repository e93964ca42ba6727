// An RTSP camera on rtsp-streaming-server: ffmpeg publishes clips to it, clients fetch them over UDP.
//   relay_camera.mjs HOST PORT NAME=CLIP ...
// Prints `ready` once every clip is published.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";

const RtspServer = createRequire(import.meta.url)("rtsp-streaming-server").default;
const [host, port, ...clips] = process.argv.slice(2);
const publishPort = Number(port) + 1;
const server = new RtspServer({
  serverPort: publishPort,
  clientPort: Number(port),
  rtpPortStart: 20000,
  rtpPortCount: 2000,
});
await server.start();

for (const clip of clips) {
  const [name, path] = clip.split(/=(.*)/s);
  const address = `rtsp://127.0.0.1:${publishPort}/${name}`;
  const options = ["-nostdin", "-v", "error", "-re", "-i", path, "-c", "copy", "-f", "rtsp", address];
  const publisher = spawn("ffmpeg", options, { stdio: ["ignore", "inherit", "inherit"] });
  publisher.on("exit", (code) => console.log(`the publisher of ${name} ended with ${code}`));
}
const published = () => Object.keys(server.Mounts?.mounts ?? server.mounts?.mounts ?? {}).length;
const wait = setInterval(() => {
  if (published() >= clips.length) {
    clearInterval(wait);
    console.log(`ready rtsp://${host}:${port}`);
  }
}, 100);
