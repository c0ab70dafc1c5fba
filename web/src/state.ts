// state.ts: what is looked at, in the address behind #, so that a link shows the same.

export type ViewName = "flame" | "sandwich" | "lines" | "leaks" | "changes" | "memory" | "sql" | "about";
export const VIEW_NAMES: ViewName[] = ["flame", "sandwich", "lines", "leaks", "changes", "memory", "sql", "about"];

export interface State {
  view: ViewName;
  measure: string;
  from: number; // the window's intervals
  to: number;
  node: number;
  search: string;
  thread: number;
  process: number;
  allocator: number;
  focus: number; // only stacks through this frame; 0: all
  hidden: number[]; // no stacks through these
  of: number; // the frame of the sandwich; 0: none
  inverted: boolean;
  upwards: boolean;
  native: boolean;
}

function numberOf(text: string | null, otherwise: number): number {
  const value = text === null ? NaN : Number(text);
  return Number.isInteger(value) ? value : otherwise;
}

export function read(): State {
  const words = new URLSearchParams(location.hash.slice(1));
  const view = VIEW_NAMES.find((name) => name === words.get("view"));
  return {
    view: view ?? "flame",
    measure: words.get("of") ?? "",
    from: numberOf(words.get("from"), 0),
    to: numberOf(words.get("to"), 0),
    node: numberOf(words.get("at"), 0),
    search: words.get("search") ?? "",
    thread: numberOf(words.get("thread"), -1),
    process: numberOf(words.get("process"), -1),
    allocator: numberOf(words.get("allocator"), -1),
    focus: numberOf(words.get("focus"), 0),
    hidden: (words.get("hide") ?? "").split(",").map(Number).filter((frame) => frame > 0),
    of: numberOf(words.get("function"), 0),
    inverted: words.get("inverted") === "1",
    upwards: words.get("upwards") === "1",
    native: words.get("native") !== "0",
  };
}

export function write(state: State): void {
  const words = new URLSearchParams();
  if (state.view !== "flame") words.set("view", state.view);
  words.set("of", state.measure);
  if (state.measure === "window" || state.measure === "change") {
    words.set("from", String(state.from));
    words.set("to", String(state.to));
  }
  if (state.node !== 0) words.set("at", String(state.node));
  if (state.search !== "") words.set("search", state.search);
  if (state.thread >= 0) words.set("thread", String(state.thread));
  if (state.process >= 0) words.set("process", String(state.process));
  if (state.allocator >= 0) words.set("allocator", String(state.allocator));
  if (state.focus > 0) words.set("focus", String(state.focus));
  if (state.hidden.length > 0) words.set("hide", state.hidden.join(","));
  if (state.of > 0) words.set("function", String(state.of));
  if (state.inverted) words.set("inverted", "1");
  if (state.upwards) words.set("upwards", "1");
  if (!state.native) words.set("native", "0");
  history.replaceState(null, "", `#${words.toString()}`);
}
