// data.ts: what the page is given, and how it is read.
//
// Decides: the names of docs/formats/report.md in TypeScript. A Source hands out a Block; the report's Source reads it from the page
// itself, that of `memtap serve` asks the server (server.ts). Views never see where a block comes from.

export interface Frames {
  function: number[]; // string, as it is shown
  path: number[]; // string: the file or the binary, whole
  place: number[]; // string: the shortest form that is unique in the report
  line: number[]; // 0: not known
  role: number[];
  code: number[]; // what language: enum Code
}

export interface Rows {
  node: number[];
  thread: number[];
  allocator: number[];
  line: number[];
  by: number[]; // string; 0: nothing but the place is known
  oldest_ns: number[]; // of what is alive at the end; -1: nothing is, or not known
  growth: number[]; // bytes a second
  moved: number[]; // reallocs that made another block
}

export interface Amounts {
  bytes: number[];
  count: number[];
  bytes_variance?: number[];
  count_variance?: number[];
}

export type Measure = "peak" | "live" | "total" | "temporary";

// What the blocks of a row that were born in one interval changed in another one (docs/formats/report.md).
export interface Edges {
  time_ns: number[];
  scale_bits: number;
  cells: { row: number[]; born: number[]; after: number[]; bytes: number[]; count: number[]; bytes_variance?: number[] };
}

export interface Block {
  format: number;
  program: string;
  sampled: boolean;
  alive: string; // when what is alive is alive: "when the program ended", "now" …
  smallest_share: number;
  stats: Stats;
  strings: string[];
  frames: Frames;
  tree: { parent: number[]; frame: number[] };
  lines: { frame: number[]; import: number[]; suspect: number[]; score: number[] };
  threads: { process: number[]; tid: number[]; name: number[] };
  processes: { pid: number[]; program: number[]; end_ns: number[] };
  allocators: string[];
  rows: Rows;
  measures: Partial<Record<Measure, Amounts>>;
  edges: Edges | null;
  timeline: { time_ns: number[]; heap: number[]; most: number[] } | null;
  lifetimes: number[]; // of freed blocks: [b] 2^(b-1) <= ns < 2^b
  rss: { process: number; time_ns: number[]; bytes: number[] }[];
  earlier?: Earlier; // of a difference
}

// What rows from `rows` on are taken from (difference.ts).
export interface Earlier {
  rows: number;
  program: string;
  stats: Stats;
  smallest_share: number;
}

export interface Mark {
  kind: string;
  name: string | null;
  time_s: number;
}

// What `memtap stats -f json` prints; only what views ask for has a name here.
export interface Stats {
  command: string;
  mode: string;
  rate_bytes: number;
  start_time_s: number;
  duration_s: number;
  processes: number;
  threads: number;
  peak_bytes: number | null;
  peak_time_s: number | null;
  leaked_bytes: number;
  rss_peak_bytes: number;
  exit_code: number | null;
  dropped_events: number | null;
  own_cpu_share: number | null;
  marks?: Mark[];
  warnings: string[];
  [name: string]: unknown;
}

export interface Source {
  block(): Promise<Block>;
}

// Roles of frames, in the order of enum mt_role.
export const enum Role {
  Program,
  Library,
  Wrapper,
  Import,
  RunPy,
  Thread,
  Start,
  Memtap,
  Marker,
}

export const enum Code {
  None,
  Native,
  Python,
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    bytes[i] = text.charCodeAt(i);
  }
  return bytes;
}

async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Response(stream).text();
}

// Parents and nodes are written as distances, which compress well.
function undoDistances(block: Block): void {
  for (const column of [block.rows.node, block.edges?.cells.row ?? [], block.timeline?.time_ns ?? []]) {
    for (let i = 1; i < column.length; i++) {
      column[i] = (column[i] as number) + (column[i - 1] as number);
    }
  }
  const parent = block.tree.parent;
  for (let i = 1; i < parent.length; i++) {
    parent[i] = i - (parent[i] as number);
  }
}

// A block as it was packed.
export async function decode(packed: Uint8Array<ArrayBuffer>): Promise<Block> {
  const block = JSON.parse(await inflate(packed)) as Block;
  if (block.format !== 1) {
    throw new Error(`this page has data of format ${block.format}; it reads format 1`);
  }
  undoDistances(block);
  return block;
}

// The block inside the page, in the element of that id.
export class PageSource implements Source {
  constructor(private readonly id: string) {}

  // A page of a server has none.
  static isIn(id: string): boolean {
    return (document.getElementById(id)?.textContent ?? "").trim() !== "";
  }

  async block(): Promise<Block> {
    const element = document.getElementById(this.id);
    const block = await decode(bytesOf((element?.textContent ?? "").trim()));
    element?.remove();
    return block;
  }
}
