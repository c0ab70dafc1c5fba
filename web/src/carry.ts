// carry.ts: what is looked at, from one version of a recording's data to the next: numbers of frames, threads and edges change, what they
// stand for does not. A window that reached to the end goes on to reach there. Pure.

import type { Block } from "./data";
import type { Tree } from "./profile";
import type { State } from "./state";

function frameKey(block: Block, frame: number): string {
  const { frames, strings } = block;
  return [strings[frames.function[frame] as number], strings[frames.path[frame] as number], frames.line[frame]].join("\n");
}

// Items of an old block as those of the new one; -1: there is none.
function translator(count: number, keyOf: (i: number) => string): (key: string) => number {
  const known = new Map<string, number>();
  for (let i = count - 1; i >= 0; i--) known.set(keyOf(i), i);
  return (key) => known.get(key) ?? -1;
}

function processKey(block: Block, process: number): string {
  return String(block.processes.pid[process]);
}

function threadKey(block: Block, thread: number): string {
  return `${block.processes.pid[block.threads.process[thread] as number]}/${block.threads.tid[thread]}`;
}

function nearest(times: number[], time: number): number {
  let best = 0;
  for (let i = 1; i < times.length; i++) {
    if (Math.abs((times[i] as number) - time) < Math.abs((times[best] as number) - time)) best = i;
  }
  return best;
}

export function carry(state: State, old: Block, now: Block): State {
  const frame = translator(now.frames.function.length, (i) => frameKey(now, i));
  const moved = (number: number): number => (number > 0 ? Math.max(frame(frameKey(old, number)), 0) : 0);
  const thread = translator(now.threads.tid.length, (i) => threadKey(now, i));
  const process = translator(now.processes.pid.length, (i) => processKey(now, i));
  const before = old.edges?.time_ns ?? [];
  const after = now.edges?.time_ns ?? [];
  const at = (edge: number): number => nearest(after, before[edge] ?? 0);
  return {
    ...state,
    focus: moved(state.focus),
    of: moved(state.of),
    hidden: state.hidden.map(moved).filter((number) => number > 0),
    thread: state.thread >= 0 ? thread(threadKey(old, state.thread)) : -1,
    process: state.process >= 0 ? process(processKey(old, state.process)) : -1,
    allocator: state.allocator >= 0 ? now.allocators.indexOf(old.allocators[state.allocator] as string) : -1,
    from: at(state.from),
    to: state.to >= before.length - 1 ? Math.max(after.length - 1, 0) : at(state.to),
    node: 0,
  };
}

// The frames from the root to a node.
export function pathOf(block: Block, tree: Tree, node: number): string[] {
  return node > 0 ? tree.path(node).map((at) => frameKey(block, tree.frame[at] as number)) : [];
}

// The node at the end of such a path, or as far as there is one.
export function nodeAt(block: Block, tree: Tree, path: string[]): number {
  let node = 0;
  for (const key of path) {
    let child = tree.first[node] as number;
    while (child >= 0 && frameKey(block, tree.frame[child] as number) !== key) child = tree.next[child] as number;
    if (child < 0) break;
    node = child;
  }
  return node;
}
