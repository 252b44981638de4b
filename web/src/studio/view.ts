import { playlistUrl, watchUrl } from "@minamo/sdk";
import { byId, setIcon, setText } from "../ui/dom.js";
import { type Model, isOnAir } from "./model.js";
import { QUALITIES, describeQuality } from "./quality.js";
import { renderNumbers } from "./numbers.js";

const preview = byId<HTMLVideoElement>("preview");

const STATE_WORDS: Record<Model["publisher"], string> = {
  idle: "Preview",
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Connection lost, reconnecting",
  stopping: "Stopping",
  stopped: "Off air",
  failed: "Off air",
};

export function render(model: Model): void {
  renderStage(model);
  renderDeck(model);
  renderSide(model);
  renderNumbers(model);
  renderNotice(model);
}

/** The quality choices, once. */
export function renderQualities(chosen: string): void {
  const choices = QUALITIES.map(({ id }) => {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "quality", value: id });
    input.defaultChecked = id === chosen;
    label.append(input, id);
    return label;
  });
  byId("quality").replaceChildren(...choices);
}

/** A device list with “Default” first (until names are known) and “Off” last where that is a choice. */
export function renderDevices(select: HTMLSelectElement, devices: MediaDeviceInfo[], noun: string, withOff: boolean): void {
  const chosen = select.value;
  const options = devices.map((device, index) => new Option(device.label || `${noun} ${index + 1}`, device.deviceId));
  if (options.length === 0) options.push(new Option(`Default ${noun.toLowerCase()}`, ""));
  if (withOff) options.push(new Option("Off", "off"));
  select.replaceChildren(...options);
  if (options.some((option) => option.value === chosen)) select.value = chosen;
}

function renderStage(model: Model): void {
  const { picture, blanked } = model;
  const track = picture?.track ?? null;
  if (shownTrack() !== track) preview.srcObject = track === null ? null : new MediaStream([track]);
  // People expect a mirror of themselves, and text on a screen as it is.
  preview.classList.toggle("mirrored", picture?.kind === "camera");

  const message = stageMessage(model);
  byId("stage-message").hidden = message === null;
  byId("stage-message").classList.toggle("waiting", model.busy);
  setText(byId("stage-title"), message?.title ?? "");
  setText(byId("stage-text"), message?.text ?? "");
  byId("open-devices").hidden = picture !== null || model.wanted !== "camera" || model.busy || isOnAir(model);

  const state = byId("state");
  state.dataset.state = model.publisher;
  setText(state, STATE_WORDS[model.publisher]);
  state.hidden = message !== null && model.publisher === "idle";
  byId("on-air").hidden = model.liveSince === null || !(blanked || model.muted);
  setText(byId("on-air"), [model.muted ? "Muted" : "", blanked ? "Picture off" : ""].filter(Boolean).join(" · "));
}

function shownTrack(): MediaStreamTrack | null {
  return (preview.srcObject as MediaStream | null)?.getVideoTracks()[0] ?? null;
}

function stageMessage(model: Model): { title: string; text: string } | null {
  if (model.picture !== null && !model.blanked) return null;
  if (model.blanked) return { title: "Picture off", text: "Viewers see black until you turn it on again." };
  if (model.busy) return { title: "One moment", text: "Your browser may ask for permission." };
  if (model.wanted === "off") return { title: "Sound only", text: "This broadcast has no picture." };
  if (model.wanted === "screen") return { title: "No screen shared", text: "Choose “Screen” again to pick a window or a screen." };
  return { title: "Ready when you are", text: "See yourself first. Nothing is sent until you go live." };
}

function renderDeck(model: Model): void {
  const onAir = isOnAir(model);
  const goLive = byId<HTMLButtonElement>("go-live");
  const stop = byId<HTMLButtonElement>("stop");
  const hadFocus = document.activeElement === goLive || document.activeElement === stop;
  goLive.hidden = onAir;
  goLive.disabled = model.busy;
  stop.hidden = !onAir;
  stop.disabled = model.publisher === "stopping";
  if (hadFocus && document.activeElement === document.body) (onAir ? stop : goLive).focus();

  const mute = byId<HTMLButtonElement>("mute");
  mute.disabled = model.sound === null;
  mute.ariaPressed = String(model.muted);
  setIcon(mute, model.muted || model.sound === null ? "microphone-off" : "microphone");
  const blank = byId<HTMLButtonElement>("blank");
  blank.disabled = model.picture === null;
  blank.ariaPressed = String(model.blanked);
  setIcon(blank, model.blanked || model.picture === null ? "camera-off" : "camera");
}

function renderSide(model: Model): void {
  const onAir = isOnAir(model);
  byId("access").hidden = model.token !== null || model.channelId !== null;
  renderShare(model.channelId, model.playlistUrl);
  byId("new-channel").hidden = onAir || model.token === null;

  byId("camera-field").hidden = model.wanted !== "camera";
  // What was not negotiated cannot be added, and what was stays until the end.
  for (const input of document.querySelectorAll<HTMLInputElement>('input[name="picture"]')) {
    input.checked = input.value === model.wanted;
    input.disabled = model.busy || (onAir && (input.value === "off" || model.picture === null) && input.value !== model.wanted);
  }
  byId<HTMLSelectElement>("camera").disabled = model.busy || (onAir && model.picture === null);
  byId<HTMLSelectElement>("microphone").disabled = model.busy || (onAir && model.sound === null);
  for (const input of document.querySelectorAll<HTMLInputElement>('input[name="quality"]')) input.disabled = onAir || model.busy;
  setText(byId("quality-hint"), describeQuality(model.quality));
}

function renderShare(channelId: string | null, playlist: string | null): void {
  byId("share").hidden = channelId === null;
  if (channelId === null) return;
  const page = watchUrl(location.origin, channelId);
  byId<HTMLInputElement>("watch-url").value = page;
  byId<HTMLInputElement>("hls-url").value = playlist ?? playlistUrl(location.origin, channelId);
  byId<HTMLAnchorElement>("open-watch").href = page;
}

function renderNotice({ notice }: Model): void {
  byId("notice").hidden = notice === null;
  byId("notice").dataset.tone = notice?.tone ?? "";
  setText(byId("notice-text"), notice?.text ?? "");
}
