// The clock in the demo's picture, read in any page that shows it: how long ago each shown picture was made.

/** Latencies in ms of the next `samples` pictures of the page's video, and how many could not be read. */
export const readClock = (page, samples, index = 0) => page.evaluate(([count, nth]) => new Promise((resolve) => {
  const video = document.querySelectorAll('video')[nth];
  const canvas = document.createElement('canvas');
  const paint = canvas.getContext('2d', { willReadFrequently: true });
  const found = [];
  let unreadable = 0;
  const onFrame = (_, frame) => {
    canvas.width = frame.width;
    canvas.height = frame.height;
    const block = Math.floor(frame.width / 40);
    paint.drawImage(video, 0, 0);
    const row = paint.getImageData(0, frame.height - Math.ceil(block / 2), frame.width, 1).data;
    let time = 0n;
    for (let bit = 0; bit < 40; bit += 1) time = (time << 1n) | (row[(bit * block + (block >> 1)) * 4] > 128 ? 1n : 0n);
    const shown = time >> 4n;
    let sum = 0n;
    for (let nibble = 0n; nibble < 9n; nibble += 1n) sum += (shown >> (4n * nibble)) & 15n;
    if ((sum & 15n) === (time & 15n)) found.push(Number((BigInt(Math.round(performance.timeOrigin + frame.expectedDisplayTime)) & 0xfffffffffn) - shown));
    else unreadable += 1;
    if (found.length + unreadable >= count) resolve({ found, unreadable });
    else video.requestVideoFrameCallback(onFrame);
  };
  video.requestVideoFrameCallback(onFrame);
}), [samples, index]);
