// The mock's cluster: things take a little time here, as they do in the real one.
const now = () => Date.now() / 1000;
const digest = (seed) => `sha256:${Buffer.from(seed.repeat(16)).toString("hex").slice(0, 64)}`;

export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

const ANSWER = `A **roundhouse** is a building for keeping and turning locomotives. In its middle lies a *turntable*;
the tracks run out from it like spokes.

1. An engine rolls in and onto the turntable.
2. The table turns to a free stall, or to the line that leads out.
3. The engine leaves, and the next one comes. The line never stops.

| part | what it does | here |
| --- | --- | --- |
| stall | keeps one engine | GPU |
| turntable | gives it the right track | router |

A request in Python:

\`\`\`python
from openai import OpenAI

client = OpenAI(base_url="http://localhost:8000/v1", api_key="rh-…")
answer = client.chat.completions.create(model="smollm2", messages=[{"role": "user", "content": "Hello"}])
\`\`\`

See also <b>raw HTML</b>, which stays text, and [a link](https://example.com).`;

const ANSWER_ZH = `**扇形车库**（roundhouse）是存放和调转机车的建筑。中央是一座*转车盘*，轨道像轮辐一样向外伸展。

1. 机车驶上转车盘。
2. 转车盘对准空闲的库位，或驶出的线路。
3. 机车离开，下一台进入。 线路从不停下。

在 Roundhouse 中，每个库位就是一块 GPU， \`router\` 就是转车盘。`;

const SHARE = { tenant: "", weight: 1, max_priority: "normal" };

export function makeState({ empty }) {
  const lists = { models: [], uploads: [], deployments: [], swaps: [], aliases: [], replicas: [], nodes: nodes() };
  let keys = [
    { id: "a1b2c3", name: "admin", role: "admin", hint: "rh-q7Zk…", created_at: now() - 86400 * 12, ...SHARE },
    { id: "d4e5f6", name: "open-webui", role: "user", hint: "rh-Xw3f…", created_at: now() - 86400 * 3, ...SHARE },
    { id: "a7b8c9", name: "product-texts batch", role: "user", hint: "rh-p0Lm…", created_at: now() - 5400, ...SHARE },
  ];
  let changed = () => {};
  if (!empty) fill(lists);

  const find = (list, name) => {
    const found = lists[list].find((each) => each.name === name);
    if (!found) throw new Refusal(404, "not_found", `There is no ${list.slice(0, -1)} “${name}”.`);
    return found;
  };
  const later = (seconds, act) => setTimeout(() => (act(), changed()), seconds * 1000);
  const remove = (list, test) => (lists[list] = lists[list].filter((each) => !test(each)));

  function settle(deployment) {
    const mine = lists.replicas.filter((each) => each.deployment === deployment.name);
    for (const gone of mine.slice(deployment.replicas)) remove("replicas", (each) => each.id === gone.id);
    for (let index = mine.length; index < deployment.replicas; index += 1) {
      const replica = replicaOf(deployment, { state: "starting", detail: "loading weights", since: now() });
      lists.replicas.push(replica);
      later(6, () => {
        Object.assign(replica, { state: "ready", detail: "", state_since: now() });
        describe(deployment);
      });
    }
    describe(deployment);
  }

  function describe(deployment) {
    const mine = lists.replicas.filter((each) => each.deployment === deployment.name);
    const ready = mine.filter((each) => each.state === "ready").length;
    const wanted = deployment.replicas;
    const state = wanted === 0 ? "stopped" : ready >= wanted ? "ready" : ready ? "degraded" : "starting";
    const reason =
      wanted === 0 ? "scaled to zero; scale it up to serve it" : ready ? `${ready} of ${wanted} replicas ready` : "loading weights";
    Object.assign(deployment, { state, reason, ready_replicas: ready, starting_replicas: mine.length - ready, eta_s: state === "starting" ? 6 : null });
  }

  const actions = {
    "GET system": () => ({
      version: "0.1.0", started_at: now() - 7262, ray_connected: true, devices: "gpu", gpus: 5,
      simulated: lists.deployments.some((each) => each.engine === "simulated"), problems: [],
    }),
    "GET join": () => ({
      command: "infra/up join rhj-MTAuMC4wLjExOjYzNzl8cmVkaXM6Ly8xMC4wLjAuMTE6NjM4MHxzMzNjcjN0dDBrM24tbjB0LWE1LXIzYWw",
      reachable: true, note: "Run it on the machine that shall join. It holds a secret: treat it like a password.",
    }),
    "GET keys": () => keys,
    "POST keys": (_, body) => {
      const key = { id: String(Math.random()).slice(2, 8), ...SHARE, ...body, hint: "rh-N3wK…", created_at: now() };
      keys = [...keys, key];
      return [201, { ...key, key: "rh-N3wK5uHc2m8Jq0vYb7Rt4Xs9Wd1Lf6Pz" }];
    },
    "DELETE keys": (id) => {
      const key = keys.find((each) => each.id === id);
      if (key?.role === "admin" && keys.filter((each) => each.role === "admin").length === 1)
        throw new Refusal(422, "invalid_request", "This is the last admin key. Create another one before you revoke it.");
      keys = keys.filter((each) => each.id !== id);
      return [204];
    },
    "POST models": (_, { source, name }) => [202, importModel(source, name ?? source.split(/[:/]/).at(-1).toLowerCase())],
    "PATCH models": (name, body) => [200, Object.assign(find("models", name), body)],
    "DELETE models": (name) => {
      find("models", name);
      remove("models", (each) => each.name === name);
      return [204];
    },
    "PUT deployments": (name, body) => {
      remove("deployments", (each) => each.name === name);
      remove("replicas", (each) => each.deployment === name);
      const model = body.model ? find("models", body.model) : null;
      const deployment = deploymentOf(name, body.engine ?? "vllm", model, body);
      lists.deployments.push(deployment);
      settle(deployment);
      return [200, deployment];
    },
    "POST deployments": (name, { replicas }) => {
      const deployment = find("deployments", name);
      Object.assign(deployment, { replicas, updated_at: now() });
      settle(deployment);
      return [200, deployment];
    },
    "DELETE deployments": (name) => {
      find("deployments", name);
      remove("deployments", (each) => each.name === name);
      remove("replicas", (each) => each.deployment === name);
      return [204];
    },
  };

  function importModel(source, name) {
    const total = 1_000_000_000;
    const model = modelOf(name, source, { state: "receiving", size_bytes: 0, revision: "", architecture: "", max_model_len: null });
    const rejected = /pickle|bin/.test(source);
    lists.models.push(model);
    for (let step = 0; step <= 20; step += 1)
      later(step * 0.5, () => {
        model.progress = { phase: "download", sentences: {}, done: (total / 20) * step, total, unit: "bytes", eta_s: (20 - step) / 2 };
        if (step < 20) return;
        Object.assign(model, rejected
          ? { state: "rejected", reason: "The weights are pickled (pytorch_model.bin). Convert them to safetensors, then import again.", progress: null }
          : { state: "ready", size_bytes: total, revision: digest(name), architecture: "LlamaForCausalLM", max_model_len: 8192, progress: null });
      });
    return model;
  }

  const list = (name) => (name === "catalog" ? lists.deployments.map(catalogOf) : name === "models" ? lists.models.map(withDeployments) : lists[name]);
  const withDeployments = (model) => {
    const deployments = lists.deployments.filter((each) => each.model === model.name).map((each) => each.name);
    const { revision, size_bytes, architecture, max_model_len, source, state, reason, created_at } = model;
    const facts = { parameters: Math.round(size_bytes / 2), dtype: "BF16", quantization: "", warnings: [], author: "admin", notes: "" };
    const only = { sentences: {}, digest: revision, size_bytes, architecture, max_model_len, source, state, reason, created_at, deployments, ...facts };
    return { ...model, deployments, revisions: revision ? [only] : [] };
  };

  return {
    list,
    onChange: (tell) => (changed = tell),
    listed: () => list("catalog").map((each) => ({ id: each.name, object: "model", status: each.status, max_model_len: each.max_model_len })),
    answerTo: ({ messages }) => (/[\u4e00-\u9fff]/.test(messages.at(-1).content) ? ANSWER_ZH : ANSWER),
    handle(method, noun, name, verb, body) {
      if (method === "GET" && verb === "fit") return [200, fitOf(find("models", name))];
      if (method === "GET" && lists[noun]) return [200, list(noun)];
      const act = actions[`${method} ${noun}`];
      if (!act) throw new Refusal(404, "not_found", `The mock has no ${method} ${noun}.`);
      const result = act(name, body);
      changed();
      return method === "GET" ? [200, result] : result;
    },
  };
}

function catalogOf(deployment) {
  return {
    name: deployment.name,
    status: deployment.state === "degraded" ? "ready" : deployment.state,
    detail: deployment.state === "ready" || deployment.state === "degraded" ? "" : deployment.reason,
    sentences: {},
    max_model_len: deployment.max_model_len,
    simulated: deployment.engine === "simulated",
    revision: deployment.revision,
    retry_after_s: Math.round(deployment.eta_s ?? 10),
  };
}

function modelOf(name, source, more) {
  return { name, source, state: "ready", reason: "", sentences: {}, revision: digest(name), size_bytes: 269_060_552, architecture: "LlamaForCausalLM",
    max_model_len: 8192, created_at: now() - 86400, progress: null, deployments: [], revisions: [],
    description: "", tags: [], licence: "", task: "generate", ...more };
}

function fitOf({ size_bytes, max_model_len }) {
  const gib = 2 ** 30;
  const kv = (max_model_len ?? 8192) * 131_072;
  const needed = size_bytes + kv + 2 * gib;
  return { fits: true, reason: `Fits: ${(needed / gib).toFixed(1)} GiB of 21.6 GiB on the GPU with most room; one request with ${max_model_len} tokens.`, sentences: {},
    weights_bytes: size_bytes, activation_bytes: 1.5 * gib, engine_bytes: gib / 2, kv_cache_bytes: kv, kv_request_bytes: kv, kv_available_bytes: 21.6 * gib - size_bytes - 2 * gib,
    needed_bytes: needed, room_bytes: 21.6 * gib, context_tokens: max_model_len, longest_context_tokens: max_model_len, max_context_tokens: max_model_len,
    max_concurrency: 4, gpus_needed: 1, error: 0.1, calibrated: false, assumptions: ["gpu_memory_utilization is 0.9"] };
}

const ROUTING = { policy: "prefix-aware", target_ttft_s: 2, max_in_flight: null, queue_requests: 2000, queue_tokens: 8_000_000,
  queue_bytes: 268_435_456, queue_timeout_s: 120, cold_start_timeout_s: 300, continue_streams: true };

const SIMULATION = { start_s: 0, inter_token_s: 0.02, prefill_tokens_per_s: 8000, max_running: 64, inter_token_per_running_s: 0.0005,
  kv_capacity_tokens: 65536, block_tokens: 16, swap_s: 0, wake_s: 0, weights_bytes: 0 };

function outside(url) {
  return { name: new URL(url).host, url, has_key: true, model: "", weight: 0, max_in_flight: 64, health_path: "/models" };
}

function deploymentOf(name, engine, model, body = {}) {
  return { name, model: model?.name ?? "", engine, revision: model?.revision ?? "", state: "starting", reason: "just deployed", sentences: {}, eta_s: 6,
    replicas: body.replicas ?? 1, ready_replicas: 0, starting_replicas: 0, gpus_per_replica: body.gpus_per_replica ?? (engine === "vllm" ? 1 : 0),
    max_model_len: body.max_model_len ?? model?.max_model_len ?? 8192, engine_args: body.engine_args ?? {}, drain_deadline_s: 60,
    asked_max_model_len: body.max_model_len ?? null, simulation: body.simulation ?? SIMULATION, sleep_mode: body.sleep_mode ?? false,
    scaling: null, override: null, placement: body.placement ?? "spread", node_labels: body.node_labels ?? {},
    routing: ROUTING, external: [], created_at: now(), updated_at: now() };
}

let serial = 0;
function replicaOf(deployment, { state, detail = "", since, load = {} }) {
  serial += 1;
  const node = serial % 2 ? "node-1" : "node-2";
  return { id: `${deployment.name}-${(serial * 7919).toString(36).padStart(5, "0")}`, deployment: deployment.name, model: deployment.model,
    revision: deployment.revision, engine: deployment.engine, state, detail, sentences: {}, address: `10.0.0.${serial % 2 ? 11 : 12}:${31000 + serial}`,
    node_id: node, gpus: deployment.engine === "vllm" ? [String(serial % 4)] : [], in_flight: 0, running: 0, waiting: 0, kv_usage: 0,
    generation_tokens_total: 0, started_at: since - 40, state_since: since, ...load };
}

function nodes() {
  const node = (id, address, hostname, more) => ({ id, address, hostname, alive: true, head: false, cpus: 32, cpus_free: 21, gpus: 4, gpus_free: 1, memory_bytes: 270_000_000_000, ...more });
  return [node("node-1", "10.0.0.11", "gpu-1", { head: true }), node("node-2", "10.0.0.12", "gpu-2", { gpus: 1, gpus_free: 0, cpus: 16, cpus_free: 9.5, memory_bytes: 67_000_000_000 }),
    node("node-3", "10.0.0.13", "gpu-10", { alive: false, gpus_free: 0, cpus_free: 0 })];
}

function fill(lists) {
  const qwen = modelOf("qwen3-8b-awq", "hf:Qwen/Qwen3-8B-AWQ", { architecture: "Qwen3ForCausalLM", max_model_len: 40960, size_bytes: 6_100_000_000, created_at: now() - 86400 * 9 });
  const smol = modelOf("smollm2", "builtin:smollm2");
  const oss = modelOf("gpt-oss-20b", "modelscope:openai-mirror/gpt-oss-20b", { state: "receiving", size_bytes: 0, revision: "", architecture: "", max_model_len: null,
    created_at: now() - 300, progress: { phase: "download", sentences: {}, done: 4_810_000_000, total: 13_760_000_000, unit: "bytes", eta_s: 412 } });
  const bad = modelOf("old-llama", "/srv/weights/old-llama", { state: "rejected", revision: "", size_bytes: 0, architecture: "", max_model_len: null, created_at: now() - 4000,
    reason: "pytorch_model.bin is a pickle, and pickles are never loaded. Convert the weights to safetensors, then import them again." });
  lists.models.push(qwen, smol, oss, bad);
  const add = (deployment, state, ready, reason, eta_s = null) => {
    Object.assign(deployment, { state, ready_replicas: ready, starting_replicas: deployment.replicas - ready, reason, eta_s, updated_at: now() - 7000 });
    lists.deployments.push(deployment);
    for (let index = 0; index < deployment.replicas; index += 1) {
      const up = index < ready;
      const load = up ? { in_flight: 7 - index * 2, running: 6 - index * 2, waiting: index ? 0 : 1, kv_usage: 0.62 - index * 0.2, generation_tokens_total: 1_284_203 - index * 400_000 } : {};
      lists.replicas.push(replicaOf(deployment, { state: up ? "ready" : "starting", detail: up ? "" : "loading weights, 3 of 5 files", since: now() - (up ? 6900 : 21), load }));
    }
  };
  add(deploymentOf("qwen3-8b", "vllm", qwen, { replicas: 3 }), "degraded", 2, "2 of 3 replicas ready");
  add(deploymentOf("smollm2", "vllm", smol), "ready", 1, "1 of 1 replicas ready");
  add(deploymentOf("smollm2-long", "vllm", smol, { max_model_len: 8192 }), "starting", 0, "loading weights", 34);
  const failed = deploymentOf("qwen3-8b-wide", "vllm", qwen, { replicas: 0, gpus_per_replica: 2 });
  add(failed, "failed", 0, "The KV cache of 40,960 tokens needs 5.6 GB and 3.1 GB are free. Lower the longest context, or give it more GPUs.");
  failed.replicas = 1;
  add(deploymentOf("load-test", "simulated", null, { replicas: 2 }), "ready", 2, "2 of 2 replicas ready");
  const far = deploymentOf("qwen-max", "external", null, { replicas: 0 });
  far.external = [outside("https://llm.example.com/v1")];
  add(far, "ready", 0, "served outside by https://llm.example.com/v1");
  const [ready] = lists.replicas;
  lists.replicas.push({ ...ready, id: "qwen3-8b-old1", state: "cordoned", in_flight: 1 }, { ...ready, id: "qwen3-8b-old2", state: "asleep", in_flight: 0 });
}
