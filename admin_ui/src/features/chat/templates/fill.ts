/** Templates: prompts with `{{variables}}`. PURE. */

const VARIABLE = /\{\{\s*([^{}\n]{1,60}?)\s*\}\}/g;

/** The names of the variables, each once, in the order in which they come. */
export function variablesOf(text: string): string[] {
  return [...new Set([...text.matchAll(VARIABLE)].map(([, name = ""]) => name))];
}

/** The prompt with what was filled in; a variable without a value stays as it is. */
export function fill(text: string, values: Record<string, string>): string {
  return text.replace(VARIABLE, (whole, name: string) => (Object.hasOwn(values, name) && values[name]?.trim() ? values[name] : whole));
}

export function matches(template: { title: string; text: string }, words: string): boolean {
  const wanted = words.trim().toLowerCase();
  return `${template.title}\n${template.text}`.toLowerCase().includes(wanted);
}
