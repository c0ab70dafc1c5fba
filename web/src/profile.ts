// profile.ts: sums of rows: what is chosen, as a tree and as lines.
//
// Decides: a choice is a measure and who allocated; every number of a view is a sum over the rows of the choice. Trees are arrays
// with parents before children; siblings are linked largest first. No DOM here.

import { type Amounts, type Block, Code, type Measure } from "./data";
import { ci95 } from "./format";
import { amountsOf, changeOf, type Window } from "./windows";

export type MeasureName = Measure | "window" | "change";

export interface Choice {
  measure: MeasureName;
  window: Window; // for "window" and "change"
  thread: number; // -1: all
  process: number; // -1: all
  allocator: number; // -1: all
  nodes: Uint8Array | null; // 1: rows of this node count; null: all
}

// Of each row; zero where the row is not chosen.
export interface Chosen {
  bytes: Float64Array;
  count: Float64Array;
  variance: Float64Array | null;
  sum: { bytes: number; count: number; variance: number };
  before: { bytes: ArrayLike<number>; count: ArrayLike<number> } | null; // what they changed from
  whole: number; // what shares are of: the sum, or what there was before
}

// What rows hold, and what they held before if that is a change.
function amountsFor(block: Block, { measure, window }: Choice): { amounts: Amounts | undefined; before: Chosen["before"] } {
  if (measure === "window") return { amounts: amountsOf(block, window), before: null };
  if (measure === "change") {
    const { change, before } = changeOf(block, window);
    return { amounts: change, before };
  }
  const amounts = block.measures[measure];
  const earlier = block.earlier?.rows ?? Infinity;
  const back = (column: number[]) => column.map((amount, i) => (i >= earlier ? -amount : 0));
  return { amounts, before: amounts && block.earlier ? { bytes: back(amounts.bytes), count: back(amounts.count) } : null };
}

export function choose(block: Block, choice: Choice): Chosen {
  const { amounts, before } = amountsFor(block, choice);
  const length = block.rows.node.length;
  const chosen: Chosen = {
    bytes: new Float64Array(length),
    count: new Float64Array(length),
    variance: amounts?.bytes_variance ? new Float64Array(length) : null,
    sum: { bytes: 0, count: 0, variance: 0 },
    before,
    whole: 0,
  };
  for (let i = 0; amounts && i < length; i++) {
    const thread = block.rows.thread[i] as number;
    if (choice.thread >= 0 && thread !== choice.thread) continue;
    if (choice.process >= 0 && block.threads.process[thread] !== choice.process) continue;
    if (choice.nodes && choice.nodes[block.rows.node[i] as number] === 0) continue;
    if (choice.allocator >= 0 && block.rows.allocator[i] !== choice.allocator) continue;
    const variance = amounts.bytes_variance?.[i] ?? 0;
    chosen.bytes[i] = amounts.bytes[i] as number;
    chosen.count[i] = amounts.count[i] as number;
    if (chosen.variance) chosen.variance[i] = variance;
    chosen.sum.bytes += chosen.bytes[i] as number;
    chosen.sum.count += chosen.count[i] as number;
    chosen.sum.variance += variance;
    chosen.whole += before ? (before.bytes[i] as number) : (chosen.bytes[i] as number);
  }
  return chosen;
}

// ---- trees ---------------------------------------------------------------------------------------------------------

export class Tree {
  readonly first: Int32Array;
  readonly next: Int32Array;
  readonly width: Float64Array; // how much room a node takes: its bytes; where signs differ, the sum of what grew and what shrank in it

  // bytes and count hold what ends at a node itself; they become those of its subtree.
  constructor(
    readonly parent: Int32Array,
    readonly frame: Int32Array,
    readonly bytes: Float64Array,
    readonly count: Float64Array,
    readonly own: Float64Array,
    readonly signed = false,
  ) {
    const length = parent.length;
    this.width = signed ? bytes.map(Math.abs) : bytes;
    for (let i = length - 1; i > 0; i--) {
      const up = parent[i] as number;
      bytes[up] = (bytes[up] as number) + (bytes[i] as number);
      count[up] = (count[up] as number) + (count[i] as number);
      if (signed) this.width[up] = (this.width[up] as number) + (this.width[i] as number);
    }
    this.first = new Int32Array(length).fill(-1);
    this.next = new Int32Array(length).fill(-1);
    this.link();
  }

  private link(): void {
    const order = new Uint32Array(this.parent.length - 1);
    for (let i = 0; i < order.length; i++) order[i] = i + 1;
    const width = this.width;
    order.sort((a, b) => (width[a] as number) - (width[b] as number) || b - a);
    for (const node of order) {
      const up = this.parent[node] as number;
      this.next[node] = this.first[up] as number;
      this.first[up] = node;
    }
  }

  depth(node: number): number {
    let depth = 0;
    for (let at = node; at !== 0; at = this.parent[at] as number) depth++;
    return depth;
  }

  // From the root's child down to node.
  path(node: number): number[] {
    const path: number[] = [];
    for (let at = node; at !== 0; at = this.parent[at] as number) path.push(at);
    return path.reverse();
  }
}

function callTree(block: Block, chosen: Chosen): Tree {
  const length = block.tree.parent.length;
  const bytes = new Float64Array(length);
  const count = new Float64Array(length);
  for (let i = 0; i < chosen.bytes.length; i++) {
    const node = block.rows.node[i] as number;
    bytes[node] = (bytes[node] as number) + (chosen.bytes[i] as number);
    count[node] = (count[node] as number) + (chosen.count[i] as number);
  }
  const own = bytes.slice();
  return new Tree(Int32Array.from(block.tree.parent), Int32Array.from(block.tree.frame), bytes, count, own, chosen.before !== null);
}

// Arrays that grow, for a tree that is made as it is met.
export class Growing {
  parent = [0];
  frame = [0];
  bytes = [0];
  count = [0];
  own = [0];
  private readonly children = new Map<number, number>();

  constructor(private readonly frames: number) {}

  child(parent: number, frame: number): number {
    const key = parent * this.frames + frame;
    let node = this.children.get(key);
    if (node === undefined) {
      node = this.parent.length;
      this.children.set(key, node);
      this.parent.push(parent);
      this.frame.push(frame);
      this.bytes.push(0);
      this.count.push(0);
      this.own.push(0);
    }
    return node;
  }

  // A path from the root's child on, and what it holds.
  add(path: number[], bytes: number, count: number): void {
    const to = path.reduce((node, frame) => this.child(node, frame), 0);
    this.bytes[to] = (this.bytes[to] as number) + bytes;
    this.count[to] = (this.count[to] as number) + count;
    this.own[to] = (this.own[to] as number) + bytes;
  }

  tree(signed = false): Tree {
    return new Tree(
      Int32Array.from(this.parent),
      Int32Array.from(this.frame),
      Float64Array.from(this.bytes),
      Float64Array.from(this.count),
      Float64Array.from(this.own),
      signed,
    );
  }
}

// A stack's frames from what allocated outwards; of a stack with Python code without native ones, where these are not wanted.
function outwards(block: Block, node: number, native: boolean): number[] {
  const { parent, frame } = block.tree;
  const { code } = block.frames;
  const path: number[] = [];
  for (let at = node; at !== 0; at = parent[at] as number) path.push(frame[at] as number);
  const hides = !native && path.some((one) => code[one] === Code.Python);
  return hides ? path.filter((one) => code[one] !== Code.Native) : path;
}

export interface Shape {
  inverted: boolean; // from what allocated to who called it
  native: boolean; // with native frames in stacks of Python code
}

export function treeOf(block: Block, chosen: Chosen, shape: Shape): Tree {
  if (!shape.inverted && shape.native) return callTree(block, chosen);
  const growing = new Growing(block.frames.function.length);
  for (let i = 0; i < chosen.bytes.length; i++) {
    if (chosen.bytes[i] === 0 && chosen.count[i] === 0) continue;
    const path = outwards(block, block.rows.node[i] as number, shape.native);
    growing.add(shape.inverted ? path : path.reverse(), chosen.bytes[i] as number, chosen.count[i] as number);
  }
  return growing.tree(chosen.before !== null);
}

// Is native code called by Python code anywhere?
export function hasNativeInPython(block: Block): boolean {
  const { parent, frame } = block.tree;
  const { code } = block.frames;
  const inPython = new Uint8Array(parent.length);
  for (let i = 1; i < parent.length; i++) {
    const up = inPython[parent[i] as number] as number;
    const one = code[frame[i] as number];
    if (up && one === Code.Native) return true;
    inPython[i] = up | (one === Code.Python ? 1 : 0);
  }
  return false;
}

// ---- lines ---------------------------------------------------------------------------------------------------------

export interface Line {
  line: number;
  frame: number;
  import: boolean;
  suspect: boolean;
  score: number; // how sure it is that the next block is not freed either; NaN: not known
  bytes: number;
  count: number;
  variance: number;
  before: { bytes: number; count: number }; // of a difference
  growth: number; // bytes a second; NaN: not known
  moved: number; // reallocs
  alive: { bytes: number; count: number; variance: number }; // at the end, whatever is chosen
  age: number; // seconds; NaN: nothing is alive, or not known
  by: string[];
}

interface Gathered extends Line {
  names: Map<number, number>;
}

// What is alive of each place, whatever is chosen: age and growth are of that.
function addLife(block: Block, row: number, to: Gathered): void {
  const live = block.measures.live;
  const oldest = block.rows.oldest_ns[row] as number;
  if (!live || block.stats.mode === "aggregate") return;
  to.growth = (Number.isNaN(to.growth) ? 0 : to.growth) + (block.rows.growth[row] as number);
  to.moved += block.rows.moved[row] as number;
  to.alive.bytes += live.bytes[row] as number;
  to.alive.count += live.count[row] as number;
  to.alive.variance += live.bytes_variance?.[row] ?? 0;
  if ((live.count[row] as number) === 0) return;
  const process = block.threads.process[block.rows.thread[row] as number] as number;
  const age = oldest < 0 ? NaN : Math.max((block.processes.end_ns[process] as number) - oldest, 0) / 1e9;
  to.age = Number.isNaN(to.age) ? age : Math.max(to.age, age);
}

function namesOf(block: Block, gathered: Gathered): string[] {
  const least = Math.abs(gathered.bytes) / 100;
  return [...gathered.names]
    .filter(([name, bytes]) => name !== 0 && Math.abs(bytes) >= least)
    .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]))
    .map(([name]) => block.strings[name] as string);
}

function newLine(block: Block, line: number): Gathered {
  return {
    line,
    frame: block.lines.frame[line] as number,
    import: block.lines.import[line] === 1,
    suspect: block.lines.suspect[line] === 1,
    score: block.sampled ? NaN : block.lines.score[line] || NaN,
    bytes: 0,
    count: 0,
    variance: 0,
    before: { bytes: 0, count: 0 },
    growth: NaN,
    moved: 0,
    alive: { bytes: 0, count: 0, variance: 0 },
    age: NaN,
    by: [],
    names: new Map(),
  };
}

// Holds nothing, and held nothing.
function isNothing(chosen: Chosen, row: number): boolean {
  return chosen.bytes[row] === 0 && chosen.count[row] === 0 && !chosen.before?.count[row];
}

// Largest first; of a difference, what changed most.
export function linesOf(block: Block, chosen: Chosen): Line[] {
  const lines = new Map<number, Gathered>();
  for (let i = 0; i < chosen.bytes.length; i++) {
    if (isNothing(chosen, i)) continue;
    const number = block.rows.line[i] as number;
    const line = lines.get(number) ?? newLine(block, number);
    const by = block.rows.by[i] as number;
    lines.set(number, line);
    line.bytes += chosen.bytes[i] as number;
    line.count += chosen.count[i] as number;
    line.variance += chosen.variance?.[i] ?? 0;
    line.before.bytes += chosen.before?.bytes[i] ?? 0;
    line.before.count += chosen.before?.count[i] ?? 0;
    line.names.set(by, (line.names.get(by) ?? 0) + (chosen.bytes[i] as number));
  }
  for (let i = 0; i < chosen.bytes.length; i++) {
    const line = lines.get(block.rows.line[i] as number); // also by rows that hold nothing of what is chosen
    if (line) addLife(block, i, line);
  }
  for (const line of lines.values()) line.by = namesOf(block, line);
  const changed = [...lines.values()].filter((line) => line.bytes !== 0 || line.count !== 0);
  return changed.sort((a, b) => Math.abs(b.bytes) - Math.abs(a.bytes) || b.count - a.count || a.line - b.line);
}

// Steady is what changed over the run by less than a twentieth of what is held, or than its own uncertainty; and one block that is not made
// larger again and again.
const STEPS = 16; // MT_LEAK_STEPS of src/analysis/leaks.h

export function isSteady(line: Line, seconds: number): boolean {
  const one = line.alive.count <= 1 && line.moved < STEPS;
  return one || Math.abs(line.growth * seconds) <= Math.max(line.alive.bytes / 20, ci95(line.alive.variance));
}
