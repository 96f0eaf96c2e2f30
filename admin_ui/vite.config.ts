import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Where `npm run dev` finds a running Roundhouse, or the mock server. */
const roundhouse = process.env["ROUNDHOUSE_URL"] ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  server: { proxy: { "/api": roundhouse, "/v1": roundhouse } },
  // Small files become files too: the content security policy allows data: for images only.
  build: { assetsInlineLimit: 0, target: "es2022" },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
