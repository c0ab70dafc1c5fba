// flame_layout.ts: which blocks of a tree are to be seen, and where.
//
// Decides: the whole tree lies on [0, 1]; what is looked at is a part of that. Blocks narrower than a pixel are not visited; those next
// to each other under one parent leave a gap, which is shown when it is wide enough to be seen. Pure.

import type { Tree } from "./profile";

export interface View {
  from: number;
  to: number;
  width: number; // pixels
}

export interface Rect {
  node: number; // -1: siblings too narrow to be drawn
  depth: number;
  x: number;
  width: number;
}

const NARROWEST = 1;

interface Pending {
  node: number;
  depth: number;
  start: number; // on [0, 1]
}

// Where each block on the way to node begins; the root is at 0.
export function rangeOf(tree: Tree, node: number): { from: number; to: number } {
  const whole = tree.width[0] || 1;
  let from = 0;
  for (let at = node; at !== 0; at = tree.parent[at] as number) {
    const up = tree.parent[at] as number;
    for (let c = tree.first[up] as number; c !== at && c >= 0; c = tree.next[c] as number) {
      from += tree.width[c] as number;
    }
  }
  return { from: from / whole, to: (from + (tree.width[node] as number)) / whole };
}

export function layOut(tree: Tree, view: View, isClosed: (node: number) => boolean): Rect[] {
  const whole = tree.width[0] || 1;
  const scale = view.width / (view.to - view.from);
  const rects: Rect[] = [];
  const stack: Pending[] = [{ node: 0, depth: 0, start: 0 }];
  for (let pending = stack.pop(); pending; pending = stack.pop()) {
    const { node, depth, start } = pending;
    const left = Math.max((start - view.from) * scale, 0);
    const right = Math.min((start + (tree.width[node] as number) / whole - view.from) * scale, view.width);
    rects.push({ node, depth, x: left, width: right - left });
    if (!isClosed(node)) pushChildren(tree, pending, { whole, scale, view }, stack, rects);
  }
  return rects;
}

interface Frame {
  whole: number;
  scale: number;
  view: View;
}

// Children come largest first, so behind the first narrow one all are narrow.
function pushChildren(tree: Tree, parent: Pending, { whole, scale, view }: Frame, stack: Pending[], rects: Rect[]): void {
  let start = parent.start;
  for (let child = tree.first[parent.node] as number; child >= 0; child = tree.next[child] as number) {
    const share = (tree.width[child] as number) / whole;
    const depth = parent.depth + 1;
    if (share * scale < NARROWEST) {
      addGap(tree, parent, start, child, { whole, scale, view }, rects);
      return;
    }
    if (start < view.to && start + share > view.from) stack.push({ node: child, depth, start });
    start += share;
  }
}

function addGap(tree: Tree, parent: Pending, start: number, child: number, at: Frame, rects: Rect[]): void {
  let rest = 0;
  for (let c = child; c >= 0; c = tree.next[c] as number) rest += tree.width[c] as number;
  const left = Math.max((start - at.view.from) * at.scale, 0);
  const right = Math.min((start + rest / at.whole - at.view.from) * at.scale, at.view.width);
  if (right - left >= 2) rects.push({ node: -1, depth: parent.depth + 1, x: left, width: right - left });
}
