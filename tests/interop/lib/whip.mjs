// WHIP and WHEP by a browser's RTCPeerConnection and fetch, in any engine whose driver has page.evaluate(function, argument).

/**
 * Posts the page's offer and takes the answer: what the server said. `send` publishes the fake camera, otherwise the page receives.
 * `codec` ('VP8') is put first in the offer; `encodings` are those of a simulcast sender. The session is `window.sessions[name]`.
 */
export function post(page, url, { send, token, codec, encodings, name = 'a', size = [640, 480] }) {
  return page.evaluate(async ([target, sends, bearer, wanted, layers, key, [width, height]]) => {
    const pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const session = { pc, videos: [] };
    window.sessions = { ...window.sessions, [key]: session };
    const prefer = (transceiver, kind) => {
      const { codecs } = (sends ? RTCRtpSender : RTCRtpReceiver).getCapabilities(kind);
      const first = codecs.filter((one) => one.mimeType.toLowerCase() === `${kind}/${wanted}`.toLowerCase());
      if (first.length > 0) transceiver.setCodecPreferences([...first, ...codecs.filter((one) => !first.includes(one))]);
    };
    if (sends) {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width, height, frameRate: 30 }, audio: true });
      for (const track of stream.getTracks()) {
        const sendEncodings = layers && track.kind === 'video' ? layers : undefined;
        const transceiver = pc.addTransceiver(track, { direction: 'sendonly', streams: [stream], ...(sendEncodings && { sendEncodings }) });
        if (wanted) prefer(transceiver, track.kind);
      }
    } else {
      for (const kind of ['audio', 'video']) {
        const transceiver = pc.addTransceiver(kind, { direction: 'recvonly' });
        if (wanted) prefer(transceiver, kind);
      }
      pc.addEventListener('track', ({ track }) => {
        const video = Object.assign(document.createElement('video'), { muted: true, autoplay: true, srcObject: new MediaStream([track]) });
        document.body.append(video);
        session.videos.push(video);
      });
    }
    await pc.setLocalDescription();
    const headers = { 'content-type': 'application/sdp', authorization: `Bearer ${bearer}` };
    const response = await fetch(target, { method: 'POST', headers, body: pc.localDescription.sdp });
    const sdp = await response.text();
    const exposed = Object.fromEntries(['location', 'etag', 'content-type', 'link'].map((header) => [header, response.headers.get(header)]));
    if (response.status === 201) await pc.setRemoteDescription({ type: 'answer', sdp });
    return { status: response.status, sdp, offer: pc.localDescription.sdp, ...exposed };
  }, [url, send, token, codec, encodings, name, size]);
}

/** All of a session's reports of a type, and of a kind if given. */
export const reports = (page, type, kind, name = 'a') => page.evaluate(async ([wanted, of, key]) => {
  const all = [...(await window.sessions[key].pc.getStats()).values()];
  const codecOf = (id) => all.find((one) => one.id === id)?.mimeType;
  return all.filter((one) => one.type === wanted && (!of || one.kind === of)).map((one) => ({ ...one, mimeType: codecOf(one.codecId) }));
}, [type, kind, name]);

/** The first of them. */
export const report = async (page, type, kind, name = 'a') => (await reports(page, type, kind, name))[0];

/** Frames that the session's video has shown decoded, with its codec. */
export const decoded = async (page, name = 'a') => {
  const video = await report(page, 'inbound-rtp', 'video', name);
  return { frames: video?.framesDecoded ?? 0, codec: video?.mimeType, width: video?.frameWidth };
};
