import { defineConfig } from "vite"

// The filling of a store as one script, for tests that need a past: long conversations, other days, rare notices.
export default defineConfig({
  publicDir: false,
  build: {
    target: "es2023",
    lib: { entry: "tests/browser/filling.ts", formats: ["iife"], name: "filling", fileName: () => "filling.js" },
    emptyOutDir: true,
  },
})
