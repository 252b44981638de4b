import { FRAMES_PER_SECOND, type Quality } from "./quality.js";

export type PictureKind = "camera" | "screen";

/** Chosen devices; an empty id leaves the choice to the browser. */
export interface Devices {
  cameraId: string;
  microphoneId: string;
}

/** Why a device could not be had, in words for people. */
export class CaptureError extends Error {
  constructor(
    message: string,
    /** The person or the browser's settings said no: asking again, or for less, would only annoy. */
    readonly denied = false,
  ) {
    super(message);
  }
}

export async function openCamera(deviceId: string, quality: Quality): Promise<MediaStreamTrack> {
  const stream = await media("camera", { video: cameraConstraints(deviceId, quality) });
  return first(stream.getVideoTracks(), "camera");
}

export async function openMicrophone(deviceId: string): Promise<MediaStreamTrack> {
  const stream = await media("microphone", { audio: microphoneConstraints(deviceId) });
  return first(stream.getAudioTracks(), "microphone");
}

/** Both at once, so that the browser asks only once. */
export async function openBoth(devices: Devices, quality: Quality): Promise<{ camera: MediaStreamTrack; microphone: MediaStreamTrack }> {
  const stream = await media("camera and microphone", {
    video: cameraConstraints(devices.cameraId, quality),
    audio: microphoneConstraints(devices.microphoneId),
  });
  return { camera: first(stream.getVideoTracks(), "camera"), microphone: first(stream.getAudioTracks(), "microphone") };
}

/** `null` if the person changed their mind in the browser's dialogue. */
export async function openScreen(quality: Quality): Promise<MediaStreamTrack | null> {
  const video = { width: { max: quality.width }, height: { max: quality.height }, frameRate: { max: FRAMES_PER_SECOND } };
  try {
    const stream = await devices().getDisplayMedia({ video });
    const track = first(stream.getVideoTracks(), "screen");
    track.contentHint = "detail";
    return track;
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotAllowedError") return null;
    throw explain("screen", error);
  }
}

export const canShareScreen = (): boolean => "getDisplayMedia" in (navigator.mediaDevices ?? {});

export async function listDevices(kind: "videoinput" | "audioinput"): Promise<MediaDeviceInfo[]> {
  const all = await (navigator.mediaDevices?.enumerateDevices() ?? []);
  return all.filter((device) => device.kind === kind && device.deviceId !== "");
}

/** Whether opening would ask nothing: then the preview can start by itself. */
export async function isPermitted(): Promise<boolean> {
  try {
    const names = ["camera", "microphone"] as PermissionName[];
    const answers = await Promise.all(names.map((name) => navigator.permissions.query({ name })));
    return answers.every((answer) => answer.state === "granted");
  } catch {
    return false;
  }
}

function cameraConstraints(deviceId: string, { width, height }: Quality): MediaTrackConstraints {
  return {
    ...(deviceId === "" ? {} : { deviceId: { exact: deviceId } }),
    width: { ideal: width },
    height: { ideal: height },
    frameRate: { ideal: FRAMES_PER_SECOND, max: FRAMES_PER_SECOND },
  };
}

function microphoneConstraints(deviceId: string): MediaTrackConstraints {
  return {
    ...(deviceId === "" ? {} : { deviceId: { exact: deviceId } }),
    echoCancellation: true,
    noiseSuppression: true,
    autoGainControl: true,
  };
}

async function media(what: string, constraints: MediaStreamConstraints): Promise<MediaStream> {
  try {
    return await devices().getUserMedia(constraints);
  } catch (error) {
    throw explain(what, error);
  }
}

function devices(): MediaDevices {
  if (navigator.mediaDevices === undefined) {
    throw new CaptureError("Browsers give cameras and microphones to secure pages only. Open this page over https, or on localhost.");
  }
  return navigator.mediaDevices;
}

function first(tracks: MediaStreamTrack[], what: string): MediaStreamTrack {
  const [track] = tracks;
  if (track === undefined) throw new CaptureError(`The ${what} gave no signal.`);
  return track;
}

function explain(what: string, error: unknown): CaptureError {
  if (error instanceof CaptureError) return error;
  const name = error instanceof DOMException ? error.name : "";
  switch (name) {
    case "NotAllowedError":
      return new CaptureError(`This page may not use the ${what}. Allow it beside the address bar, then try again.`, true);
    case "NotFoundError":
      return new CaptureError(`No ${what} was found. Connect one, or choose “Off”.`);
    case "NotReadableError":
      return new CaptureError(`The ${what} is in use by another program.`);
    case "OverconstrainedError":
      return new CaptureError(`The chosen ${what} is no longer there. Choose another one.`);
    default:
      return new CaptureError(`The ${what} could not be opened.`);
  }
}
