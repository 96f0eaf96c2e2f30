// A make-believe Roundhouse for work on the UI: serves dist/, the admin API, server-sent events and a chat.
//
//   npm run build && npm run mock            → http://127.0.0.1:5180/login#token=dev   (admin)
//   npm run mock -- --empty                  → nothing deployed, library empty
//   ROUNDHOUSE_URL=http://127.0.0.1:5180 npm run dev   → the same API behind Vite's dev server
//
// Uploads, swaps, scaling, import and export of chats need a real one: ROUNDHOUSE_URL=http://127.0.0.1:8000 npm run dev
//
// Keys: "rh-admin" and "rh-user". A message with a word in it makes trouble on purpose:
// "error" a typed error in mid-stream, "cut" a stream without an end, "503" a model that is starting, "401" a lost login.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

import { handleChats } from "./mockChats.mjs";
import { makeState } from "./mockState.mjs";

const PORT = Number(process.env.PORT ?? 5180);
const DIST = fileURLToPath(new URL("../dist/", import.meta.url));
const CSP =
  "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; frame-ancestors 'none'";
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const LISTS = ["models", "uploads", "deployments", "swaps", "aliases", "replicas", "nodes"];

const state = makeState({ empty: process.argv.includes("--empty") });
const listeners = new Set();
state.onChange(() => listeners.forEach((tell) => tell()));

createServer((request, response) => {
  handle(request, response).catch((error) => {
    console.error(error);
    response.destroy();
  });
}).listen(PORT, "127.0.0.1", () => console.log(`http://127.0.0.1:${PORT}/login#token=dev`));

async function handle(request, response) {
  const url = new URL(request.url, "http://mock");
  const { pathname } = url;
  const body = await readBody(request);
  if (pathname === "/v1/chat/completions") return chat(request, response, body);
  if (pathname === "/v1/models") return json(response, 200, { object: "list", data: state.listed() });
  if (pathname.startsWith("/api/v1/")) return admin(request, response, url, body);
  return serveFile(response, pathname);
}

function roleOf(request) {
  return /roundhouse_session=(admin|user)/.exec(request.headers.cookie ?? "")?.[1] ?? null;
}

async function admin(request, response, url, body) {
  const path = url.pathname.slice(8);
  const role = roleOf(request);
  const { method } = request;
  if (path === "session" && method === "POST") return logIn(response, body);
  if (!role) return refuse(response, 401, "No key was sent. Log in on the page.", "invalid_api_key");
  if (method !== "GET" && request.headers["x-roundhouse-csrf"] !== `csrf-${role}`)
    return refuse(response, 403, "The header x-roundhouse-csrf is missing or wrong. Reload the page.", "csrf");
  if (path === "session" && method === "DELETE") {
    response.setHeader("set-cookie", "roundhouse_session=; Max-Age=0; Path=/");
    return json(response, 204);
  }
  if (path === "session") return json(response, 200, sessionOf(role));
  if (path === "events") return events(request, response, role);
  const kept = handleChats(method, url, body);
  if (kept) return json(response, ...kept);
  if (role !== "admin") return refuse(response, 403, "This needs an admin key; yours may use models only.", "admin_only");
  const [noun, name, verb] = path.split("/").map(decodeURIComponent);
  try {
    return json(response, ...state.handle(method, noun, name, verb, body));
  } catch (error) {
    return refuse(response, error.status ?? 500, error.message, error.code ?? "internal_error");
  }
}

const sessionOf = (role) => ({ name: role, role, csrf_token: `csrf-${role}` });

function logIn(response, { token, key }) {
  const role = token === "dev" || key === "rh-admin" ? "admin" : key === "rh-user" ? "user" : null;
  if (!role) return refuse(response, 401, "This key is not valid. Check it, or ask an admin for a new one.", "invalid_api_key");
  response.setHeader("set-cookie", `roundhouse_session=${role}; HttpOnly; SameSite=Strict; Path=/`);
  return json(response, 200, sessionOf(role));
}

function events(request, response, role) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  const sent = {};
  const tell = () => {
    for (const name of role === "admin" ? ["catalog", ...LISTS] : ["catalog"]) {
      const data = JSON.stringify(state.list(name));
      if (sent[name] !== data) response.write(`event: ${name}\ndata: ${(sent[name] = data)}\n\n`);
    }
  };
  listeners.add(tell);
  request.on("close", () => listeners.delete(tell));
  response.write(": hello\n\n");
  tell();
}

async function chat(request, response, body) {
  const question = body.messages.at(-1).content;
  if (!roleOf(request) || /\b401\b/.test(question)) return refuse(response, 401, "This session is not valid any more.", "invalid_api_key");
  const entry = state.list("catalog").find((each) => each.name === body.model);
  if (!entry) return refuse(response, 404, `The model “${body.model}” does not exist.`, "model_not_found");
  if (/\b503\b/.test(question) || !["ready", "asleep"].includes(entry.status)) {
    response.setHeader("retry-after", String(entry.retry_after_s));
    return refuse(response, 503, `The model “${body.model}” is starting: loading weights.`, "model_starting");
  }
  const words = state.answerTo(body).match(/\s*\S+/g);
  const usage = { prompt_tokens: 24, completion_tokens: words.length, total_tokens: words.length + 24 };
  if (!body.stream) {
    await sleep(600);
    const message = { role: "assistant", content: words.join("") };
    return json(response, 200, { choices: [{ index: 0, message, finish_reason: "stop" }], usage });
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  await sleep(240);
  for (const [index, content] of words.entries()) {
    if (response.destroyed) return;
    send(response, { choices: [{ index: 0, delta: { content }, finish_reason: null }] });
    if (index === 12 && /\berror\b/.test(question)) {
      send(response, { error: { message: "The replica that was answering died.", type: "server_error", code: "replica_lost" } });
      return response.end();
    }
    if (index === 12 && /\bcut\b/.test(question)) return response.destroy();
    await sleep(22);
  }
  send(response, { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
  if (body.stream_options?.include_usage) send(response, { choices: [], usage });
  response.end("data: [DONE]\n\n");
}

const send = (response, data) => response.write(`data: ${JSON.stringify(data)}\n\n`);
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function json(response, status, data) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(data === undefined ? undefined : JSON.stringify(data));
}

function refuse(response, status, message, code) {
  const type = status < 500 ? "invalid_request_error" : "server_error";
  json(response, status, { type: "error", error: { message, type, param: null, code } });
}

async function readBody(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return parts.length ? JSON.parse(Buffer.concat(parts).toString()) : {};
}

/** Files of dist/; every other path is the app's own, and gets index.html. */
async function serveFile(response, pathname) {
  const path = extname(pathname) ? normalize(pathname).replace(/^(\.\.[/\\])+/, "") : "index.html";
  try {
    const content = await readFile(join(DIST, path));
    const type = TYPES[extname(path)] ?? "application/octet-stream";
    response.writeHead(200, { "content-type": `${type}; charset=utf-8`, "content-security-policy": CSP });
    response.end(content);
  } catch {
    response.writeHead(404).end();
  }
}
