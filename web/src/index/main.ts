import { programmeFrom, watchUrl } from "@minamo/sdk";
import { byId } from "../ui/dom.js";

const { origin } = location;
const form = byId<HTMLFormElement>("open-channel");
const channel = byId<HTMLInputElement>("channel");
const error = byId("channel-error");

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const programme = programmeFrom(channel.value);
  error.hidden = programme !== null;
  if (programme === null) channel.focus();
  else location.assign(watchUrl(origin, programme.channelId, programme.connectionId));
});
channel.addEventListener("input", () => (error.hidden = true));

byId("curl").textContent = `curl ${origin}/ \\
  -H 'X-Sora-Target: ImageFlux_20180905.CreateChannel' \\
  -H 'Authorization: Bearer <token>' \\
  -d '{"hls":[{"video":{"width":1280,"height":720,"fps":30,"bps":2500000},"audio":{"bps":128000}}]}'`;
