/** Cuts Markdown into blocks that can be read one by one, so that only the last is read again while it grows. PURE. */

export type Block =
  | { kind: "prose"; text: string }
  /** `open`: its closing fence has not come yet. */
  | { kind: "code"; text: string; language: string; open: boolean };

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const MATH_OPENS = /^\s*(\$\$|\\\[)/;
/** Reference links and footnotes work across blocks, so a text with any stays in one piece. */
const DEFINITION = /^ {0,3}\[[^\]]+\]:/m;

/**
 * Blocks are cut at empty lines before a line that is not indented, and around fences that are not inside a list. The
 * texts of all blocks together are the text, less fences and the empty lines between blocks.
 */
export function splitBlocks(text: string): Block[] {
  if (DEFINITION.test(text)) return [{ kind: "prose", text }];
  const blocks: Block[] = [];
  let prose: string[] = [];
  let code: { lines: string[]; fence: string; language: string } | null = null;
  let inner: string | null = null;
  const endProse = () => {
    const joined = prose.join("\n").replace(/\n+$/, "");
    if (joined.trim()) blocks.push({ kind: "prose", text: joined });
    prose = [];
  };
  for (const line of text.split("\n")) {
    const fence = FENCE.exec(line);
    if (code) {
      if (closes(line, code.fence)) {
        blocks.push({ kind: "code", text: code.lines.join("\n"), language: code.language, open: false });
        code = null;
      } else code.lines.push(line);
      continue;
    }
    // Fences and formulas inside a block of prose keep their empty lines.
    if (inner !== null) {
      prose.push(line);
      if (inner === "$$" || inner === "\\[" ? endsMath(line, inner) : closes(line.trimStart(), inner)) inner = null;
      continue;
    }
    if (fence?.[1] && !(line.startsWith(" ") && prose.some(isListItem))) {
      endProse();
      code = { lines: [], fence: fence[1], language: fence[2] ?? "" };
      continue;
    }
    const nested = FENCE.exec(line.trimStart());
    if (prose.at(-1) === "" && line.trim() && !/^\s/.test(line)) endProse();
    inner = nested?.[1] ?? mathLeftOpen(line);
    prose.push(line);
  }
  endProse();
  if (code) blocks.push({ kind: "code", text: code.lines.join("\n"), language: code.language, open: true });
  return blocks;
}

function closes(line: string, fence: string): boolean {
  const mark = line.trim();
  return mark.length >= fence.length && mark === fence.charAt(0).repeat(mark.length);
}

function isListItem(line: string): boolean {
  return /^\s{0,3}([-*+]|\d{1,9}[.)])\s/.test(line);
}

/** The opening mark of a formula that goes on in the next line. */
function mathLeftOpen(line: string): string | null {
  const mark = MATH_OPENS.exec(line)?.[1];
  if (mark === undefined) return null;
  const rest = line.slice(line.indexOf(mark) + mark.length);
  return endsMath(rest, mark) ? null : mark;
}

function endsMath(line: string, mark: string): boolean {
  return line.includes(mark === "$$" ? "$$" : "\\]");
}
