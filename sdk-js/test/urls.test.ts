import { describe, expect, it } from "vitest";
import { playlistUrl, programmeFrom, resolve, signalingUrl, watchUrl } from "../src/core/urls.js";

describe("addresses", () => {
  it("follow the page's scheme", () => {
    expect(signalingUrl("http://h:8080")).toBe("ws://h:8080/signaling");
    expect(signalingUrl("https://h")).toBe("wss://h/signaling");
    expect(watchUrl("https://h", "a b")).toBe("https://h/watch/a%20b");
    expect(watchUrl("https://h", "a b", "P 1")).toBe("https://h/watch/a%20b/P%201");
    expect(playlistUrl("https://h", "c")).toBe("https://h/hls/c/playlist.m3u8");
    expect(playlistUrl("https://h", "c", "P/1")).toBe("https://h/hls/c/P%2F1/playlist.m3u8");
  });

  it.each([
    ["abc123", "abc123", null],
    ["  abc123 \n", "abc123", null],
    ["http://h:8080/watch/abc%20123?x=1", "abc 123", null],
    ["https://h/hls/abc/playlist.m3u8", "abc", null],
    ["/watch/abc", "abc", null],
    ["/watch/abc/", "abc", null],
    ["/watch/abc/P%201#x", "abc", "P 1"],
    ["https://h/hls/abc/P1/playlist.m3u8", "abc", "P1"],
  ])("a programme from %j", (pasted, channelId, connectionId) => {
    expect(programmeFrom(pasted)).toEqual({ channelId, connectionId });
  });

  it.each(["", "two words", "https://h/other/abc", "/watch/%E0%A4%A", "/watch/abc/%E0%A4%A", "x".repeat(256)])(
    "no programme from %j",
    (pasted) => {
      expect(programmeFrom(pasted)).toBeNull();
    },
  );

  it.each([
    ["video.m3u8", "http://h/hls/c/video.m3u8"],
    ["/other.m3u8", "http://h/other.m3u8"],
    ["//cdn/x.m3u8", "http://cdn/x.m3u8"],
    ["https://cdn/x.m3u8", "https://cdn/x.m3u8"],
  ])("resolves %s", (uri, expected) => {
    expect(resolve("http://h/hls/c/playlist.m3u8?a=/b", uri)).toBe(expected);
  });
});
