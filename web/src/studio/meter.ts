/** Quieter than this is shown as silence. */
const FLOOR_DB = -60;
/** From here on it is too loud. */
const HOT_DB = -3;
/** Share of the bar that it falls per picture. */
const FALL = 0.04;

/** Shows a microphone's level, loud at once and falling slowly, as meters do. */
export class LevelMeter {
  readonly #bar: HTMLElement;
  #context: AudioContext | null = null;
  #source: MediaStreamAudioSourceNode | null = null;
  #analyser: AnalyserNode | null = null;
  #track: MediaStreamTrack | null = null;
  #shown = 0;

  constructor(private readonly element: HTMLElement) {
    this.#bar = element.firstElementChild as HTMLElement;
    const tick = () => {
      this.#show();
      requestAnimationFrame(tick);
    };
    tick();
  }

  listenTo(track: MediaStreamTrack | null): void {
    if (track === this.#track) return;
    this.#track = track;
    this.#source?.disconnect();
    this.#source = null;
    if (track === null) return;
    this.#context ??= new AudioContext();
    void this.#context.resume();
    this.#analyser ??= new AnalyserNode(this.#context, { fftSize: 1024 });
    this.#source = this.#context.createMediaStreamSource(new MediaStream([track]));
    this.#source.connect(this.#analyser);
  }

  #show(): void {
    const db = this.#peakDb();
    const level = Math.min(1, Math.max(0, 1 - db / FLOOR_DB));
    this.#shown = Math.max(level, this.#shown - FALL);
    this.#bar.style.transform = `scaleX(${this.#shown.toFixed(3)})`;
    this.element.toggleAttribute("data-hot", db > HOT_DB);
    this.element.ariaValueNow = String(Math.round(this.#shown * 100));
  }

  #peakDb(): number {
    if (this.#analyser === null || this.#source === null) return FLOOR_DB;
    const samples = new Float32Array(this.#analyser.fftSize);
    this.#analyser.getFloatTimeDomainData(samples);
    let peak = 0;
    for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
    return peak === 0 ? FLOOR_DB : Math.max(FLOOR_DB, 20 * Math.log10(peak));
  }
}
