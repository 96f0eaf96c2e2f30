/** Address of a model's page. PURE. */
export const modelPath = (name: string) => `/admin/models/${encodeURIComponent(name)}`;
