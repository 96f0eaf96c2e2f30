/** What to paste where, filled with an endpoint and a model. PURE. */

export type SnippetId =
  | "python"
  | "javascript"
  | "langchain"
  | "curl"
  | "openWebui"
  | "librechat"
  | "continue"
  | "zed"
  | "cursor";

export interface Snippet {
  id: SnippetId;
  /** A name, which no language translates. */
  title: string;
  group: "sdk" | "shell" | "apps" | "editors";
  /** Which sentence says where it goes. */
  where: "python" | "javascript" | "langchain" | "shell" | "openWebui" | "librechat" | "continue" | "zed" | "cursor";
  text: string;
}

const KEY = "ROUNDHOUSE_API_KEY";

/** `url`: up to and including /v1. `context`: tokens, where it is known. Names of models have no quotes in them. */
export function snippetsOf(url: string, model: string, context: number | null): Snippet[] {
  return [
    { id: "python", title: "Python", group: "sdk", where: "python", text: python(url, model) },
    { id: "javascript", title: "JavaScript", group: "sdk", where: "javascript", text: javascript(url, model) },
    { id: "langchain", title: "LangChain", group: "sdk", where: "langchain", text: langchain(url, model) },
    { id: "curl", title: "curl", group: "shell", where: "shell", text: curl(url, model) },
    { id: "openWebui", title: "Open WebUI", group: "apps", where: "openWebui", text: openWebui(url) },
    { id: "librechat", title: "LibreChat", group: "apps", where: "librechat", text: librechat(url, model) },
    { id: "continue", title: "Continue", group: "editors", where: "continue", text: continueDev(url, model) },
    { id: "zed", title: "Zed", group: "editors", where: "zed", text: zed(url, model, context) },
    { id: "cursor", title: "Cursor", group: "editors", where: "cursor", text: cursor(url, model) },
  ];
}

/** Whether an address means the machine that asks. */
export const isLocal = (url: string) => /^(localhost|127\.|\[::1\])/.test(new URL(url).host);

const python = (url: string, model: string) => `import os

from openai import OpenAI

client = OpenAI(
    base_url="${url}",
    api_key=os.environ["${KEY}"],
)
stream = client.chat.completions.create(
    model="${model}",
    messages=[{"role": "user", "content": "Hello"}],
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="")
`;

const javascript = (url: string, model: string) => `import OpenAI from "openai";

const client = new OpenAI({
  baseURL: "${url}",
  apiKey: process.env.${KEY},
});
const stream = await client.chat.completions.create({
  model: "${model}",
  messages: [{ role: "user", content: "Hello" }],
  stream: true,
});
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
}
`;

const langchain = (url: string, model: string) => `import os

from langchain_openai import ChatOpenAI

llm = ChatOpenAI(
    model="${model}",
    base_url="${url}",
    api_key=os.environ["${KEY}"],
)
print(llm.invoke("Hello").content)
`;

const curl = (url: string, model: string) => `curl ${url}/chat/completions \\
  -H "Authorization: Bearer $${KEY}" \\
  -H "Content-Type: application/json" \\
  -d '{"model": "${model}",
       "messages": [{"role": "user", "content": "Hello"}]}'
`;

// Without the last line its page sends tools of its own, which vLLM refuses where no tool parser is set.
const openWebui = (url: string) => `ENABLE_OLLAMA_API=false
OPENAI_API_BASE_URL=${url}
OPENAI_API_KEY=$${KEY}
DEFAULT_MODEL_PARAMS='{"function_calling": "legacy"}'
`;

const librechat = (url: string, model: string) => `endpoints:
  custom:
    - name: "Roundhouse"
      apiKey: "\${${KEY}}"
      baseURL: "${url}"
      models:
        default: ["${model}"]
        fetch: true
      titleConvo: true
      titleModel: "current_model"
`;

const continueDev = (url: string, model: string) => `models:
  - name: ${model}
    provider: openai
    model: ${model}
    apiBase: ${url}
    apiKey: \${{ secrets.${KEY} }}
    roles: [chat, edit, apply]
`;

const zed = (url: string, model: string, context: number | null) =>
  `${JSON.stringify(
    {
      language_models: {
        openai_compatible: {
          Roundhouse: { api_url: url, available_models: [{ name: model, max_tokens: context ?? 8192 }] },
        },
      },
    },
    null,
    2,
  )}\n`;

const cursor = (url: string, model: string) => `Override OpenAI base URL   ${url}
Model                      ${model}
`;
