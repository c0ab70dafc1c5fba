// table.ts: a table of any length: only the rows that are seen are in the page. Sortable by its columns.

import { clear, make } from "./dom";

export interface Column<T> {
  name: string;
  title: string;
  class?: string;
  order?: (item: T) => number | string; // none: cannot be sorted by it
  fill(cell: HTMLTableCellElement, item: T): void;
}

const ROW = 28;
const AROUND = 10;

export class Table<T> {
  private items: T[] = [];
  private chosen: T | null = null;
  private readonly head = make("tr");
  private readonly body = make("tbody");
  private readonly before = make("tr", { "aria-hidden": "true" }, make("td", { class: "space" }));
  private readonly behind = make("tr", { "aria-hidden": "true" }, make("td", { class: "space" }));
  private readonly table: HTMLTableElement;
  private sortedBy = -1;
  private descending = true;

  constructor(
    private readonly host: HTMLElement,
    label: string,
    private readonly columns: Column<T>[],
    private readonly onChoice: (item: T) => void,
  ) {
    this.table = make("table", { class: "rows", "aria-label": label }, make("thead", {}, this.head), this.body);
    columns.forEach((column, i) => this.head.append(this.heading(column, i)));
    host.append(this.table);
    host.addEventListener("scroll", () => this.render());
    new ResizeObserver(() => this.render()).observe(host);
  }

  private heading(column: Column<T>, at: number): HTMLElement {
    if (!column.order) return make("th", { scope: "col", class: column.class ?? "" }, column.name);
    const button = make("button", { type: "button", title: column.title }, column.name);
    button.addEventListener("click", () => this.sort(at));
    return make("th", { scope: "col", class: column.class ?? "", "aria-sort": "none" }, button);
  }

  show(items: T[]): void {
    this.items = [...items];
    this.chosen = null;
    this.host.scrollTop = 0;
    if (this.sortedBy >= 0) this.arrange();
    this.render();
  }

  private sort(at: number): void {
    this.descending = this.sortedBy === at ? !this.descending : true;
    this.sortedBy = at;
    this.arrange();
    this.render();
  }

  private arrange(): void {
    const order = (this.columns[this.sortedBy] as Column<T>).order as (item: T) => number | string;
    const sign = this.descending ? -1 : 1;
    const rank = (value: number | string) => (typeof value === "number" && Number.isNaN(value) ? -Infinity : value);
    this.items.sort((a, b) => {
      const x = rank(order(a));
      const y = rank(order(b));
      return x < y ? -sign : x > y ? sign : 0;
    });
    [...this.head.children].forEach((cell, i) => {
      if (cell.hasAttribute("aria-sort")) {
        cell.setAttribute("aria-sort", i !== this.sortedBy ? "none" : this.descending ? "descending" : "ascending");
      }
    });
  }

  private render(): void {
    const first = Math.max(Math.floor(this.host.scrollTop / ROW) - AROUND, 0);
    const shown = Math.ceil(this.host.clientHeight / ROW) + 2 * AROUND;
    const last = Math.min(first + shown, this.items.length);
    this.table.setAttribute("aria-rowcount", String(this.items.length + 1));
    clear(this.body);
    this.pad(this.before, first);
    this.body.append(this.before);
    for (let i = first; i < last; i++) this.body.append(this.row(this.items[i] as T, i));
    this.pad(this.behind, this.items.length - last);
    this.body.append(this.behind);
  }

  private pad(row: HTMLElement, rows: number): void {
    row.hidden = rows === 0;
    const cell = row.firstElementChild as HTMLTableCellElement;
    cell.colSpan = this.columns.length;
    cell.style.height = `${rows * ROW}px`;
  }

  private row(item: T, index: number): HTMLElement {
    const row = make("tr", { tabindex: 0, "aria-rowindex": index + 2, "aria-selected": item === this.chosen });
    for (const column of this.columns) {
      const cell = make("td", { class: column.class ?? "" });
      column.fill(cell, item);
      row.append(cell);
    }
    row.addEventListener("click", () => this.choose(item));
    row.addEventListener("keydown", (event) => {
      const step = event.key === "ArrowDown" ? row.nextElementSibling : event.key === "ArrowUp" ? row.previousElementSibling : null;
      if (event.key === "Enter") this.choose(item);
      if (step instanceof HTMLElement && step.tabIndex === 0) {
        step.focus();
        event.preventDefault();
      }
    });
    return row;
  }

  private choose(item: T): void {
    this.chosen = item;
    for (const row of this.body.children) row.setAttribute("aria-selected", "false");
    const at = this.items.indexOf(item);
    this.body.querySelector(`[aria-rowindex="${at + 2}"]`)?.setAttribute("aria-selected", "true");
    this.onChoice(item);
  }
}
