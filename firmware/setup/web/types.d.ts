// What the box's API sends to its page (`setup::desk`). Times are milliseconds since 1970 unless a name says otherwise.

import type { Refusal } from "../../assets/web/words.js";

export interface State {
  claimed: boolean;
  signed_in: boolean;
  can_claim: boolean;
  language?: string | null;
  name?: string | null;
}

/** What stands in the way, and what would help. */
export interface Obstacle {
  code: string;
  sentence?: string;
  menu?: string | null;
  until_ms?: number | null;
  number?: number | null;
  fix?: "login" | "improve" | "reach" | "open_device" | null;
}

export interface Channel {
  token: string;
  name: string;
}

/** A device that was found. */
export interface Device {
  key: string;
  name: string | null;
  maker: string | null;
  model: string | null;
  addresses: string[];
  sources: string[];
  cameras: string[];
  obstacles: Obstacle[];
  channels: Channel[];
}

export interface CameraState {
  state: "connecting" | "streaming" | "waiting" | "stopped";
  trouble?: { trouble: string };
  video?: string;
  size?: [number, number] | null;
}

/** A camera of the box. */
export interface Camera {
  id: string;
  name: string;
  address: string;
  maker: string | null;
  model: string | null;
  on: boolean;
  ours: boolean;
  state: CameraState;
  obstacles: Obstacle[];
  snapshot: boolean;
  picture: "main" | "sub";
  fps: number;
  bit_rate: number;
  public: string | null;
}

/** How far the box is on its way into the cloud. */
export interface Join {
  state: "off" | "asking" | "code" | "claimed" | "joining" | "joined" | "stopped";
  code?: string | null;
  claim_url?: string | null;
  expires_in_s?: number | null;
  cloud?: string | null;
  owner?: string | null;
  check_words?: string | null;
  session?: string | null;
  sentence?: string | null;
  tunnel?: { up: boolean } | null;
  uplink?: { short: boolean } | null;
}

/** What a complete version waits for before it starts. */
export interface Wait {
  reason: "owner" | "window" | "time" | "viewers" | "cloud";
  at_ms: number | null;
  in_s: number | null;
}

export interface Update {
  state: string;
  running: { version: string | null } | null;
  other: { version: string | null; state: string } | null;
  coming: { version: string; percent: number } | null;
  last: { at_ms: number; end: string; version: string; why: string | null; sentence: string } | null;
  look: { good: boolean; sentence: string } | null;
  wait: Wait | null;
  stick: { good: boolean; version: string | null; sentence: string } | null;
}

export interface Overview {
  now_ms: number;
  name: string | null;
  condition: string;
  pages: string[];
  secure: { pages: string[]; fingerprint: string } | null;
  label: string | null;
  devices: Device[];
  cameras: Camera[];
  join: Join;
  clock_known: boolean;
  uplink_cap_kbps: number | null;
  uplink_bit_rate: number;
  update: Update;
  version: string;
  up_s: number;
}

export interface Event {
  at_ms: number;
  code: string;
  camera: string | null;
  sentence: string;
}

/** How a camera makes its picture. */
export interface Encoder {
  encoding: string;
  width: number;
  height: number;
  fps: number;
  gop: number;
  bit_rate_kbps: number;
  improvable?: boolean;
}

/** How setting a camera right went, or goes. */
export interface Improvement {
  busy?: boolean;
  error?: Refusal;
  before?: Encoder;
  after?: Encoder;
}

export interface Login {
  user: string;
  password: string;
}

/** What an owner has chosen, as the box takes it, with a title for people. */
export interface Pick {
  pick: { device: string } | { channel: [string, string] } | { address: string };
  title: string;
  address?: string | undefined;
}
