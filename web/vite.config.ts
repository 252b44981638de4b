import { fileURLToPath } from "node:url";
import { type Plugin, defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** A running Minamo behind `npm run dev`. */
const server = "http://127.0.0.1:8080";

/** The server's page routes, for the development server. */
const routes: Plugin = {
  name: "minamo-routes",
  configureServer({ middlewares }) {
    middlewares.use((request, _response, next) => {
      const path = request.url?.replace(/[?#].*$/, "") ?? "";
      if (path === "/studio") request.url = "/studio.html";
      else if (/^\/watch\/[^/]+$/.test(path)) request.url = "/watch.html";
      next();
    });
  },
};

export default defineConfig({
  plugins: [routes],
  resolve: {
    alias: { "@minamo/sdk": here("../sdk-js/src/index.ts") },
    // The SDK's peer dependency is this package's to provide.
    dedupe: ["hls.js"],
  },
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    // hls.js alone is more than the limit that bundlers warn at.
    chunkSizeWarningLimit: 700,
    rollupOptions: { input: { index: here("index.html"), studio: here("studio.html"), watch: here("watch.html") } },
  },
  server: {
    proxy: {
      "/signaling": { target: server, ws: true },
      "/hls": server,
      "^/$": { target: server, bypass: (request) => (request.method === "POST" ? undefined : request.url) },
    },
  },
});
