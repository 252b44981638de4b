import { ApiError, PublishError, type Publisher } from "@minamo/sdk";
import { wireCopyButtons } from "../ui/copy.js";
import { byId } from "../ui/dom.js";
import { exposeForTests } from "../ui/test-hook.js";
import { NotReady, ensureChannel, publisherFor, requireAccess } from "./broadcast.js";
import { CaptureError, type PictureKind, canShareScreen, isPermitted, listDevices } from "./capture.js";
import { LevelMeter } from "./meter.js";
import { initialModel, isOnAir } from "./model.js";
import { renderNumbers } from "./numbers.js";
import { QUALITIES, rememberQuality } from "./quality.js";
import { Sources } from "./sources.js";
import { findToken, keepToken } from "./token.js";
import { render, renderDevices, renderQualities } from "./view.js";
import { keepAwake } from "./wake.js";

const CLOCK_MS = 1_000;

const model = initialModel(findToken(), new URLSearchParams(location.search).get("channel_id") || null);
const meter = new LevelMeter(byId("meter"));
const cameras = byId<HTMLSelectElement>("camera");
const microphones = byId<HTMLSelectElement>("microphone");
let publisher: Publisher | null = null;

const sources = new Sources(model, {
  async replaced(kind, track) {
    meter.listenTo(model.sound);
    if (track !== null && publisher !== null && isOnAir(model)) await publisher.replaceTrack(kind, track);
  },
  lost(kind) {
    const screen = kind === "video" && model.wanted === "screen";
    warn(screen ? "Screen sharing has stopped. Choose “Screen” to share again." : `The ${kind === "video" ? "camera" : "microphone"} has stopped.`);
    meter.listenTo(model.sound);
    render(model);
  },
});

/** Runs what a person asked for, with the controls at rest meanwhile, and shows why it failed if it did. */
async function act(run: () => Promise<void>): Promise<void> {
  if (model.busy) return;
  model.busy = true;
  model.notice = null;
  render(model);
  try {
    await run();
  } catch (error) {
    model.notice = { text: words(error), tone: "bad" };
  } finally {
    model.busy = false;
    await refreshDevices();
    render(model);
  }
}

async function goLive(): Promise<void> {
  requireAccess(model);
  await sources.openWanted().catch((error: unknown) => {
    // With one of the two we can go on air, and say what is missing.
    if (model.picture === null && model.sound === null) throw error;
    warn(words(error));
  });
  const channelId = await ensureChannel(model);
  history.replaceState(null, "", `?channel_id=${encodeURIComponent(channelId)}`);
  const next = publisherFor(model, channelId);
  publisher = next;
  model.liveSince = null;
  next.on("state", () => publisherChanged(next));
  next.on("stats", (stats) => {
    model.stats = stats;
    render(model);
  });
  next.start();
}

function publisherChanged({ state, error }: Publisher): void {
  model.publisher = state;
  if (state === "live") model.liveSince ??= Date.now();
  if (state !== "live") model.stats = null;
  if (state === "failed" && error !== null) model.notice = { text: words(error), tone: "bad" };
  if (!isOnAir(model)) model.liveSince = null;
  void keepAwake(isOnAir(model));
  render(model);
}

async function choosePicture(wanted: PictureKind | "off"): Promise<void> {
  const before = model.wanted;
  model.wanted = wanted;
  if (wanted === "off") return sources.closePicture();
  try {
    await sources.openPicture(wanted);
  } finally {
    // The picture stays what it was when the dialogue was dismissed.
    if (model.picture !== null && model.picture.kind !== wanted) model.wanted = before;
  }
}

async function refreshDevices(): Promise<void> {
  renderDevices(cameras, await listDevices("videoinput"), "Camera", false);
  renderDevices(microphones, await listDevices("audioinput"), "Microphone", true);
  const cameraId = model.picture?.kind === "camera" ? model.picture.track.getSettings().deviceId : undefined;
  if (cameraId !== undefined) cameras.value = cameraId;
  const microphoneId = model.sound?.getSettings().deviceId;
  if (microphoneId !== undefined) microphones.value = microphoneId;
  else if (model.microphoneId === "off") microphones.value = "off";
}

function warn(text: string): void {
  model.notice = { text, tone: "warn" };
}

function words(error: unknown): string {
  const known = [ApiError, PublishError, CaptureError, NotReady].some((type) => error instanceof type);
  if (known) return (error as Error).message;
  console.error(error);
  return "Something went wrong in this page. Reload it and try again.";
}

function newChannel(): void {
  model.channelId = null;
  model.playlistUrl = null;
  model.publisher = "idle";
  history.replaceState(null, "", location.pathname);
  render(model);
}

function wire(): void {
  byId("open-devices").addEventListener("click", () => void act(() => sources.openWanted()));
  byId("go-live").addEventListener("click", () => void act(goLive));
  byId("stop").addEventListener("click", () => publisher?.stop());
  byId("new-channel").addEventListener("click", newChannel);
  byId("notice-close").addEventListener("click", () => {
    model.notice = null;
    render(model);
  });
  byId("mute").addEventListener("click", () => {
    model.muted = !model.muted;
    sources.applySwitches();
    render(model);
  });
  byId("blank").addEventListener("click", () => {
    model.blanked = !model.blanked;
    sources.applySwitches();
    render(model);
  });
  byId("access").addEventListener("submit", (event) => {
    event.preventDefault();
    model.token = byId<HTMLInputElement>("token").value.trim();
    keepToken(model.token);
    model.notice = null;
    render(model);
  });
  wireChoices();
  // The last chance to end in good order; a lost tab would keep viewers waiting for a return.
  addEventListener("pagehide", () => publisher?.stop());
  addEventListener("beforeunload", (event) => {
    if (isOnAir(model)) event.preventDefault();
  });
  navigator.mediaDevices?.addEventListener("devicechange", () => void refreshDevices());
  setInterval(() => renderNumbers(model), CLOCK_MS);
}

function wireChoices(): void {
  byId("screen-choice").hidden = !canShareScreen();
  // Choosing “Screen” again opens the dialogue again, so clicks and not changes are listened to.
  for (const input of document.querySelectorAll<HTMLInputElement>('input[name="picture"]')) {
    input.addEventListener("click", () => void act(() => choosePicture(input.value as PictureKind | "off")));
  }
  cameras.addEventListener("change", () => {
    model.cameraId = cameras.value;
    void act(() => sources.openPicture("camera"));
  });
  microphones.addEventListener("change", () => {
    model.microphoneId = microphones.value;
    void act(() => (model.microphoneId === "off" ? sources.closeSound() : sources.openSound()));
  });
  byId("quality").addEventListener("change", (event) => {
    const id = (event.target as HTMLInputElement).value;
    model.quality = QUALITIES.find((quality) => quality.id === id) ?? model.quality;
    rememberQuality(model.quality);
    const { picture } = model;
    if (picture?.kind === "camera") void act(() => sources.openPicture("camera"));
    else render(model);
  });
}

renderQualities(model.quality.id);
wire();
wireCopyButtons();
await refreshDevices();
render(model);
if (await isPermitted()) await act(() => sources.openWanted());

exposeForTests({
  get state() {
    return model.publisher;
  },
  get channelId() {
    return model.channelId;
  },
  get connectionId() {
    return publisher?.connectionId ?? null;
  },
  get stats() {
    return model.stats;
  },
  get error() {
    return publisher?.error?.message ?? null;
  },
  get publisher() {
    return publisher;
  },
});
