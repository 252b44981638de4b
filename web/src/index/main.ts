import { channelIdFrom, watchUrl } from "@minamo/sdk";
import { byId } from "../ui/dom.js";

const { origin } = location;
const form = byId<HTMLFormElement>("open-channel");
const channel = byId<HTMLInputElement>("channel");
const error = byId("channel-error");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const id = channelIdFrom(channel.value);
  error.hidden = id !== null;
  if (id === null) channel.focus();
  else location.assign(watchUrl(origin, id));
});
channel.addEventListener("input", () => (error.hidden = true));

byId("curl").textContent = `curl ${origin}/ \\
  -H 'X-Sora-Target: ImageFlux_20180905.CreateChannel' \\
  -H 'Authorization: Bearer <token>' \\
  -d '{"hls":[{"video":{"width":1280,"height":720,"fps":30,"bps":2500000},"audio":{"bps":128000}}]}'`;
