import { type HlsEngine, type PlayerState, createPlayer, playlistUrl, programmeFrom, watchUrl } from "@minamo/sdk";
import Hls from "hls.js";
import { wireCopyButtons } from "../ui/copy.js";
import { byId, setText } from "../ui/dom.js";
import { exposeForTests } from "../ui/test-hook.js";
import { startPlaying, wireControls } from "./controls.js";

/** What each state is called, and what the stage says instead of a picture. */
const WORDS: Record<PlayerState, { state: string; title: string; text: string } | null> = {
  idle: null,
  loading: { state: "Loading", title: "Loading", text: "" },
  offline: { state: "Not live yet", title: "Not live yet", text: "Stay here: the programme starts by itself." },
  unknown: { state: "Unknown channel", title: "There is no such channel", text: "Check the link, or ask whoever gave it to you." },
  live: { state: "Live", title: "", text: "" },
  ended: { state: "Ended", title: "The broadcast has ended", text: "Should it go on, it starts here by itself." },
  error: { state: "Trouble", title: "Playback was interrupted", text: "Trying again." },
};

const { origin, pathname, search } = location;
const programme = programmeFrom(pathname);
const { channelId, connectionId } = programme ?? { channelId: "", connectionId: null };
const video = byId<HTMLVideoElement>("video");
/** Where the channel's URLs are signed, this page's own carries the signature of the playlist. */
const signature = new URLSearchParams(search).has("signature") ? search : "";
const player = createPlayer(video, playlistUrl(origin, channelId, connectionId) + signature);
let errors = 0;

function render(): void {
  const state = programme === null ? "unknown" : player.state;
  const words = WORDS[state];
  const chip = byId("state");
  chip.dataset.state = state;
  setText(chip, words?.state ?? "");
  // Otherwise the message says it to the eye, and the chip only to the ear.
  chip.classList.toggle("visually-hidden", state !== "live");
  const message = byId("message");
  message.hidden = state === "live";
  message.classList.toggle("waiting", state === "loading" || state === "offline" || state === "error");
  setText(byId("message-title"), words?.title ?? "");
  setText(byId("message-text"), state === "error" && player.error !== null ? `${player.error} Trying again.` : (words?.text ?? ""));
  byId("controls").hidden = state !== "live";
  byId("spinner").hidden = !(state === "live" && player.stalled && !video.paused);
  if (state !== "live") byId("sound").hidden = true;
  byId("about").hidden = state === "unknown";
  document.title = state === "live" ? "Live · Minamo" : `${words?.state ?? "Watch"} · Minamo`;
}

function hls(): Hls | null {
  const { engine } = player;
  return engine?.kind === "mse" ? (engine as HlsEngine).hls : null;
}

player.on("state", (state) => {
  render();
  if (state === "live" && video.paused) void startPlaying(video);
});
player.on("stalled", render);
player.on("engine", () => void hls()?.on(Hls.Events.ERROR, () => void (errors += 1)));

if (programme !== null) {
  byId<HTMLInputElement>("watch-url").value = watchUrl(origin, channelId, connectionId);
  byId<HTMLInputElement>("hls-url").value = playlistUrl(origin, channelId, connectionId);
}
wireCopyButtons();
wireControls(video, player);
render();
if (programme !== null) player.start();

exposeForTests({
  get state() {
    return player.state;
  },
  get stalled() {
    return player.stalled;
  },
  get latency() {
    return player.latency;
  },
  get hls() {
    return hls();
  },
  get errors() {
    return errors;
  },
  player,
});
