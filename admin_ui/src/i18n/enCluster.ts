/** English, of replicas and their logs, hosts and the use of keys. */
export const replica = {
  cordon: "Cordon",
  uncordon: "Uncordon",
  restart: "Restart",
  restartAsk: "Restart this replica of {{name}}? It finishes what it has; a new one starts in its place.",
  log: "Log",
  cordonedNote: "cordoned: gets nothing new",
  load: "{{running}} of {{max}}",
  kvOf: "{{percent}} % of {{tokens}}",
  past: "Running, last hour",
  pastSays: "Running requests of the last hour: now {{now}}, at most {{most}}",
  gone: "It is gone.",
};

export const log = {
  title: "Log of {{name}}",
  search: "Search in the log",
  stream: "Stream",
  both: "Both",
  out: "stdout",
  err: "stderr",
  pause: "Pause",
  resume: "Go on",
  paused: "Paused; {{n}} new lines",
  copy: "Copy what is shown",
  lines: "{{shown}} of {{all}} lines",
  empty: "Nothing is written yet.",
  noMatch: "No line has “{{text}}”.",
  ended: "The replica is gone; this is what it wrote last.",
  lost: "The log cannot be read now; trying again…",
  notFound: "There is no such replica. Logs of one that failed are kept for an hour.",
};

export const alias = {
  title: "Aliases",
  none: "None. An alias is another public name for a deployment, or for several that share its sessions.",
  add: "Add alias",
  newTitle: "Add an alias",
  change: "Change",
  changeTitle: "Alias {{name}}",
  nameHelp: "What clients put in “model”, beside the names of deployments.",
  targets: "Stands for",
  targetsHelp: "A session stays with the deployment that it began with.",
  target: "Target {{n}}",
  addTarget: "Add a target",
  remove: "Remove target {{n}}",
  share: "{{percent}} % of the sessions",
  modelInvalid: "Choose a deployment.",
  twiceInvalid: "It is named above already.",
  weightInvalid: "Above 0.",
  deleteAsk: "Delete the alias {{name}}? Clients that ask for it are refused.",
};

export const host = {
  use: "{{percent}} %",
  memoryOf: "{{used}} of {{all}}",
  slices: "Slices",
  weights: "{{n}} revisions · {{used}}",
  weightsOf: "{{n}} revisions · {{used}} of {{limit}}",
  library: "the library itself",
  diskFree: "{{free}} free",
  driver: "driver {{version}}",
  gpusOf: "GPUs of {{name}}",
  none: "no GPU",
  cordon: "Cordon",
  uncordon: "Uncordon",
  cordonedNote: "cordoned: no new replica starts here",
  drain: "Drain",
  drainAsk: "Drain {{name}}? Its replicas move elsewhere first; those for which no other host has room end all the same.",
  drainedNote: "drained: its replicas move elsewhere, and none starts here",
  unknownUse: "use not told",
  col: { weights: "Weights on disk", disk: "Disk" },
};

export const keyUse = {
  never: "never",
  col: { lastUsed: "Last used", requests: "Requests", tokens: "Tokens in · out" },
};
