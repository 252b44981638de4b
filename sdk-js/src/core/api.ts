import type { Http } from "./environment.js";

/** One entry of a channel's HLS ladder. */
export interface HlsSpec {
  video?: { width: number; height: number; fps: number; bps: number };
  audio?: { bps: number };
}

export interface CreatedChannel {
  channelId: string;
  signalingUrl: string;
  playlistUrl: string;
}

export interface ApiAccess {
  /** The server's origin. */
  origin: string;
  token: string;
}

/** The API said no. `status` 0 means that no answer came. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly type: string,
    message: string,
  ) {
    super(message);
  }
}

/** Creates a channel that has HLS. */
export async function createChannel(http: Http, access: ApiAccess, hls: HlsSpec[]): Promise<CreatedChannel> {
  const answer = await call(http, access, "ImageFlux_20180905.CreateChannel", { hls });
  return { channelId: field(answer, "channel_id"), signalingUrl: field(answer, "sora_url"), playlistUrl: field(answer, "playlist_url") };
}

type Answer = Record<string, unknown>;

async function call(http: Http, access: ApiAccess, target: string, body: unknown): Promise<Answer> {
  const headers = {
    "Content-Type": "application/json",
    "X-Sora-Target": target,
    Authorization: `Bearer ${access.token}`,
  };
  let status = 0;
  let text = "";
  try {
    const response = await http(`${access.origin}/`, { method: "POST", headers, body: JSON.stringify(body) });
    status = response.status;
    text = await response.text();
  } catch {
    throw new ApiError(0, "UNREACHABLE", "The server cannot be reached.");
  }
  const answer = parse(text);
  if (status === 200 && answer !== null) return answer;
  throw refusal(status, answer);
}

function refusal(status: number, answer: Answer | null): ApiError {
  const type = typeof answer?.error_type === "string" ? answer.error_type : `HTTP_${status}`;
  if (status === 401) return new ApiError(status, type, "The access token is missing or wrong.");
  const said = typeof answer?.error === "string" ? answer.error : `The server answered with status ${status}.`;
  return new ApiError(status, type, said);
}

function field(answer: Answer, name: string): string {
  const value = answer[name];
  if (typeof value === "string" && value !== "") return value;
  throw new ApiError(200, "MALFORMED", `The server's answer lacks ${name}.`);
}

function parse(text: string): Answer | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Answer) : null;
  } catch {
    return null;
  }
}
