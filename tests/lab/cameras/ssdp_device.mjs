// A UPnP device that tells only in its description that it is a camera: ssdp_device.mjs ADDRESS
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { Server } = createRequire(import.meta.url)("node-ssdp");
const [address] = process.argv.slice(2);
const udn = "uuid:6d4ff0c0-1dd2-11b2-8000-00408c18a2f1";

createServer((_, response) => {
  response.setHeader("content-type", "text/xml");
  response.end(`<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>urn:schemas-upnp-org:device:Basic:1</deviceType><friendlyName>Hall</friendlyName>
<manufacturer>Lab</manufacturer><modelName>Network Camera 7</modelName><UDN>${udn}</UDN></device></root>`);
}).listen(49152, address);

const server = new Server({
  location: `http://${address}:49152/rootdesc1.xml`,
  ssdpSig: "Linux/4.14 UPnP/1.0 Portable-SDK/1.6",
  udn,
  interfaces: ["eth0"],
});
server.addUSN("upnp:rootdevice");
server.addUSN("urn:schemas-upnp-org:device:Basic:1");
await server.start();
console.log("ready");
