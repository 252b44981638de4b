import { describe, expect, it } from "vitest";
import { channelIdFrom, playlistUrl, resolve, signalingUrl, watchUrl } from "../src/core/urls.js";

describe("addresses", () => {
  it("follow the page's scheme", () => {
    expect(signalingUrl("http://h:8080")).toBe("ws://h:8080/signaling");
    expect(signalingUrl("https://h")).toBe("wss://h/signaling");
    expect(watchUrl("https://h", "a b")).toBe("https://h/watch/a%20b");
    expect(playlistUrl("https://h", "c")).toBe("https://h/hls/c/playlist.m3u8");
  });

  it.each([
    ["abc123", "abc123"],
    ["  abc123 \n", "abc123"],
    ["http://h:8080/watch/abc%20123?x=1", "abc 123"],
    ["https://h/hls/abc/playlist.m3u8", "abc"],
    ["/watch/abc", "abc"],
    ["", null],
    ["two words", null],
    ["https://h/other/abc", null],
    ["/watch/%E0%A4%A", null],
    ["x".repeat(256), null],
  ])("channel id from %j", (pasted, id) => {
    expect(channelIdFrom(pasted)).toBe(id);
  });

  it.each([
    ["video.m3u8", "http://h/hls/c/video.m3u8"],
    ["/other.m3u8", "http://h/other.m3u8"],
    ["//cdn/x.m3u8", "http://cdn/x.m3u8"],
    ["https://cdn/x.m3u8", "https://cdn/x.m3u8"],
  ])("resolves %s", (uri, expected) => {
    expect(resolve("http://h/hls/c/playlist.m3u8?a=/b", uri)).toBe(expected);
  });
});
