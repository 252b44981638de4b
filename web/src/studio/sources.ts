import { CaptureError, openBoth, openCamera, openMicrophone, openScreen, type PictureKind } from "./capture.js";
import type { Model } from "./model.js";

export interface SourceHandlers {
  /** A new track took the place of the one before, which stops as soon as this resolves. */
  replaced(kind: "audio" | "video", track: MediaStreamTrack | null): Promise<void>;
  /** The browser or the device ended a track that we had not ended. */
  lost(kind: "audio" | "video"): void;
}

/** Opens, swaps and closes what is captured. The model says what is wanted; here it is made so. */
export class Sources {
  constructor(
    private readonly model: Model,
    private readonly handlers: SourceHandlers,
  ) {}

  /** Opens what is wanted and not yet open. What fails is reported together, after the rest was opened. */
  async openWanted(): Promise<void> {
    const { model } = this;
    const camera = model.wanted === "camera" && model.picture === null;
    const microphone = model.microphoneId !== "off" && model.sound === null;
    if (camera && microphone && (await this.#openBoth())) return;
    const failures: string[] = [];
    const attempt = (run: () => Promise<void>) =>
      run().catch((error: unknown) => {
        if (!(error instanceof CaptureError)) throw error;
        failures.push(error.message);
      });
    if (camera) await attempt(() => this.openPicture("camera"));
    if (microphone) await attempt(() => this.openSound());
    if (failures.length > 0) throw new CaptureError(failures.join(" "));
  }

  async openPicture(kind: PictureKind): Promise<void> {
    const { cameraId, quality } = this.model;
    const track = kind === "camera" ? await openCamera(cameraId, quality) : await openScreen(quality);
    if (track !== null) await this.#setPicture(kind, track);
  }

  async openSound(): Promise<void> {
    await this.#setSound(await openMicrophone(this.model.microphoneId));
  }

  async closePicture(): Promise<void> {
    await this.#setPicture("camera", null);
  }

  async closeSound(): Promise<void> {
    await this.#setSound(null);
  }

  applySwitches(): void {
    const { picture, sound, muted, blanked } = this.model;
    if (picture !== null) picture.track.enabled = !blanked;
    if (sound !== null) sound.enabled = !muted;
  }

  /** `false`: not both could be had, and it is worth trying one by one. */
  async #openBoth(): Promise<boolean> {
    try {
      const { camera, microphone } = await openBoth(this.model, this.model.quality);
      await this.#setPicture("camera", camera);
      await this.#setSound(microphone);
      return true;
    } catch (error) {
      if (error instanceof CaptureError && !error.denied) return false;
      throw error;
    }
  }

  async #setPicture(kind: PictureKind, track: MediaStreamTrack | null): Promise<void> {
    const before = this.model.picture?.track;
    this.model.picture = track === null ? null : { kind, track };
    await this.#swap("video", before, track, () => {
      if (this.model.picture?.track !== track) return;
      this.model.picture = null;
      this.handlers.lost("video");
    });
  }

  async #setSound(track: MediaStreamTrack | null): Promise<void> {
    const before = this.model.sound ?? undefined;
    this.model.sound = track;
    await this.#swap("audio", before, track, () => {
      if (this.model.sound !== track) return;
      this.model.sound = null;
      this.handlers.lost("audio");
    });
  }

  async #swap(kind: "audio" | "video", before: MediaStreamTrack | undefined, track: MediaStreamTrack | null, onEnded: () => void) {
    track?.addEventListener("ended", onEnded);
    this.applySwitches();
    try {
      await this.handlers.replaced(kind, track);
    } finally {
      before?.stop();
    }
  }
}
