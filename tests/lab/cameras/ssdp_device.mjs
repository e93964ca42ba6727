// A device that answers SSDP searches as an IP camera would: ssdp_device.mjs ADDRESS
import { createRequire } from "node:module";

const { Server } = createRequire(import.meta.url)("node-ssdp");
const [address] = process.argv.slice(2);
const server = new Server({
  location: `http://${address}:49152/rootdesc1.xml`,
  ssdpSig: "Linux/4.14 UPnP/1.0 Lab-Network-Camera/1.0",
  udn: "uuid:6d4ff0c0-1dd2-11b2-8000-00408c18a2f1",
  explicitSocketBind: true,
  interfaces: ["eth0"],
});
server.addUSN("upnp:rootdevice");
server.addUSN("urn:schemas-upnp-org:device:Basic:1.0");
await server.start();
console.log("ready");
