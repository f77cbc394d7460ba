import { defineConfig } from "vitest/config"
import { serviceWorkerBuild } from "./making/service_worker_build.ts"

// One build for the hosted page and for `halonyx web`: no absolute address, no time and no path of this machine in it.
export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  plugins: [serviceWorkerBuild()],
  worker: { format: "es" },
  build: {
    target: "es2023",
    outDir: "../src/halonyx/web/site",
    emptyOutDir: true,
    assetsInlineLimit: 0, // a strict CSP has no data: addresses
    modulePreload: { polyfill: false },
    reportCompressedSize: true,
  },
  // Half of the processors, as by default, would be one of two. Node 20 has the browsers' WebSocket behind a flag.
  test: {
    include: ["tests/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000, // a relay takes its time to start on a busy machine
    maxWorkers: "100%",
    execArgv: ["--experimental-websocket"],
  },
})
