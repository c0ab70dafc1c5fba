// sandwich.ts: one function, wherever it is called: what is below it, and who called it.
//
// Decides: each row counts once, at the outermost place of the function in its stack; so the callees of a recursive function begin with
// itself, and both halves have the same sum. Pure.

import type { Block } from "./data";
import { type Chosen, Growing, type Tree } from "./profile";

export interface Neighbour {
  frame: number;
  bytes: number;
}

export interface Sandwich {
  callers: Tree; // from the function outwards
  callees: Tree; // from the function inwards
}

export function sandwich(block: Block, chosen: Chosen, frame: number): Sandwich {
  const callers = new Growing(block.frames.function.length);
  const callees = new Growing(block.frames.function.length);
  for (let i = 0; i < chosen.bytes.length; i++) {
    if (chosen.bytes[i] === 0 && chosen.count[i] === 0) continue;
    const path = pathOf(block, block.rows.node[i] as number);
    const at = path.indexOf(frame);
    if (at < 0) continue;
    callers.add(path.slice(0, at + 1).reverse(), chosen.bytes[i] as number, chosen.count[i] as number);
    callees.add(path.slice(at), chosen.bytes[i] as number, chosen.count[i] as number);
  }
  return { callers: callers.tree(chosen.before !== null), callees: callees.tree(chosen.before !== null) };
}

// Frames from the outermost inwards.
export function pathOf(block: Block, node: number): number[] {
  const path: number[] = [];
  for (let at = node; at !== 0; at = block.tree.parent[at] as number) path.push(block.tree.frame[at] as number);
  return path.reverse();
}

// Next to the function in one half: the children of its only child.
export function neighbours(tree: Tree): Neighbour[] {
  const list: Neighbour[] = [];
  const top = tree.first[0] as number;
  for (let c = top < 0 ? -1 : (tree.first[top] as number); c >= 0; c = tree.next[c] as number) {
    list.push({ frame: tree.frame[c] as number, bytes: tree.bytes[c] as number });
  }
  return list;
}

// Of each node: is it allowed? Those through the focus (0: any) and through nothing that is hidden.
export function allowed(block: Block, focus: number, hidden: number[]): Uint8Array | null {
  if (focus === 0 && hidden.length === 0) return null;
  const { parent, frame } = block.tree;
  const out = new Set(hidden);
  const through = new Uint8Array(parent.length);
  const hides = new Uint8Array(parent.length);
  for (let i = 1; i < parent.length; i++) {
    const up = parent[i] as number;
    through[i] = (through[up] as number) | (frame[i] === focus ? 1 : 0);
    hides[i] = (hides[up] as number) | (out.has(frame[i] as number) ? 1 : 0);
  }
  return through.map((yes, i) => ((focus === 0 || yes) && !hides[i] ? 1 : 0));
}
