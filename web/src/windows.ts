// windows.ts: what was allocated between two edges and is alive at the second, and what was alive at each edge, from the cells.
//
// Decides: a window is intervals `from` to `to`, both in it: allocated after the edge before `from`, alive at the edge that ends `to`.
// It is `memtap table --between` of the same times, to the byte. Pure.

import type { Amounts, Block, Edges } from "./data";

export interface Window {
  from: number;
  to: number;
}

// Estimates are kept in fractions, and are rounded a row.
function round(units: number, edges: Edges): number {
  const scale = 2 ** edges.scale_bits;
  return scale === 1 ? units : Math.floor((units + scale / 2) / scale);
}

export function amountsOf(block: Block, window: Window): Amounts {
  const edges = block.edges as Edges;
  const { row, born, after, bytes, count } = edges.cells;
  const rows = block.rows.node.length;
  const amounts = { bytes: new Array<number>(rows).fill(0), count: new Array<number>(rows).fill(0) };
  for (let i = 0; i < row.length; i++) {
    const begun = born[i] as number;
    if (begun < window.from || begun + (after[i] as number) > window.to) continue;
    const to = row[i] as number;
    amounts.bytes[to] = (amounts.bytes[to] as number) + (bytes[i] as number);
    amounts.count[to] = (amounts.count[to] as number) + (count[i] as number);
  }
  return { bytes: amounts.bytes.map((u) => round(u, edges)), count: amounts.count.map((u) => round(u, edges)), ...variancesOf(block, window, false) };
}

// How sure it is, of what is estimated. Of a change: what was born in the window, and what was born before and went in it; what stayed is not in
// the difference.
function variancesOf(block: Block, window: Window, ofChange: boolean): Pick<Amounts, "bytes_variance"> {
  const { row, born, after, bytes_variance } = (block.edges as Edges).cells;
  if (!bytes_variance) return {};
  const sums = new Array<number>(block.rows.node.length).fill(0);
  for (let i = 0; i < row.length; i++) {
    const at = (born[i] as number) + (after[i] as number);
    const inWindow = (born[i] as number) >= window.from;
    if (at > window.to || at < window.from || (!inWindow && !ofChange)) continue;
    const to = row[i] as number;
    sums[to] = (sums[to] as number) + (bytes_variance[i] as number) * (inWindow ? 1 : -1);
  }
  return { bytes_variance: sums.map((sum) => Math.max(sum, 0)) };
}

// What is alive at the end of the window more than at its beginning, and what was alive then.
export function changeOf(block: Block, window: Window): { change: Amounts; before: Amounts } {
  const before = amountsOf(block, { from: 0, to: window.from - 1 });
  const after = amountsOf(block, { from: 0, to: window.to });
  const less = (column: "bytes" | "count") => after[column].map((amount, i) => amount - (before[column][i] as number));
  return { change: { bytes: less("bytes"), count: less("count"), ...variancesOf(block, window, true) }, before };
}

// Seconds: from where on, and until when.
export function timesOf(edges: Edges, window: Window): [number, number] {
  const start = window.from === 0 ? 0 : (edges.time_ns[window.from - 1] as number);
  return [start / 1e9, (edges.time_ns[window.to] as number) / 1e9];
}

// The same as memtap table takes it: an edge itself belongs to the interval before it.
export function between(edges: Edges, window: Window): string {
  const start = window.from === 0 ? 0 : (edges.time_ns[window.from - 1] as number) + 1;
  return `--between ${start}ns,${edges.time_ns[window.to]}ns`;
}

// The same for memtap diff, of a file and itself.
export function instants(edges: Edges, window: Window): string {
  const start = window.from === 0 ? 0 : edges.time_ns[window.from - 1];
  return `FILE@${start}ns FILE@${edges.time_ns[window.to]}ns`;
}

// The interval that a moment lies in. A window from it, or to it, has the whole of it: what happened before the first moment of two, or behind the
// second, may be in it too, but nothing between them is left out.
export function intervalAt(edges: Edges, seconds: number): number {
  const behind = edges.time_ns.findIndex((time) => time / 1e9 >= seconds);
  return behind < 0 ? edges.time_ns.length - 1 : behind;
}

// Which intervals a stretch of time is nearest to; at least one.
export function nearest(edges: Edges, start: number, end: number): Window {
  const last = edges.time_ns.length - 1;
  const step = (edges.time_ns[last] as number) / 1e9 / (last + 1);
  const from = Math.min(Math.max(Math.round(start / step), 0), last);
  const to = Math.min(Math.max(Math.round(end / step) - 1, from), last);
  return { from, to };
}

// What is alive of each line at each edge.
export class LiveLines {
  private readonly cellsOf = new Map<number, number[]>();

  constructor(private readonly block: Block) {
    const cells = block.edges?.cells;
    for (let i = 0; cells && i < cells.row.length; i++) {
      const line = block.rows.line[cells.row[i] as number] as number;
      const list = this.cellsOf.get(line);
      if (list) list.push(i);
      else this.cellsOf.set(line, [i]);
    }
  }

  // null: not known
  of(line: number): Float64Array | null {
    const edges = this.block.edges;
    if (!edges) return null;
    const live = new Float64Array(edges.time_ns.length);
    for (const i of this.cellsOf.get(line) ?? []) {
      const at = (edges.cells.born[i] as number) + (edges.cells.after[i] as number);
      live[at] = (live[at] as number) + (edges.cells.bytes[i] as number);
    }
    const scale = 2 ** edges.scale_bits;
    let sum = 0;
    return live.map((change) => (sum += change) / scale);
  }
}
