/** Formulas as models write them → the one form that the Markdown reader knows: `$$…$$`. PURE. */

/** Code keeps its dollars; the others are formulas in the order of their marks' length. */
const PIECES = new RegExp(
  [
    /(?<code>`{3,}[\s\S]*?(?:`{3,}|$)|`[^`\n]*`)/,
    /\\\[(?<bracket>[\s\S]+?)\\\]/,
    /(?<=^|\n)[ \t]*\$\$(?<block>[\s\S]+?)\$\$[ \t]*(?=\n|$)/,
    /\$\$[^\n]+?\$\$/,
    /\\\((?<inline>[^\n]+?)\\\)/,
    /(?<![\\$\w])\$(?<dollar>[^\s$](?:[^$\n]*[^\s$\\])?)\$(?![\d\w$])/,
  ]
    .map((each) => each.source)
    .join("|"),
  "g",
);

export function hasMath(text: string): boolean {
  return toMath(text).includes("$$");
}

/** A single dollar opens a formula where no space follows it, and closes one where no digit does: "$5 and $10" is money. */
export function toMath(text: string): string {
  return text.replace(PIECES, (whole, ...rest) => {
    const { bracket, block, inline, dollar } = rest.at(-1) as Record<string, string | undefined>;
    const display = bracket ?? block;
    if (display !== undefined) return `\n$$\n${display.trim()}\n$$\n`;
    const formula = inline ?? dollar;
    return formula === undefined ? whole : `$$${formula.trim()}$$`;
  });
}
