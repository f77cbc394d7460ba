import { defineConfig } from "vite"

// The known answers as one script, for a test that runs them inside a browser.
export default defineConfig({
  build: {
    target: "es2023",
    lib: { entry: "tests/core/in_browser.ts", formats: ["es"], fileName: () => "in_browser.js" },
    emptyOutDir: true,
  },
})
