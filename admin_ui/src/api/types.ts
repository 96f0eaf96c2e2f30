/** Names for what the generated client calls `components["schemas"][…]`. */
import type { components } from "./generated/schema";

type Schemas = components["schemas"];

export type ModelView = Schemas["ModelView"];
export type RevisionView = Schemas["RevisionView"];
export type ModelImport = Schemas["ModelImport"];
export type ModelChange = Schemas["ModelChange"];
export type FitView = Schemas["FitView"];
export type UploadBody = Schemas["UploadBody"];
export type UploadView = Schemas["UploadView"];
export type UploadFileView = Schemas["UploadFileView"];
export type UploadSummary = Schemas["UploadSummary"];
export type SwapView = Schemas["SwapView"];
export type SwapBody = Schemas["SwapBody"];
export type ProgressView = Schemas["ProgressView"];
export type DeploymentView = Schemas["DeploymentView"];
export type DeploymentBody = Schemas["DeploymentBody"];
export type ReplicaView = Schemas["ReplicaView"];
export type NodeView = Schemas["NodeView"];
export type KeyCreate = Schemas["KeyCreate"];
export type KeyView = Schemas["KeyView"];
export type KeyCreated = Schemas["KeyCreated"];
export type SessionView = Schemas["SessionView"];
export type CatalogView = Schemas["CatalogView"];
export type SystemView = Schemas["SystemView"];
export type JoinView = Schemas["JoinView"];
