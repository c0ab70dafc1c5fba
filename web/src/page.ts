// page.ts: puts the views together: state, views and what connects them.

import { showAbout } from "./about";
import { showAnswer } from "./answer";
import { carry, nodeAt, pathOf } from "./carry";
import { showChanges } from "./changes";
import type { Block } from "./data";
import { clear, find, isTyping, make } from "./dom";
import { offerFilters, showFilters } from "./filters";
import { Flame } from "./flame";
import * as format from "./format";
import { showHeader } from "./header";
import { lifetime } from "./lifetime";
import { LeaksView } from "./leaks_view";
import { LinesView } from "./lines_view";
import { isKnown, Measures } from "./measures";
import { showMemory } from "./memory";
import { Names } from "./names";
import { Panel } from "./panel";
import { choose, type Chosen, hasNativeInPython, type Line, linesOf, type MeasureName, type Tree, treeOf } from "./profile";
import { allowed } from "./sandwich";
import { SandwichView } from "./sandwich_view";
import * as address from "./state";
import type { State, ViewName } from "./state";
import { Timeline } from "./timeline";
import { isWindowed, MEASURES, offers, VIEWS, wordsOf } from "./views";
import { offerWindow, showWindow } from "./window_bar";
import { LiveLines, timesOf, type Window } from "./windows";

export class Page {
  private readonly names: Names;
  private readonly flame: Flame;
  private readonly panel: Panel;
  private readonly linesView: LinesView;
  private readonly leaksView: LeaksView;
  private readonly measures: Measures;
  private readonly timeline: Timeline;
  private readonly state: State;
  private chosen: Chosen;
  private tree: Tree | null = null;
  private lines: Line[] = [];
  private selected = -1;
  private readonly live: LiveLines;
  private readonly sandwich: SandwichView;
  private nodes: Uint8Array | null = null; // what focus and hidden leave

  // before: the page that showed an earlier version of the same recording. served: there is a server to ask.
  constructor(private readonly block: Block, private readonly served = false, before: Page | null = null) {
    this.names = new Names(block);
    this.state = before ? carry(before.state, before.block, block) : address.read();
    this.settleMeasure();
    this.live = new LiveLines(block);
    this.panel = new Panel(find("panel"), block, this.names, this.live, {
      line: (line) => this.pickLine(line),
      sandwich: (frame) => this.setSandwich(frame),
      focus: (frame) => this.narrow({ focus: frame }),
      hide: (frame) => this.narrow({ hidden: [...this.state.hidden, frame] }),
    });
    this.flame = new Flame(find("flame"), find<HTMLTableSectionElement>("mirror"), this.names, {
      selected: (node) => this.picked(node),
      zoomed: (node) => this.zoomed(node),
    });
    this.sandwich = new SandwichView(block, this.names, (frame) => this.setSandwich(frame));
    this.linesView = new LinesView(this.names, this.live, (line) => this.pickLine(line));
    this.leaksView = new LeaksView(block, this.names, (line) => this.pickLine(line));
    this.measures = new Measures(block, (measure) => this.setMeasure(measure));
    this.chosen = choose(block, this.choice());
    this.timeline = new Timeline(find("chart"), block, find("reading"), (window) => this.setWindow(window));
    find("time").hidden = block.timeline === null;
    showHeader(block);
    this.controls();
    showMemory(find("view-memory"), block);
    showAbout(find("view-about"), block);
    this.restore();
    if (before) this.zoomAlike(before);
  }

  // What was zoomed into and selected there, here.
  private zoomAlike(before: Page): void {
    if (!before.tree || !this.tree) return;
    const zoomed = nodeAt(this.block, this.tree, pathOf(before.block, before.tree, before.state.node));
    const selected = nodeAt(this.block, this.tree, pathOf(before.block, before.tree, before.selected));
    if (zoomed > 0) this.flame.zoom(zoomed, true);
    if (selected > 0) this.flame.select(selected);
  }

  // ---- controls ---------------------------------------------------------------------------------------------------

  private controls(): void {
    for (const view of VIEWS) if (offers(this.block, this.served, view.name)) this.viewButton(view);
    find("mark").hidden = !this.served || this.block.edges === null;
    find("mark").addEventListener("click", () => this.markNow());
    offerFilters(this.block, this.state, () => this.refresh());
    const search = find<HTMLInputElement>("search");
    search.addEventListener("input", () => this.search(search.value));
    this.toggle("inverted", () => this.setInverted(!this.state.inverted));
    this.toggle("upwards", () => this.setUpwards(!this.state.upwards));
    find("native").hidden = !hasNativeInPython(this.block);
    this.toggle("native", () => this.setNative(!this.state.native));
    this.toggle("imports", () => this.setImports(this.flame.closedImports));
    find("reset").addEventListener("click", () => this.whole());
    offerWindow(this.block, (window) => this.setWindow(window), () => this.changeKind());
    find("theme").addEventListener("click", () => this.nextTheme());
    document.addEventListener("keydown", (event) => this.key(event), { signal: lifetime.signal });
    window.addEventListener("hashchange", () => {
      Object.assign(this.state, address.read());
      this.settleMeasure();
      this.restore();
    }, { signal: lifetime.signal });
  }

  // From now on: what is allocated after this moment and survives.
  private markNow(): void {
    const last = (this.block.edges?.time_ns.length ?? 1) - 1;
    this.setWindow({ from: last, to: last });
  }

  private toggle(id: string, act: () => void): void {
    find(id).addEventListener("click", act);
  }

  // What the address asks for, as far as this recording knows it.
  private settleMeasure(): void {
    const { state, block } = this;
    const last = (block.edges?.time_ns.length ?? 0) - 1;
    state.to = Math.min(Math.max(state.to, 0), last);
    state.from = Math.min(Math.max(state.from, 0), state.to);
    if (!isKnown(block, state.measure)) state.measure = block.measures.peak ? "peak" : "live";
  }

  private viewButton(view: (typeof VIEWS)[number]): void {
    const button = make("button", { type: "button", role: "tab", id: `tab-${view.name}`, "aria-controls": `view-${view.name}` }, view.label);
    button.addEventListener("click", () => this.setView(view.name));
    find("tabs").append(button);
  }

  private nextTheme(): void {
    const dark = getComputedStyle(document.documentElement).getPropertyValue("--scheme").trim() === "dark";
    document.documentElement.dataset["theme"] = dark ? "light" : "dark";
    this.flame.recolor();
    if (this.block.timeline) this.timeline.build();
  }

  // ---- what is shown -----------------------------------------------------------------------------------------------

  private choice() {
    const window = { from: this.state.from, to: this.state.to };
    const nodes = this.nodes;
    const { process, thread, allocator } = this.state;
    return { measure: this.state.measure as MeasureName, window, nodes, process, thread, allocator };
  }

  private get words(): string {
    if (isWindowed(this.state.measure) && this.block.edges) {
      const [start, end] = timesOf(this.block.edges, { from: this.state.from, to: this.state.to }).map(format.clock);
      return this.state.measure === "window" ? `allocated from ${start} on and alive at ${end}` : `alive at ${end}, against ${start}`;
    }
    return wordsOf(this.state.measure, this.block.alive);
  }

  // Everything that depends on the choice.
  private refresh(): void {
    this.nodes = allowed(this.block, this.state.focus, this.state.hidden);
    this.chosen = choose(this.block, this.choice());
    this.lines = linesOf(this.block, this.chosen);
    this.tree = treeOf(this.block, this.chosen, this.state);
    this.state.node = 0;
    this.flame.upwards = this.state.upwards;
    this.flame.show(this.tree);
    this.linesView.show(this.lines, this.chosen);
    this.showLeaks();
    this.panel.showBiggest(this.lines, this.chosen, this.words);
    showAnswer(this.lines, this.chosen, this.names, { name: this.state.measure, words: this.words }, (line) => this.pickLine(line));
    showChanges(this.block, this.chosen.before ? this.lines : null, this.names, (line) => this.pickLine(line));
    this.mark();
    this.showWindow();
    this.showNarrowed();
    this.showSandwich();
    this.crumbs(0);
    this.search(this.state.search);
    const flame = find("flame");
    flame.dataset["bytes"] = String(this.tree.bytes[0]);
    flame.dataset["count"] = String(this.tree.count[0]);
    address.write(this.state);
  }

  // All that the state says, as the address gave it.
  private restore(): void {
    const { node, view } = this.state;
    find<HTMLInputElement>("search").value = this.state.search;
    showFilters(this.state);
    this.refresh();
    this.setView(view);
    if (node > 0) this.flame.zoom(node, true);
  }

  private mark(): void {
    this.measures.show(this.state.measure, this.state);
    find("inverted").setAttribute("aria-pressed", String(this.state.inverted));
    find("upwards").setAttribute("aria-pressed", String(this.state.upwards));
    find("native").setAttribute("aria-pressed", String(this.state.native));
    find("imports").setAttribute("aria-pressed", String(!this.flame.closedImports));
  }

  private setMeasure(name: MeasureName): void {
    if (!isKnown(this.block, name)) return;
    this.state.measure = name;
    this.refresh();
  }

  // null: all of the run again.
  private setWindow(window: Window | null): void {
    if (!window) {
      this.state.measure = this.block.measures.peak ? "peak" : "live";
    } else {
      Object.assign(this.state, window, { measure: isWindowed(this.state.measure) ? this.state.measure : "window" });
    }
    this.refresh();
  }

  // What changed between two times, or what was allocated in between and survived.
  private changeKind(): void {
    this.setMeasure(this.state.measure === "change" ? "window" : "change");
  }

  private showWindow(): void {
    const edges = this.block.edges;
    const window = { from: this.state.from, to: this.state.to };
    const shown = edges !== null && isWindowed(this.state.measure);
    find("window").hidden = !shown;
    this.timeline.select(shown ? window : null);
    if (!edges || !shown) return;
    showWindow(edges, window, this.words, this.state.measure);
  }

  private setView(asked: ViewName): void {
    const name = offers(this.block, this.served, asked) ? asked : "flame";
    this.state.view = name;
    for (const view of VIEWS) {
      find(`view-${view.name}`).hidden = view.name !== name;
      document.getElementById(`tab-${view.name}`)?.setAttribute("aria-selected", String(view.name === name));
    }
    this.flame.resize();
    this.showSandwich();
    this.showLeaks();
    address.write(this.state);
  }

  private setInverted(inverted: boolean): void {
    this.state.inverted = inverted;
    this.refresh();
  }

  private setNative(native: boolean): void {
    this.state.native = native;
    this.refresh();
  }

  private setUpwards(upwards: boolean): void {
    this.state.upwards = this.flame.upwards = upwards;
    this.flame.resize();
    this.mark();
    address.write(this.state);
  }

  private setImports(open: boolean): void {
    this.flame.closedImports = !open;
    this.flame.resize();
    this.mark();
  }

  private whole(): void {
    this.flame.zoom(0);
    this.flame.select(-1);
  }

  private narrow(change: Partial<Pick<State, "focus" | "hidden">>): void {
    Object.assign(this.state, change);
    this.refresh();
  }

  // What is focused and hidden, each to be taken back.
  private showNarrowed(): void {
    const host = find("narrowed");
    const chip = (label: string, undo: () => void) => {
      const button = make("button", { type: "button" }, `${label} ×`);
      button.addEventListener("click", undo);
      host.append(button);
    };
    clear(host);
    if (this.state.focus > 0) chip(`only through ${this.names.function(this.state.focus)}`, () => this.narrow({ focus: 0 }));
    for (const frame of this.state.hidden) {
      chip(`without ${this.names.function(frame)}`, () => this.narrow({ hidden: this.state.hidden.filter((other) => other !== frame) }));
    }
  }

  private showLeaks(): void {
    if (this.state.view !== "leaks") return;
    const alive = choose(this.block, { ...this.choice(), measure: "live" });
    this.leaksView.show(linesOf(this.block, alive), alive);
  }

  private setSandwich(frame: number): void {
    this.state.of = frame;
    this.setView("sandwich");
  }

  private showSandwich(): void {
    if (this.state.view === "sandwich") {
      this.state.of = this.sandwich.show(this.chosen, this.lines, this.state.of);
    }
  }

  private search(text: string): void {
    this.state.search = text;
    const bytes = this.flame.search(text);
    const { whole, before } = this.chosen;
    find("matched").textContent = bytes === null ? "" : `${format.percent(bytes, whole)}, ${format.amount(bytes, before !== null)}`;
    address.write(this.state);
  }

  // ---- selection ---------------------------------------------------------------------------------------------------

  private picked(node: number): void {
    const tree = this.tree;
    this.selected = node;
    if (!tree || node < 0) {
      this.panel.showBiggest(this.lines, this.chosen, this.words);
      return;
    }
    this.panel.showNode(tree, node);
    const bytes = tree.bytes[node] as number;
    find("spoken").textContent = `${this.names.label(tree.frame[node] as number)}, ${format.amount(bytes, tree.signed)}, ${format.percent(tree.width[node] as number, tree.width[0] as number)}`;
  }

  private pickLine(line: Line): void {
    this.panel.showLine(line, this.chosen);
    this.flame.highlight(line.frame);
  }

  private zoomed(node: number): void {
    this.state.node = node;
    this.crumbs(node);
    address.write(this.state);
  }

  private crumbs(node: number): void {
    const host = find("crumbs");
    clear(host);
    for (const at of [0, ...(this.tree as Tree).path(node)]) {
      const button = make("button", { type: "button" }, this.names.function((this.tree as Tree).frame[at] as number));
      button.addEventListener("click", () => this.flame.zoom(at));
      if (at !== 0) host.append("›");
      host.append(button);
    }
    host.scrollLeft = host.scrollWidth;
  }

  // ---- keyboard ----------------------------------------------------------------------------------------------------

  private key(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      this.escape();
      return;
    }
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) {
      if (event.key === "Enter" && event.target === find("search")) this.flame.nextMatch();
      return;
    }
    const act = this.acts()[event.key];
    if (act) {
      act();
      event.preventDefault();
    }
  }

  private acts(): Record<string, () => void> {
    const acts: Record<string, () => void> = {
      "/": () => {
        this.setView("flame");
        find("search").focus();
      },
      F3: () => this.flame.nextMatch(),
      n: () => this.setNative(!this.state.native),
      i: () => this.setInverted(!this.state.inverted),
      f: () => this.setView("flame"),
      s: () => this.setView("sandwich"),
      l: () => this.setView("lines"),
      k: () => this.setView("leaks"),
      d: () => this.setView("changes"),
      c: () => this.changeKind(),
      m: () => this.setView("memory"),
      a: () => this.setView("about"),
      "?": () => find<HTMLDialogElement>("keys").showModal(),
    };
    if (this.served) acts["q"] = () => this.setView("sql");
    MEASURES.forEach((measure, i) => (acts[String(i + 1)] = () => this.setMeasure(measure.name)));
    return acts;
  }

  private escape(): void {
    const search = find<HTMLInputElement>("search");
    if (search.value !== "" || document.activeElement === search) {
      search.value = "";
      search.blur();
      this.search("");
    } else if (!this.flame.escape()) {
      this.flame.select(-1);
    }
  }
}
