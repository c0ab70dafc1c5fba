// difference.ts: two recordings as one block whose amounts are what changed: rows of the later one, and behind them those of the earlier one,
// taken away. So every sum of rows is a difference, to the byte. Pure.
//
// Decides: a line of the one is a line of the other by function and place, as `memtap diff` has it (src/analysis/diff.h): what is left over is
// looked at again with less, as the line may have moved and the folder be another one, and is joined only where there are as many on both sides.
// Frames of a stack are joined function by function, with the shift of lines that fits most of them: one line more at the top of a file changes
// no stack.

import type { Amounts, Block, Measure } from "./data";

type Key = (block: Block, frame: number) => string;

function textOf(block: Block, column: number[], frame: number): string {
  return block.strings[column[frame] as number] ?? "";
}

const functionOf: Key = (block, frame) => textOf(block, block.frames.function, frame);
const pathOf: Key = (block, frame) => textOf(block, block.frames.path, frame);
const nameOf: Key = (block, frame) => pathOf(block, frame).replace(/^.*\//, "");
const lineOf = (block: Block, frame: number): number => block.frames.line[frame] as number;

const PASSES: Key[] = [
  (b, f) => `${functionOf(b, f)}\n${pathOf(b, f)}\n${lineOf(b, f)}`,
  (b, f) => `${functionOf(b, f)}\n${pathOf(b, f)}`,
  (b, f) => `${functionOf(b, f)}\n${nameOf(b, f)}\n${lineOf(b, f)}`,
  (b, f) => `${functionOf(b, f)}\n${nameOf(b, f)}`,
];
const MOST_VOTES = 250_000;
const FUNCTIONS = [PASSES[1], PASSES[3]] as Key[];

function groups(block: Block, frames: number[], key: Key): Map<string, number[]> {
  const found = new Map<string, number[]>();
  for (const frame of frames) {
    const name = key(block, frame);
    const list = found.get(name);
    if (list) list.push(frame);
    else found.set(name, [frame]);
  }
  for (const list of found.values()) list.sort((a, b) => lineOf(block, a) - lineOf(block, b) || a - b);
  return found;
}

class Joining {
  constructor(readonly before: Block, readonly after: Block, readonly match: Int32Array, public left: number[], public others: number[]) {}

  // Groups that a key makes of both sides, to be joined by join, which says who belongs to whom.
  pass(key: Key, join: (mine: number[], theirs: number[]) => [number, number][]): void {
    const others = groups(this.after, this.others, key);
    const taken = new Set<number>();
    for (const [name, mine] of groups(this.before, this.left, key)) {
      for (const [one, other] of join(mine, others.get(name) ?? [])) {
        this.match[one] = other;
        taken.add(other);
      }
    }
    this.left = this.left.filter((frame) => this.match[frame] === -1);
    this.others = this.others.filter((frame) => !taken.has(frame));
  }
}

function inOrder(mine: number[], theirs: number[]): [number, number][] {
  return mine.length === theirs.length ? mine.map((frame, i) => [frame, theirs[i] as number]) : [];
}

// Frames of lines, of each in before: that in after; -1: there is none.
function matchLines(before: Block, after: Block): Int32Array {
  const match = new Int32Array(before.frames.function.length).fill(-1);
  const joining = new Joining(before, after, match, [...new Set(before.lines.frame)], [...new Set(after.lines.frame)]);
  for (const key of PASSES) joining.pass(key, inOrder);
  return match;
}

// By how many lines a function has moved, as far as most of its lines say; as little as possible.
function shiftOf(mine: number[], theirs: number[]): number {
  if (mine.length * theirs.length > MOST_VOTES) return 0;
  const votes = new Map<number, number>();
  for (const a of mine) for (const b of theirs) votes.set(b - a, (votes.get(b - a) ?? 0) + 1);
  let best = 0;
  for (const [shift, count] of votes) {
    const most = votes.get(best) ?? 0;
    if (count > most || (count === most && Math.abs(shift) < Math.abs(best))) best = shift;
  }
  return best;
}

export function matchFrames(before: Block, after: Block): Int32Array {
  const all = (block: Block) => Array.from(block.frames.function.keys()).slice(1);
  const match = new Int32Array(before.frames.function.length).fill(-1);
  match[0] = 0;
  const joining = new Joining(before, after, match, all(before), all(after));
  const shifted = (mine: number[], theirs: number[]): [number, number][] => {
    const shift = shiftOf(mine.map((frame) => lineOf(before, frame)), theirs.map((frame) => lineOf(after, frame)));
    const at = new Map(theirs.map((frame) => [lineOf(after, frame), frame]));
    return mine.flatMap((frame) => {
      const other = at.get(lineOf(before, frame) + shift);
      return other === undefined ? [] : [[frame, other]];
    });
  };
  for (const key of FUNCTIONS) {
    joining.pass(key, shifted);
    joining.pass(key, inOrder);
  }
  return match;
}

const COLUMNS = ["function", "path", "place", "line", "role", "code"] as const;

// Adds what only before has; returns where each frame of it is now.
function addFrames(to: Block, before: Block, strings: number): Int32Array {
  const at = matchFrames(before, to);
  for (let frame = 0; frame < at.length; frame++) {
    if (at[frame] !== -1) continue;
    at[frame] = to.frames.function.length;
    for (const column of COLUMNS) {
      const isText = column === "function" || column === "path" || column === "place";
      to.frames[column].push((before.frames[column][frame] as number) + (isText ? strings : 0));
    }
  }
  return at;
}

function addTree(to: Block, before: Block, frames: Int32Array): Int32Array {
  const key = (parent: number, frame: number) => parent * to.frames.function.length + frame;
  const known = new Map(to.tree.parent.map((parent, i) => [i === 0 ? -1 : key(parent, to.tree.frame[i] as number), i]));
  const at = new Int32Array(before.tree.parent.length);
  for (let i = 1; i < at.length; i++) {
    const up = at[before.tree.parent[i] as number] as number;
    const frame = frames[before.tree.frame[i] as number] as number;
    let node = known.get(key(up, frame));
    if (node === undefined) {
      node = to.tree.parent.push(up) - 1;
      to.tree.frame.push(frame);
      known.set(key(up, frame), node);
    }
    at[i] = node;
  }
  return at;
}

function addLines(to: Block, before: Block, frames: Int32Array): Int32Array {
  const key = (frame: number, imported: number) => `${frame} ${imported}`;
  const match = matchLines(before, to);
  const known = new Map(to.lines.frame.map((frame, i) => [key(frame, to.lines.import[i] as number), i]));
  return Int32Array.from(before.lines.frame, (old, i) => {
    const frame = frames[old] as number;
    const imported = before.lines.import[i] as number;
    const line = known.get(key(match[old] as number, imported));
    if (line !== undefined) return line;
    to.lines.suspect.push(0);
    to.lines.score.push(0);
    to.lines.import.push(imported);
    return to.lines.frame.push(frame) - 1;
  });
}

function addRows(to: Block, before: Block, nodes: Int32Array, lines: Int32Array, strings: number): void {
  const { rows } = before;
  const threads = to.threads.tid.length;
  for (let i = 0; i < rows.node.length; i++) {
    to.rows.node.push(nodes[rows.node[i] as number] as number);
    to.rows.line.push(lines[rows.line[i] as number] as number);
    to.rows.thread.push((rows.thread[i] as number) + threads);
    to.rows.by.push((rows.by[i] as number) > 0 ? (rows.by[i] as number) + strings : 0);
    to.rows.allocator.push(rows.allocator[i] as number);
    to.rows.oldest_ns.push(-1);
    to.rows.growth.push(0);
    to.rows.moved.push(0);
  }
}

// Not push(...more), whose arguments have a bound.
function append<T>(to: T[], more: readonly T[]): void {
  for (const one of more) to.push(one);
}

function addThreads(to: Block, before: Block, strings: number): void {
  const processes = to.processes.pid.length;
  append(to.threads.process, before.threads.process.map((process) => process + processes));
  append(to.threads.tid, before.threads.tid);
  append(to.threads.name, before.threads.name.map((name) => name + strings));
  append(to.processes.pid, before.processes.pid);
  append(to.processes.program, before.processes.program.map((program) => program + strings));
  append(to.processes.end_ns, before.processes.end_ns);
}

function minus(after: Amounts, before: Amounts): Amounts {
  const zeros = (of: Amounts): number[] => new Array<number>(of.bytes.length).fill(0);
  const sampled = after.bytes_variance ?? before.bytes_variance;
  return {
    bytes: [...after.bytes, ...before.bytes.map((bytes) => -bytes)],
    count: [...after.count, ...before.count.map((count) => -count)],
    ...(sampled && {
      bytes_variance: [...(after.bytes_variance ?? zeros(after)), ...(before.bytes_variance ?? zeros(before))],
      count_variance: [...(after.count_variance ?? zeros(after)), ...(before.count_variance ?? zeros(before))],
    }),
  };
}

// after becomes the difference; it belongs to nobody else from now on.
export function difference(before: Block, after: Block): Block {
  const strings = after.strings.length;
  const rows = after.rows.node.length;
  const frames = addFrames(after, before, strings);
  const nodes = addTree(after, before, frames);
  const lines = addLines(after, before, frames);
  addRows(after, before, nodes, lines, strings);
  addThreads(after, before, strings);
  append(after.strings, before.strings);
  for (const name of Object.keys(after.measures) as Measure[]) {
    const earlier = before.measures[name];
    if (earlier) after.measures[name] = minus(after.measures[name] as Amounts, earlier);
    else delete after.measures[name];
  }
  const { program, stats, smallest_share } = before;
  return { ...after, edges: null, sampled: after.sampled || before.sampled, earlier: { rows, program, stats, smallest_share } };
}
