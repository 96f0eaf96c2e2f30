import type { Words } from "./en";
import type * as en from "./enCluster";

/** 简体中文：副本与日志、主机、密钥用量。 */
export const replica: Words<typeof en.replica> = {
  cordon: "停止接收",
  uncordon: "恢复接收",
  restart: "重启",
  restartAsk: "重启 {{name}} 的这个副本？它会先完成手头的请求，然后由新副本代替。",
  log: "日志",
  cordonedNote: "已停止接收新请求",
  load: "{{running}}/{{max}}",
  kvOf: "{{tokens}} 的 {{percent}}%",
  past: "近一小时运行数",
  pastSays: "近一小时运行中的请求：当前 {{now}}，最高 {{most}}",
  gone: "它已不在。",
};

export const log: Words<typeof en.log> = {
  title: "{{name}} 的日志",
  search: "在日志中搜索",
  stream: "输出流",
  both: "全部",
  out: "标准输出",
  err: "标准错误",
  pause: "暂停",
  resume: "继续",
  paused: "已暂停，{{n}} 行新内容",
  copy: "复制显示的内容",
  lines: "{{shown}}/{{all}} 行",
  empty: "还没有写入任何内容。",
  noMatch: "没有包含“{{text}}”的行。",
  ended: "副本已不在，这是它最后写下的内容。",
  lost: "暂时无法读取日志，正在重试…",
  notFound: "没有这个副本。失败副本的日志保留一小时。",
};

export const alias: Words<typeof en.alias> = {
  title: "别名",
  none: "暂无。别名是某个部署的另一个公开名称，也可由多个部署分担其会话。",
  add: "添加别名",
  newTitle: "添加别名",
  change: "更改",
  changeTitle: "别名 {{name}}",
  nameHelp: "客户端在 “model” 中填写的名称，与部署名称并列。",
  targets: "指向",
  targetsHelp: "会话始终由最初的部署应答。",
  target: "目标 {{n}}",
  addTarget: "添加目标",
  remove: "移除目标 {{n}}",
  share: "{{percent}}% 的会话",
  modelInvalid: "请选择部署。",
  twiceInvalid: "上面已有此部署。",
  weightInvalid: "须大于 0。",
  deleteAsk: "删除别名 {{name}}？使用它的客户端将被拒绝。",
};

export const host: Words<typeof en.host> = {
  use: "{{percent}}%",
  memoryOf: "{{used}} / {{all}}",
  slices: "切片",
  weights: "{{n}} 个版本 · {{used}}",
  weightsOf: "{{n}} 个版本 · {{used}} / {{limit}}",
  library: "模型库本身",
  diskFree: "剩余 {{free}}",
  driver: "驱动 {{version}}",
  gpusOf: "{{name}} 的 GPU",
  none: "无 GPU",
  cordon: "停止放置",
  uncordon: "恢复放置",
  cordonedNote: "不再在此启动新副本",
  drain: "腾空",
  drainAsk: "腾空 {{name}}？其上的副本先移往别处；别处没有空间的副本仍会结束。",
  drainedNote: "正在腾空：副本移往别处，不再在此启动新副本",
  unknownUse: "未上报使用率",
  col: { weights: "磁盘上的权重", disk: "磁盘" },
};

export const keyUse: Words<typeof en.keyUse> = {
  never: "从未",
  col: { lastUsed: "最近使用", requests: "请求", tokens: "输入 · 输出词元" },
};
