/** Does what mends a problem. What comes of it, the events tell. */
import { api, expectData } from "@/api/client";
import type { FixView } from "@/api/types";

export async function mend({ remedy, name, replicas }: FixView): Promise<void> {
  const path = { name };
  if (remedy === "retry") expectData(await api.POST("/api/v1/deployments/{name}/retry", { params: { path } }));
  if (remedy === "uncordon")
    expectData(await api.POST("/api/v1/replicas/{replica_id}/uncordon", { params: { path: { replica_id: name } } }));
  if (remedy === "scale")
    expectData(
      await api.POST("/api/v1/deployments/{name}/scale", { params: { path }, body: { replicas: replicas ?? 1, auto: false } }),
    );
}
