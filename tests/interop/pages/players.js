// Every player with its default settings, behind one face: begin(kind, url), seen(). The players are the published, unmodified files.
import Hls from '/hls.mjs';
import * as dashjs from '/dash.mjs';
import '/test.js';

const PLAYERS = {
  /** HLS with fMP4, at low latency where the playlist offers it, and with MPEG-TS. */
  hls(video, url, fail) {
    const hls = new Hls({ lowLatencyMode: true });
    hls.on(Hls.Events.ERROR, (_, data) => fail(data.fatal, `${data.details}: ${data.reason ?? data.error?.message ?? ''}`));
    hls.loadSource(url);
    hls.attachMedia(video);
    video.play().catch(() => {});
    return { latency: () => hls.latency };
  },
  /** DASH; at low latency because the MPD says so. It starts the video itself: one that it finds playing is never updated. */
  dash(video, url, fail) {
    const player = dashjs.MediaPlayer().create();
    player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => fail(true, `${error.code}: ${error.message}`));
    player.initialize(video, url, true);
    return { latency: () => player.getCurrentLiveLatency(), player };
  },
  /** HLS and DASH. */
  shaka(video, url, fail) {
    window.shaka.polyfill.installAll();
    const player = new window.shaka.Player();
    player.addEventListener('error', ({ detail }) => fail(detail.severity === 2, `${detail.code}: ${JSON.stringify(detail.data)}`));
    player.attach(video).then(() => player.load(url)).then(() => video.play()).catch((error) => fail(true, `${error.code}: ${error.message}`));
    return { latency: () => player.getStats().liveLatency, player };
  },
};

/** Plays `url` from the live edge. Time in which nothing moved after the first picture is counted. */
window.begin = (kind, url) => {
  const video = Object.assign(document.createElement('video'), { muted: true, playsInline: true });
  document.body.append(video);
  const watch = { video, errors: [], stalledMs: 0, stalls: 0, ended: false };
  window.watching = watch;
  const started = performance.now();
  const fail = (fatal, text) => watch.errors.push({ fatal, text, at: Math.round(performance.now() - started) });
  watch.face = PLAYERS[kind](video, url, fail);
  video.addEventListener('ended', () => { watch.ended = true; });
  let last = { time: 0, at: performance.now(), still: 0 };
  setInterval(() => {
    const [time, at] = [video.currentTime, performance.now()];
    // A few samples without motion are the resolution of the clock; more are a stall.
    const still = last.time > 0 && time <= last.time && !video.ended ? last.still + (at - last.at) : 0;
    if (still > 300) {
      watch.stalls += last.still > 300 ? 0 : 1;
      watch.stalledMs += last.still > 300 ? at - last.at : still;
    }
    last = { time, at, still };
  }, 100);
};

window.seen = () => {
  const { video, errors, stalls, stalledMs, ended, face } = window.watching;
  return {
    currentTime: video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames, width: video.videoWidth, latency: face.latency(),
    errors, stalls, stalledMs: Math.round(stalledMs), ended, readyState: video.readyState, rate: video.playbackRate,
    buffered: [...Array(video.buffered.length).keys()].map((i) => [video.buffered.start(i), video.buffered.end(i)]),
  };
};
