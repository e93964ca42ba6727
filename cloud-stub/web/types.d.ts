// What the cloud's API sends and takes; `openapi.json` says the same to programs. Times are milliseconds since 1970.

import type { Language } from "../../firmware/assets/web/language.js";

/** What somebody may do in a tenant, least first. */
export type Role = "viewer" | "installer" | "owner";

export interface Me {
  person: { id: string; email: string; name: string; language: string; operator: boolean };
  tenants: Tenant[];
  csrf: string;
}

export interface Tenant {
  id: string;
  name: string;
  role: Role;
}

export interface Invitation {
  email: string;
  tenant_name: string | null;
  /** Null: the operator of the whole cloud. */
  role: Role | null;
  /** Whether the person has a password already, which they then must know. */
  known: boolean;
}

/** Somebody in a tenant; who is only invited so far is not active, and their e-mail address is the id. */
export interface Person {
  id: string;
  email: string;
  name: string;
  role: Role;
  active: boolean;
  expires_ms?: number;
}

export interface Site {
  id: string;
  name: string;
  address: string;
  time_zone: string;
  /** When its boxes may restart for an update; null: at any time. */
  window: Window | null;
}

export interface Box {
  id: string;
  name: string;
  site: string;
  online: boolean;
  last_seen_ms: number | null;
  version: string;
  cameras: number;
  state: string;
  /** Its tenant's name. */
  tenant: string;
}

export interface Claimed {
  box: string;
  check_words: string;
  session: string;
}

export interface Progress {
  state: "claimed" | "joined" | "expired";
}

export type Kind = "box" | "pull" | "push" | "peer";

export interface Camera {
  id: string;
  title: string;
  url: string;
  on: boolean;
  access: "public" | "private";
  site: string;
  box: string | null;
  kind: Kind;
  state: "streaming" | "connecting" | "offline";
  since_ms: number | null;
  fps: number | null;
  bit_rate: number | null;
  /** Whether it is the box that is not heard. */
  box_away: boolean;
  sentence: string | null;
}

export interface Share {
  id: string;
  kind: "link" | "embed";
  label: string;
  made_ms: number;
  expires_ms: number | null;
  made_by: string | null;
}

/** A share just made: what is shown once. */
export interface NewShare {
  id: string;
  kind: "link" | "embed";
  url: string;
  /** HTML for a page of somebody else's. */
  embed: string;
}

/** A stretch without a picture; `to_ms` is null while it lasts. */
export interface Outage {
  from_ms: number;
  to_ms: number | null;
  reason: string;
}

export interface Status {
  state: "off" | "out" | "streaming" | "connecting";
  outage: Outage | null;
  /** Whether its box is heard through the tunnel; null without a box. */
  tunnel: boolean | null;
  heard_ms: number | null;
  last_frame_age_ms: number | null;
  keyframe_age_ms: number | null;
  fps: number | null;
  bit_rate: number | null;
  latency_ms: number | null;
  ping_ms: number | null;
}

/** A minute or so: its start, the ping in milliseconds, null where nothing answered, the latency, and the pictures a second. */
export type Point = [number, number | null, (number | null)?, (number | null)?, ...unknown[]];

export interface Latency {
  /** Whether anybody asks the camera's port. */
  pinged: boolean;
  step_ms: number;
  points: Point[];
}

export interface Uptime {
  id: string;
  title: string;
  site: string;
  /** Seconds that count: while the link was on. */
  counted_s: number;
  down_s: number;
  /** Null when no time counts. */
  percent: number | null;
  outages: number;
}

export interface Alerts {
  emails: string[];
  /** A secret is told once, when its address is new. */
  webhooks: { url: string; secret: string | null }[];
  after_s: number;
  /** Whether this cloud can send mail. */
  mail: boolean;
}

export interface AuditRow {
  id: string;
  at_ms: number;
  /** An e-mail address; the id of somebody who is gone. */
  person: string;
  address: string;
  what: string;
  subject: string;
  detail: string;
}

export interface Summary {
  boxes: number;
  online: number;
  cameras: number;
  tenants: number;
}

/** A camera without a box, just made, with what is shown once. Without an address this cloud takes no RTMP. */
export interface Made extends Camera {
  push?: { url: string | null; key: string };
  peer?: { config: string };
}

/** The words of a language by their keys. */
export type Words = Record<string, string>;
export type Files = Record<Language, string>;

/** A release in the signed list; `since` is the version of the list that first had it, no time. */
export interface Release {
  name: string;
  board: string;
  version: string;
  security: number;
  since: number;
}

export type CampaignState = "draft" | "running" | "paused" | "halted" | "withdrawn" | "done";

/** How many boxes of the rings that are open stand where. */
export interface Counts {
  ring: number;
  offered: number;
  fetching: number;
  ready: number;
  restarting: number;
  committed: number;
  failed: number;
  silent: number;
}

export interface Campaign {
  id: string;
  name: string;
  version: string;
  /** Empty: all. */
  boards: string[];
  canaries: string[];
  bake_s: number;
  note: string;
  state: CampaignState;
  /** The ring that is open: `canary` or per cent. */
  stage: string;
  /** Why it is in this state: a person's words, or the cloud's own. */
  reason: string;
  since_ms: number;
  counts: Counts;
  /** The share that failed of those that have decided since it last went on, and below which the true share hardly is. */
  rate: number;
  bound: number;
}

export interface FleetEvent {
  at_ms: number;
  /** A person's name, `machine`, `box`, or empty for the command line. */
  who: string;
  box: string | null;
  what: string;
  why: string;
}

export interface CampaignWhole extends Campaign {
  events: FleetEvent[];
}

export type Standing = "offered" | "fetching" | "ready" | "restarting" | "committed" | "failed" | "silent" | "superseded";

/** A box in a campaign. */
export interface FleetRow {
  box: string;
  name: string;
  tenant: string;
  site: string;
  version: string;
  standing: Standing;
  since_ms: number;
  why: string;
}

/** What has happened to a box. Without a campaign it happened whatever the campaign; `pin` is none that anybody runs. */
export interface Past {
  at_ms: number;
  campaign: string;
  version: string;
  who: string;
  what: string;
  why: string;
  journal: string;
}

/** A box with all its updates, the newest first. */
export interface FleetBox {
  box: string;
  name: string;
  tenant: string;
  site: string;
  version: string;
  board: string;
  /** The only version that it may have. */
  pin: string | null;
  /** Why it gets none. */
  hold: string | null;
  postponed_ms: number | null;
  standing: Standing | null;
  history: Past[];
}

/** When boxes of a site may restart, in the site's own time; days from 0, Monday. */
export interface Window {
  days: number[];
  from: string;
  to: string;
}

/** A box chosen as a canary. */
export interface Chosen {
  id: string;
  name: string;
  tenant: string;
}
