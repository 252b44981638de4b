import { describe, expect, it } from "vitest";
import { ApiError, createChannel } from "../src/core/api.js";
import type { Http, HttpRequest } from "../src/core/environment.js";

const access = { origin: "http://test", token: "secret" };
const hls = [{ video: { width: 1280, height: 720, fps: 30, bps: 2_500_000 }, audio: { bps: 128_000 } }];

function server(status: number, body: unknown) {
  const asked: { url: string; request: HttpRequest | undefined }[] = [];
  const http: Http = async (url, request) => {
    asked.push({ url, request });
    return { status, text: async () => (typeof body === "string" ? body : JSON.stringify(body)) };
  };
  return { http, asked };
}

async function failure(http: Http): Promise<ApiError> {
  const error: unknown = await createChannel(http, access, hls).then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ApiError);
  return error as ApiError;
}

describe("CreateChannel", () => {
  it("asks as the API wants it", async () => {
    const { http, asked } = server(200, { channel_id: "c", sora_url: "ws://test/signaling", playlist_url: "http://test/hls/c/playlist.m3u8" });
    const created = await createChannel(http, access, hls);
    expect(created).toEqual({ channelId: "c", signalingUrl: "ws://test/signaling", playlistUrl: "http://test/hls/c/playlist.m3u8" });
    expect(asked).toEqual([
      {
        url: "http://test/",
        request: {
          method: "POST",
          headers: {
            "Content-Type": "application/json",
            "X-Sora-Target": "ImageFlux_20180905.CreateChannel",
            Authorization: "Bearer secret",
          },
          body: JSON.stringify({ hls }),
        },
      },
    ]);
  });

  it("names a wrong token", async () => {
    const error = await failure(server(401, { error: "unauthorized", error_type: "UNAUTHORIZED" }).http);
    expect(error).toMatchObject({ status: 401, type: "UNAUTHORIZED", message: "The access token is missing or wrong." });
  });

  it("passes on what the server objects to", async () => {
    const error = await failure(server(400, { error: "hls[0].video.width: at least 36", error_type: "INVALID_REQUEST" }).http);
    expect(error.message).toBe("hls[0].video.width: at least 36");
  });

  it("survives answers that are not the API's", async () => {
    expect(await failure(server(502, "<html>").http)).toMatchObject({ type: "HTTP_502", message: "The server answered with status 502." });
    expect(await failure(server(200, { channel_id: "c" }).http)).toMatchObject({ type: "MALFORMED" });
  });

  it("says when no answer came", async () => {
    const error = await failure(async () => Promise.reject(new TypeError("Failed to fetch")));
    expect(error).toMatchObject({ status: 0, message: "The server cannot be reached." });
  });
});
