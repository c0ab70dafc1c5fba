// flame.ts: the flame graph: a canvas over a tree, with mouse and keyboard.
//
// Decides: the canvas is as large as what is seen, and what scrolls is an empty element behind it, so that a stack of ten thousand frames
// costs no more than one of thirty. Zooming moves the part of [0, 1] that is shown (flame_layout.ts).

import { Role } from "./data";
import { changeFill, fill, palette, type Palette } from "./colors";
import { clear, make } from "./dom";
import { layOut, rangeOf, type Rect } from "./flame_layout";
import * as format from "./format";
import { lifetime } from "./lifetime";
import type { Names } from "./names";
import type { Tree } from "./profile";

const ROW = 20;
const MOTION_MS = 150;
const MIRRORED = 50;

export interface FlameEvents {
  selected(node: number): void; // -1: nothing
  zoomed(node: number): void;
}

export class Flame {
  private readonly canvas = make("canvas", { "aria-hidden": "true" });
  private readonly space = make("div", { class: "flame-space" });
  private readonly tip = make("div", { class: "tip", role: "tooltip", hidden: true });
  private tree: Tree | null = null;
  private rects: Rect[] = [];
  private from = 0;
  private to = 1;
  private root = 0;
  private selectedNode = -1;
  private hovered = -1;
  private matches: Uint8Array | null = null; // by frame
  private matchAt = -1;
  private colors: Palette = palette();
  private motion = 0;
  private drawn = 0;
  closedImports = true;
  upwards = false; // main at the bottom

  constructor(
    private readonly host: HTMLElement,
    private readonly mirror: HTMLTableSectionElement,
    private readonly names: Names,
    private readonly events: FlameEvents,
  ) {
    this.space.append(this.canvas);
    host.append(this.space);
    document.body.append(this.tip);
    host.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.resize()).observe(host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.recolor(), { signal: lifetime.signal });
    this.listen();
  }

  recolor(): void {
    this.colors = palette();
    this.draw();
  }

  show(tree: Tree): void {
    this.tree = tree;
    this.root = 0;
    this.selectedNode = -1;
    this.from = 0;
    this.to = 1;
    this.resize();
  }

  // ---- zoom, selection, search -------------------------------------------------------------------------------------

  get zoomedNode(): number {
    return this.root;
  }

  zoom(node: number, still = false): void {
    if (!this.tree || node < 0 || node >= this.tree.parent.length || (this.tree.width[node] as number) <= 0) return;
    this.root = node;
    this.move(rangeOf(this.tree, node), still);
    this.events.zoomed(node);
  }

  private move(goal: { from: number; to: number }, still: boolean): void {
    const start = { from: this.from, to: this.to };
    const begin = performance.now();
    const step = (now: number) => {
      const part = Math.min((now - begin) / MOTION_MS, 1);
      const eased = 1 - (1 - part) ** 3;
      this.from = start.from + (goal.from - start.from) * eased;
      this.to = start.to + (goal.to - start.to) * eased;
      this.resize();
      this.motion = part < 1 ? requestAnimationFrame(step) : 0;
    };
    cancelAnimationFrame(this.motion);
    if (still || matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.from = goal.from;
      this.to = goal.to;
      this.resize();
    } else {
      this.motion = requestAnimationFrame(step);
    }
  }

  select(node: number): void {
    this.selectedNode = node;
    this.draw();
    this.events.selected(node);
  }

  // Frames whose function or path has the text in it; returns the bytes below them, each once. null: nothing is sought.
  search(text: string): number | null {
    const sought = text.toLowerCase();
    this.matchAt = -1;
    this.matches = null;
    if (sought !== "" && this.tree) {
      this.matches = this.names.matching(sought);
    }
    this.draw();
    return this.matches && this.tree ? this.matchedBytes(this.tree, this.matches) : null;
  }

  // One frame, wherever it is.
  highlight(frame: number): void {
    this.matches = new Uint8Array(this.names.frameCount);
    this.matches[frame] = 1;
    this.matchAt = -1;
    this.draw();
  }

  private matchedBytes(tree: Tree, matches: Uint8Array): number {
    const below = new Uint8Array(tree.parent.length);
    let sum = 0;
    for (let i = 1; i < tree.parent.length; i++) {
      const inside = below[tree.parent[i] as number] as number;
      const match = matches[tree.frame[i] as number] as number;
      below[i] = inside | match;
      if (match && !inside) sum += tree.bytes[i] as number;
    }
    return sum;
  }

  nextMatch(): void {
    const tree = this.tree;
    const found = this.rects
      .filter((r) => r.node > 0 && this.matches && tree && this.matches[tree.frame[r.node] as number])
      .sort((a, b) => b.width - a.width);
    if (found.length > 0) {
      this.matchAt = (this.matchAt + 1) % found.length;
      this.select((found[this.matchAt] as Rect).node);
      this.reveal(this.selectedNode);
    }
  }

  // ---- drawing -----------------------------------------------------------------------------------------------------

  private isClosed(node: number): boolean {
    const tree = this.tree as Tree;
    return this.closedImports && node !== 0 && this.names.role(tree.frame[node] as number) === Role.Import && !this.isAbove(node);
  }

  private isAbove(node: number): boolean {
    for (let at = this.root; at !== 0; at = (this.tree as Tree).parent[at] as number) {
      if (at === node) return true;
    }
    return false;
  }

  resize(): void {
    const width = this.host.clientWidth;
    if (!this.tree || width === 0) return;
    this.rects = layOut(this.tree, { from: this.from, to: this.to, width }, (node) => this.isClosed(node));
    const depth = this.rects.reduce((most, r) => Math.max(most, r.depth), 0);
    this.space.style.height = `${Math.max((depth + 1) * ROW, this.host.clientHeight)}px`;
    this.draw();
  }

  private draw(): void {
    if (this.drawn === 0) {
      this.drawn = requestAnimationFrame(() => {
        this.drawn = 0;
        this.paint();
        this.reflect();
      });
    }
  }

  private top(depth: number): number {
    return this.upwards ? this.space.clientHeight - (depth + 1) * ROW : depth * ROW;
  }

  private paint(): void {
    const ratio = window.devicePixelRatio || 1;
    const width = this.host.clientWidth;
    const height = this.host.clientHeight;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.width = `${width}px`;
    this.canvas.style.height = `${height}px`;
    const context = this.canvas.getContext("2d");
    if (!context || !this.tree) return;
    context.scale(ratio, ratio);
    context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "middle";
    for (const rect of this.rects) {
      const y = this.top(rect.depth) - this.host.scrollTop;
      if (y > -ROW && y < height) this.paintRect(context, rect, y);
    }
  }

  private paintRect(context: CanvasRenderingContext2D, rect: Rect, y: number): void {
    const tree = this.tree as Tree;
    const frame = rect.node >= 0 ? (tree.frame[rect.node] as number) : -1;
    const gap = rect.width > 3 ? 1 : 0;
    const matched = frame > 0 && this.matches !== null && this.matches[frame] === 1;
    const dim = (this.matches !== null && !matched) || (rect.node !== 0 && this.root !== rect.node && this.isAbove(rect.node));
    context.globalAlpha = dim ? 0.4 : 1;
    context.fillStyle = rect.node <= 0 ? this.colors.line : this.fillOf(tree, rect.node);
    context.fillRect(rect.x, y, rect.width - gap, ROW - 1);
    if (rect.node >= 0 && (rect.node === this.selectedNode || rect.node === this.hovered || matched)) {
      context.globalAlpha = 1;
      context.strokeStyle = rect.node === this.selectedNode ? this.colors.accent : this.colors.text;
      context.lineWidth = rect.node === this.selectedNode ? 2 : 1;
      context.strokeRect(rect.x + 1, y + 1, Math.max(rect.width - gap - 2, 1), ROW - 3);
    }
    this.paintLabel(context, rect, y);
    context.globalAlpha = 1;
  }

  private fillOf(tree: Tree, node: number): string {
    if (tree.signed) return changeFill((tree.bytes[node] as number) / (tree.width[node] as number), this.colors.dark);
    const frame = tree.frame[node] as number;
    return fill(this.names.role(frame), this.names.path(frame), this.colors.dark);
  }

  private paintLabel(context: CanvasRenderingContext2D, rect: Rect, y: number): void {
    const tree = this.tree as Tree;
    const room = rect.width - 9;
    if (rect.node < 0 || room < 14) return;
    const frame = tree.frame[rect.node] as number;
    const text = rect.node === 0 ? `all  ${format.amount(tree.bytes[0] as number, tree.signed)}` : this.names.fitted(frame, room, (s) => context.measureText(s).width);
    context.fillStyle = this.colors.text;
    context.fillText(text, rect.x + 4, y + ROW / 2);
  }

  // The widest blocks as a table, for those who cannot see the canvas.
  private reflect(): void {
    const tree = this.tree;
    if (!tree) return;
    const whole = tree.width[0] as number;
    const widest = this.rects.filter((r) => r.node > 0).sort((a, b) => b.width - a.width).slice(0, MIRRORED);
    clear(this.mirror);
    for (const rect of widest.sort((a, b) => a.depth - b.depth || a.x - b.x)) {
      const bytes = tree.bytes[rect.node] as number;
      this.mirror.append(
        make(
          "tr",
          {},
          make("td", {}, String(rect.depth)),
          make("td", {}, this.names.label(tree.frame[rect.node] as number)),
          make("td", {}, format.amount(bytes, tree.signed)),
          make("td", {}, format.percent(tree.width[rect.node] as number, whole)),
        ),
      );
    }
  }

  // ---- mouse and keyboard ------------------------------------------------------------------------------------------

  private at(event: MouseEvent): number {
    const box = this.host.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top + this.host.scrollTop;
    const rect = this.rects.find((r) => x >= r.x && x < r.x + r.width && y >= this.top(r.depth) && y < this.top(r.depth) + ROW);
    return rect ? rect.node : -1;
  }

  private listen(): void {
    this.host.addEventListener("mousemove", (event) => this.hover(event));
    this.host.addEventListener("mouseleave", () => this.unhover());
    this.host.addEventListener("click", (event) => {
      const node = this.at(event);
      if (node >= 0) {
        this.select(node);
        this.zoom(node);
      }
    });
    this.host.addEventListener("keydown", (event) => {
      if (this.key(event.key)) event.preventDefault();
    });
  }

  private unhover(): void {
    this.hovered = -1;
    this.tip.hidden = true;
    this.draw();
  }

  private hover(event: MouseEvent): void {
    const node = this.at(event);
    if (node < 0) {
      this.unhover();
      return;
    }
    if (node !== this.hovered) {
      this.hovered = node;
      this.describe(node);
      this.draw();
    }
    this.tip.hidden = false;
    const room = document.documentElement.clientWidth - this.tip.offsetWidth - 8;
    const below = event.clientY + 18 + this.tip.offsetHeight < document.documentElement.clientHeight;
    this.tip.style.left = `${Math.max(4, Math.min(event.clientX + 12, room))}px`;
    this.tip.style.top = `${below ? event.clientY + 18 : event.clientY - this.tip.offsetHeight - 8}px`;
  }

  private describe(node: number): void {
    const tree = this.tree as Tree;
    const frame = tree.frame[node] as number;
    const bytes = tree.bytes[node] as number;
    const count = tree.count[node] as number;
    const mean = count > 0 && !tree.signed ? `, ${format.bytes(bytes / count)} each` : "";
    const share = `${format.percent(tree.width[node] as number, tree.width[0] as number)} of all${tree.signed ? " that changed" : ""}`;
    clear(this.tip);
    this.tip.append(
      make("strong", {}, this.names.function(frame)),
      make("div", { class: "path" }, this.names.fullPlace(frame)),
      make("div", {}, `${format.amount(bytes, tree.signed)} · ${share}`),
      make("div", {}, `${format.count(bytes)} bytes in ${format.counted(count, "block", "blocks")}${mean}`),
    );
  }

  private key(key: string): boolean {
    const tree = this.tree;
    if (!tree) return false;
    const at = this.selectedNode >= 0 ? this.selectedNode : this.root;
    const parent = tree.parent[at] as number;
    const out = this.upwards ? "ArrowDown" : "ArrowUp";
    const into = this.upwards ? "ArrowUp" : "ArrowDown";
    const goal =
      key === out ? parent
      : key === into ? (this.isClosed(at) ? -1 : (tree.first[at] as number))
      : key === "ArrowRight" ? (at === 0 ? -1 : (tree.next[at] as number))
      : key === "ArrowLeft" ? this.before(at)
      : key === "Home" ? 0
      : null;
    if (goal !== null) {
      if (goal >= 0 && (tree.width[goal] as number) > 0) {
        this.select(goal);
        this.reveal(goal);
      }
      return true;
    }
    if (key === "Enter" || key === " ") {
      this.zoom(at);
      return true;
    }
    return false;
  }

  private before(node: number): number {
    const tree = this.tree as Tree;
    let last = -1;
    for (let c = tree.first[tree.parent[node] as number] as number; c >= 0 && c !== node; c = tree.next[c] as number) last = c;
    return node === 0 ? -1 : last;
  }

  // Scrolls to a block, and zooms out where it lies outside or is too narrow.
  private reveal(node: number): void {
    const rect = this.rects.find((r) => r.node === node);
    if (!rect) {
      this.zoom((this.tree as Tree).parent[node] as number);
      return;
    }
    const y = this.top(rect.depth);
    if (y < this.host.scrollTop || y + ROW > this.host.scrollTop + this.host.clientHeight) {
      this.host.scrollTop = y - this.host.clientHeight / 2;
    }
  }

  // One step out; false: there is none.
  escape(): boolean {
    if (this.root === 0 || !this.tree) return false;
    this.zoom(this.tree.parent[this.root] as number);
    return true;
  }
}
