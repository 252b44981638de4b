import type { Player } from "@minamo/sdk";
import { byId, setIcon, setText } from "../ui/dom.js";

const IDLE_MS = 3_000;
const REFRESH_MS = 500;

const stage = byId("stage");
const play = byId<HTMLButtonElement>("play");
const mute = byId<HTMLButtonElement>("mute");
const volume = byId<HTMLInputElement>("volume");
const sound = byId("sound");
const fullscreen = byId<HTMLButtonElement>("fullscreen");

/** Starts with sound where the browser lets us, and without where not. */
export async function startPlaying(video: HTMLVideoElement): Promise<void> {
  try {
    await video.play();
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== "NotAllowedError" || video.muted) return;
    video.muted = true;
    sound.hidden = false;
    await video.play().catch(() => {});
  }
}

export function wireControls(video: HTMLVideoElement, player: Player): void {
  play.addEventListener("click", () => togglePlay(video, player));
  mute.addEventListener("click", () => setMuted(video, !video.muted));
  byId("unmute").addEventListener("click", () => setMuted(video, false));
  volume.addEventListener("input", () => {
    video.volume = volume.valueAsNumber;
    video.muted = volume.valueAsNumber === 0;
  });
  byId("edge").addEventListener("click", () => player.goToLive());
  wireFullscreen(video);
  wireKeys(video, player);
  wireIdle(video);
  for (const event of ["play", "pause", "volumechange"]) video.addEventListener(event, () => renderControls(video));
  setInterval(() => renderEdge(player), REFRESH_MS);
  renderControls(video);
}

function renderControls(video: HTMLVideoElement): void {
  setIcon(play, video.paused ? "play" : "pause");
  play.ariaLabel = video.paused ? "Play" : "Pause";
  setIcon(mute, video.muted ? "sound-off" : "sound");
  mute.ariaLabel = video.muted ? "Turn the sound on" : "Mute";
  volume.value = String(video.muted ? 0 : video.volume);
  if (!video.muted) sound.hidden = true;
}

function renderEdge(player: Player): void {
  const { latency, isBehind: behind } = player;
  byId("edge").toggleAttribute("data-behind", behind);
  const text = latency === null ? "Live" : behind ? `Go to live · ${latency.toFixed(0)} s behind` : `Live · ${latency.toFixed(1)} s`;
  setText(byId("latency"), text);
  byId("delay").hidden = latency === null;
  if (latency !== null) setText(byId("delay"), `${latency.toFixed(1)} s behind`);
}

/** After a pause a live programme goes on where it is now, not where we left it. */
function togglePlay(video: HTMLVideoElement, player: Player): void {
  if (!video.paused) return video.pause();
  player.goToLive();
  void startPlaying(video);
}

function setMuted(video: HTMLVideoElement, muted: boolean): void {
  video.muted = muted;
  if (!muted && video.volume === 0) video.volume = 1;
  if (!muted && video.paused) void startPlaying(video);
}

/** An iPhone can only enlarge the video itself. */
interface PhoneVideo extends HTMLVideoElement {
  webkitEnterFullscreen?: () => void;
}

function wireFullscreen(video: PhoneVideo): void {
  fullscreen.addEventListener("click", () => toggleFullscreen(video));
  document.addEventListener("fullscreenchange", () => {
    fullscreen.ariaLabel = document.fullscreenElement === null ? "Full screen" : "Leave full screen";
  });
}

function toggleFullscreen(video: PhoneVideo): void {
  if (document.fullscreenElement !== null) void document.exitFullscreen();
  else if (stage.requestFullscreen !== undefined) void stage.requestFullscreen();
  else video.webkitEnterFullscreen?.();
}

function wireKeys(video: HTMLVideoElement, player: Player): void {
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof HTMLInputElement || event.target instanceof HTMLButtonElement;
    if (typing || event.ctrlKey || event.metaKey || event.altKey || player.state !== "live") return;
    if (event.key === " ") togglePlay(video, player);
    else if (event.key === "m") setMuted(video, !video.muted);
    else if (event.key === "f") toggleFullscreen(video);
    else return;
    event.preventDefault();
  });
}

/** The controls step aside while nobody moves. */
function wireIdle(video: HTMLVideoElement): void {
  let timer = 0;
  const wake = () => {
    delete stage.dataset.idle;
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      if (!video.paused) stage.dataset.idle = "";
    }, IDLE_MS);
  };
  for (const event of ["pointermove", "pointerdown", "keydown"]) stage.addEventListener(event, wake);
  video.addEventListener("play", wake);
}
