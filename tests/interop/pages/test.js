// Helpers that tests call by page.evaluate. The SDK and hls.js are the published, unmodified files.
import Sora from '/sora.js';
import Hls from '/hls.mjs';

const peers = new Map();

/** Captures the fake camera and microphone. */
async function camera(width, height) {
  return navigator.mediaDevices.getUserMedia({ video: { width, height, frameRate: 30 }, audio: true });
}

/** A canvas of changeable size as camera, with the fake microphone. */
async function canvasCamera(width, height) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const paint = canvas.getContext('2d');
  let frame = 0;
  setInterval(() => {
    frame += 1;
    paint.fillStyle = `hsl(${frame % 360} 60% 50%)`;
    paint.fillRect(0, 0, canvas.width, canvas.height);
    paint.fillStyle = '#fff';
    paint.fillRect((frame * 7) % canvas.width, canvas.height / 3, canvas.width / 8, canvas.height / 4);
  }, 33);
  const stream = canvas.captureStream(30);
  const sound = await navigator.mediaDevices.getUserMedia({ audio: true });
  stream.addTrack(sound.getAudioTracks()[0]);
  window.resizeCanvas = (w, h) => { canvas.width = w; canvas.height = h; };
  return stream;
}

/** The canvas with a tone instead of the microphone, which `window.speak` turns on and off: off is digital silence. */
async function voiceCamera(width, height) {
  const stream = await canvasCamera(width, height);
  stream.getAudioTracks().forEach((track) => { track.stop(); stream.removeTrack(track); });
  const audio = new AudioContext();
  const [tone, volume, out] = [audio.createOscillator(), audio.createGain(), audio.createMediaStreamDestination()];
  volume.gain.value = 0;
  tone.connect(volume).connect(out);
  tone.start();
  window.speak = (on) => { volume.gain.value = on ? 0.5 : 0; };
  stream.addTrack(out.stream.getAudioTracks()[0]);
  return stream;
}

const SOURCES = { camera, canvas: canvasCamera, voice: voiceCamera };

/** Joins with the Sora SDK. `source.kind`: one of SOURCES. */
window.join = async (name, url, channelId, role, options = {}, source = { kind: 'camera', width: 640, height: 480 }) => {
  const sora = Sora.connection(url);
  const { metadata = null, ...wishes } = options;
  const peer = { pushes: [], messages: [], signaling: [], switched: false, notifies: [], tracks: new Map(), removed: [], disconnected: null, connectedFired: false };
  peers.set(name, peer);
  const connection = sora[role](channelId, metadata, wishes);
  peer.connection = connection;
  connection.on('notify', (message) => peer.notifies.push(message));
  connection.on('push', (message) => peer.pushes.push(message.data));
  connection.on('message', (event) => peer.messages.push({ label: event.label, text: new TextDecoder().decode(event.data) }));
  connection.on('switched', () => { peer.switched = true; });
  connection.on('signaling', (event) => peer.signaling.push({ type: event.type, transport: event.transportType }));
  connection.on('connected', () => { peer.connectedFired = true; });
  connection.on('disconnect', (event) => { peer.disconnected = { title: event.title, type: event.type, code: event.code, reason: event.reason }; });
  connection.on('track', (event) => {
    const stream = event.streams[0];
    if (event.track.kind !== 'video') {
      // Sound is only decoded, and judged, where somebody listens.
      peer.sound = Object.assign(new Audio(), { autoplay: true, srcObject: new MediaStream([event.track]) });
      return;
    }
    const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, playsInline: true, srcObject: new MediaStream([event.track]) });
    document.body.append(video);
    peer.tracks.set(stream.id, video);
  });
  connection.on('removetrack', (event) => peer.removed.push({ stream: event.target.id, kind: event.track.kind }));
  try {
    if (role === 'recvonly') {
      await connection.connect();
    } else {
      const stream = source.kind === 'none' ? new MediaStream() : await SOURCES[source.kind](source.width, source.height);
      peer.stream = stream;
      await connection.connect(stream);
    }
  } catch (error) {
    return { error: error.message, code: error.code, reason: error.reason };
  }
  return { connectionId: connection.connectionId, clientId: connection.clientId };
};

/** Without it the encoder changes the size with the bitrate, and each size is a discontinuity. */
window.keepResolution = async (name) => {
  for (const sender of peers.get(name).connection.pc.getSenders().filter((one) => one.track?.kind === 'video')) {
    await sender.setParameters({ ...sender.getParameters(), degradationPreference: 'maintain-resolution' });
  }
};

/** Freezes of a peer's received video from now on, as {ms} each, by the browser's own definition and count. */
window.countFreezes = (name) => {
  const peer = peers.get(name);
  const inbound = async () => [...(await peer.connection.pc.getStats()).values()].find((report) => report.type === 'inbound-rtp' && report.kind === 'video');
  clearInterval(peer.freezeTimer);
  peer.freezes = [];
  let last;
  peer.freezeTimer = setInterval(async () => {
    const now = await inbound();
    const count = last ? now.freezeCount - last.freezeCount : 0;
    if (count > 0) peer.freezes.push((now.totalFreezesDuration - last.totalFreezesDuration) * 1000 / count);
    last = now;
  }, 100);
};

window.send = (name, label, text) => peers.get(name).connection.sendMessage(label, new TextEncoder().encode(text));

/** Answers {result} or {error}; of an error's members the SDK passes none on. */
window.rpc = async (name, method, params) => {
  try {
    return { result: await peers.get(name).connection.rpc(method, params, { timeout: 5000 }) };
  } catch (error) {
    return { error: error.message };
  }
};

/** What the SDK was told, without its statistics. */
window.told = (name) => {
  const { pushes, messages, signaling, switched, disconnected, notifies, connectedFired, connection } = peers.get(name);
  const sockets = connection.ws ? 1 : 0;
  return { pushes, messages, signaling, switched, disconnected, notifies, connectedFired, sockets, metadata: connection.authMetadata, rpcMethods: connection.rpcMethods };
};

window.leave = async (name) => { const peer = peers.get(name); await peer.connection.disconnect(); };

window.state = async (name) => {
  const peer = peers.get(name);
  const stats = [];
  if (peer.connection.pc) for (const report of (await peer.connection.pc.getStats()).values()) {
    if (['outbound-rtp', 'inbound-rtp', 'candidate-pair', 'local-candidate', 'remote-candidate', 'remote-inbound-rtp'].includes(report.type)) stats.push(report);
  }
  const decoded = {};
  for (const [stream, video] of peer.tracks) {
    // Firefox counts no frames in an element that shows a stream.
    const [track] = video.srcObject.getVideoTracks();
    const received = stats.find((report) => report.type === 'inbound-rtp' && report.trackIdentifier === track?.id);
    const shown = video.getVideoPlaybackQuality().totalVideoFrames;
    decoded[stream] = { frames: shown || (received?.framesDecoded ?? 0), width: video.videoWidth };
  }
  return { notifies: peer.notifies, removed: peer.removed, freezes: peer.freezes, disconnected: peer.disconnected, connectedFired: peer.connectedFired, decoded, stats };
};

/** The codecs that a peer sends and receives, retransmission left out. */
window.codecs = async (name) => {
  const reports = [...(await peers.get(name).connection.pc.getStats()).values()].filter((report) => report.type === 'codec');
  return [...new Set(reports.map((report) => report.mimeType).filter((type) => !type.endsWith('/rtx')))].sort();
};

/** Keeps the time from each shown picture to the next (ms) and the last one's time in the media in `watch`. */
function watchGaps(video, watch) {
  let last;
  const onFrame = (now, { mediaTime }) => {
    if (last !== undefined) watch.gaps.push(now - last);
    last = now;
    watch.mediaTime = mediaTime;
    video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
}

/** Plays a playlist with hls.js at low latency, default settings otherwise. */
window.play = (url) => {
  const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, playsInline: true });
  document.body.append(video);
  const hls = new Hls({ lowLatencyMode: true });
  const watch = { hls, video, errors: [], ended: false, gaps: [] };
  window.watching = watch;
  hls.on(Hls.Events.ERROR, (_, data) => watch.errors.push({ type: data.type, details: data.details, fatal: data.fatal, reason: data.reason ?? data.error?.message, at: video.currentTime }));
  video.addEventListener('ended', () => { watch.ended = true; });
  watchGaps(video, watch);
  hls.loadSource(url);
  hls.attachMedia(video);
  video.play().catch(() => {});
};

window.watchState = () => {
  const { hls, video, errors, ended, gaps } = window.watching;
  return {
    currentTime: video.currentTime, readyState: video.readyState, errors, ended, gaps, latency: hls.latency, width: video.videoWidth, height: video.videoHeight,
    frames: video.getVideoPlaybackQuality().totalVideoFrames, dropped: video.getVideoPlaybackQuality().droppedVideoFrames,
    buffered: video.buffered.length ? video.buffered.end(video.buffered.length - 1) : 0,
  };
};

/** Reads the clock row of the demo's picture at each shown frame: list of {latency ms} samples. */
window.readClock = (samples) => new Promise((resolve) => {
  const { video } = window.watching;
  const canvas = document.createElement('canvas');
  const paint = canvas.getContext('2d', { willReadFrequently: true });
  const found = [];
  let unreadable = 0;
  const onFrame = (now, frame) => {
    canvas.width = frame.width; canvas.height = frame.height;
    const block = Math.floor(frame.width / 40);
    paint.drawImage(video, 0, 0);
    const row = paint.getImageData(0, frame.height - Math.ceil(block / 2), frame.width, 1).data;
    let time = 0n;
    for (let bit = 0; bit < 40; bit += 1) time = (time << 1n) | (row[(bit * block + (block >> 1)) * 4] > 128 ? 1n : 0n);
    const shown = time >> 4n;
    let sum = 0n;
    for (let nibble = 0n; nibble < 9n; nibble += 1n) sum += (shown >> (4n * nibble)) & 15n;
    if ((sum & 15n) === (time & 15n)) {
      const wall = BigInt(Math.round(performance.timeOrigin + frame.expectedDisplayTime));
      found.push(Number((wall & 0xfffffffffn) - shown));
    } else unreadable += 1;
    if (found.length + unreadable >= samples) resolve({ found, unreadable });
    else video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
});
window.ready = true;
