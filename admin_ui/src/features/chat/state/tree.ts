/** Messages as a tree: those with the same parent are branches, and `leaf` ends the one that is shown. PURE. */
import type { Message } from "@/api/types";

export interface Tree {
  messages: Message[];
  leaf: string | null;
}

/** From the first message to the leaf. */
export function branchOf({ messages, leaf }: Tree): Message[] {
  const byId = new Map(messages.map((each) => [each.id, each]));
  const branch: Message[] = [];
  for (let at = leaf === null ? undefined : byId.get(leaf); at; at = at.parent === null ? undefined : byId.get(at.parent)) {
    branch.push(at);
  }
  return branch.reverse();
}

/**
 * The alternatives to a message, in the order in which they were made, itself among them. Each is a round: answers
 * that were asked for at the same moment, of models side by side, are one.
 */
export function roundsOf(messages: Message[], message: Message): Message[][] {
  const rounds = new Map<number, Message[]>();
  for (const each of messages) {
    if (each.parent !== message.parent || each.role !== message.role) continue;
    rounds.set(each.created_at, [...(rounds.get(each.created_at) ?? []), each]);
  }
  return [...rounds.values()];
}

/** A message of a branch, and where it stands among its alternatives. */
export interface Turn {
  message: Message;
  /** Answers that were asked for at the same moment, itself among them. */
  round: Message[];
  /** Of the rounds, from 0. */
  at: number;
  of: number;
}

export function turnsOf(messages: Message[], branch: Message[]): Turn[] {
  const siblings = new Map<string | null, Message[]>();
  for (const each of messages) siblings.set(each.parent, [...(siblings.get(each.parent) ?? []), each]);
  return branch.map((message) => {
    const rounds = roundsOf(siblings.get(message.parent) ?? [], message);
    const at = rounds.findIndex((round) => round.includes(message));
    return { message, round: rounds[at] ?? [message], at, of: rounds.length };
  });
}

/** `now`, with the objects of `before` where nothing changed: what shows those need not be drawn again. */
export function keepSame(before: Turn[], now: Turn[]): Turn[] {
  return now.map((turn, index) => {
    const old = before[index];
    return old && isSame(old, turn) ? old : turn;
  });
}

function isSame(old: Turn, turn: Turn): boolean {
  const sameRound = old.round.length === turn.round.length && old.round.every((each, index) => each === turn.round[index]);
  return old.message === turn.message && old.at === turn.at && old.of === turn.of && sameRound;
}

/** Where a branch through `id` ends: the newest child of each message. */
export function deepest(messages: Message[], id: string): string {
  const newest = new Map(messages.map((each) => [each.parent, each.id]));
  let at = id;
  for (let next = newest.get(at); next !== undefined; next = newest.get(at)) at = next;
  return at;
}

export function changeMessage(messages: Message[], id: string, change: (old: Message) => Message): Message[] {
  return messages.map((each) => (each.id === id ? change(each) : each));
}

/** What two pages made of the same chat: every message of both. Of two versions of one, the finished; else ours. */
export function merge(ours: Message[], theirs: Message[]): Message[] {
  const mine = new Map(ours.map((each) => [each.id, each]));
  const known = new Set(theirs.map((each) => each.id));
  const both = theirs.map((each) => {
    const own = mine.get(each.id);
    return own && (own.finish !== "" || each.finish === "") ? own : each;
  });
  // Parents stay before their children: a message of ours never has one of theirs that we did not know.
  return [...both, ...ours.filter((each) => !known.has(each.id))];
}
