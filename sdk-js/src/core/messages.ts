/** The messages of `/signaling`, as far as this SDK speaks them. Names are those of the wire. */

export type Role = "sendonly" | "sendrecv" | "recvonly";

export interface AudioRequest {
  codec_type?: "OPUS";
  /** kbit/s */
  bit_rate?: number;
}

export interface VideoRequest {
  codec_type?: "H264" | "VP8" | "VP9" | "AV1" | "H265";
  /** kbit/s; comes back as a cap in the offer. */
  bit_rate?: number;
}

export interface ConnectMessage {
  type: "connect";
  role: Role;
  channel_id: string;
  audio: boolean | AudioRequest;
  video: boolean | VideoRequest;
  sora_client?: string;
  environment?: string;
  metadata?: unknown;
  redirect?: true;
}

export interface IceServer {
  urls: string[];
  username?: string;
  credential?: string;
}

export interface OfferMessage {
  type: "offer";
  sdp: string;
  connection_id: string;
  channel_id?: string;
  config: { iceServers: IceServer[]; iceTransportPolicy: "all" | "relay" };
  /** The m-sections that our tracks belong to. */
  mid: { audio?: string; video?: string };
}

export interface NotifyMessage {
  type: "notify";
  event_type: string;
  [field: string]: unknown;
}

export interface Candidate {
  candidate: string;
  sdpMid: string | null;
  sdpMLineIndex: number | null;
  usernameFragment: string | null;
}

export type ServerMessage =
  | OfferMessage
  | { type: "re-offer"; sdp: string }
  | { type: "ping"; stats: boolean }
  | NotifyMessage
  | { type: "push"; data: unknown }
  | { type: "redirect"; location: string }
  | { type: "unknown" };

export type ClientMessage =
  | ConnectMessage
  | { type: "answer" | "re-answer"; sdp: string }
  | ({ type: "candidate" } & Candidate)
  | { type: "pong"; stats?: unknown[] }
  | { type: "disconnect"; reason: string };

/** Why a frame is not a message. */
export class MalformedMessage extends Error {}

/** Reads one text frame. Unknown types are not an error: a newer server may say more than we know. */
export function parseServerMessage(frame: unknown): ServerMessage {
  const message = parseObject(frame);
  switch (message.type) {
    case "offer":
      return parseOffer(message);
    case "re-offer":
      return { type: "re-offer", sdp: text(message, "sdp") };
    case "ping":
      return { type: "ping", stats: message.stats === true };
    case "notify":
      return { ...message, type: "notify", event_type: text(message, "event_type") };
    case "push":
      return { type: "push", data: message.data };
    case "redirect":
      return { type: "redirect", location: text(message, "location") };
    default:
      return { type: "unknown" };
  }
}

type Fields = Record<string, unknown>;

function parseOffer(message: Fields): OfferMessage {
  const config = isFields(message.config) ? message.config : {};
  const mid = isFields(message.mid) ? message.mid : {};
  return {
    type: "offer",
    sdp: text(message, "sdp"),
    connection_id: text(message, "connection_id"),
    ...(typeof message.channel_id === "string" ? { channel_id: message.channel_id } : {}),
    config: {
      iceServers: Array.isArray(config.iceServers) ? (config.iceServers as IceServer[]) : [],
      iceTransportPolicy: config.iceTransportPolicy === "relay" ? "relay" : "all",
    },
    mid: {
      ...(typeof mid.audio === "string" ? { audio: mid.audio } : {}),
      ...(typeof mid.video === "string" ? { video: mid.video } : {}),
    },
  };
}

function parseObject(frame: unknown): Fields {
  if (typeof frame !== "string") throw new MalformedMessage("not a text frame");
  let value: unknown;
  try {
    value = JSON.parse(frame);
  } catch {
    throw new MalformedMessage("not JSON");
  }
  if (!isFields(value) || typeof value.type !== "string") throw new MalformedMessage("no type");
  return value;
}

function text(message: Fields, field: string): string {
  const value = message[field];
  if (typeof value !== "string" || value === "") throw new MalformedMessage(`${String(message.type)} without ${field}`);
  return value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
