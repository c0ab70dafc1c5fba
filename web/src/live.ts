// live.ts: a page that follows recordings of `memtap serve`: which one is chosen, when it is shown anew, and by what it is told.
//
// Decides: for new data the page is put together anew from its markup, with what was looked at carried over (carry.ts); it waits
// while it is paused, while somebody types or reads a dialog, and while a mouse button is down.

import type { Block } from "./data";
import { find, make } from "./dom";
import { lifetime } from "./lifetime";
import { ServerSource, type Target, targets } from "./server";
import { showSql } from "./sql";

// Somebody types, or reads a dialog.
function isWritten(): boolean {
  const at = document.activeElement;
  return at instanceof HTMLTextAreaElement || (at instanceof HTMLInputElement && at.type === "search") || document.querySelector("dialog[open]") !== null;
}

export class Live {
  private readonly markup: Node[];
  private source = new ServerSource(0);
  private known: Target[] = [];
  private following: AbortController | null = null;
  private growing = false;
  private paused = false;
  private waits = false; // there is news that is not shown
  private heard = 0; // the version that the server told of last
  private trouble = ""; // what was chosen last and could not be read
  private busy = false;
  private pressed = false;

  // put shows a block; again: what was looked at before is looked at again.
  constructor(private readonly put: (block: Block, again: boolean) => void) {
    this.markup = [...document.body.childNodes].filter((node) => !(node instanceof HTMLScriptElement)).map((node) => node.cloneNode(true));
    document.addEventListener("pointerdown", () => (this.pressed = true));
    for (const end of ["pointerup", "pointercancel"]) {
      document.addEventListener(end, () => {
        this.pressed = false;
        void this.renew();
      });
    }
    document.addEventListener("close", () => void this.renew(), true);
  }

  async begin(): Promise<void> {
    this.known = await targets();
    if (this.known.length === 0) throw new Error("there is no recording yet: it is shown when there is one, after a reload");
    await this.chooseFirst();
  }

  // The one that is wanted, or the first one that can be read.
  private async chooseFirst(): Promise<void> {
    const wanted = this.wanted();
    const others = this.known.map((target) => target.target).filter((target) => target !== wanted);
    let failure: unknown;
    for (const target of [wanted, ...others]) {
      try {
        return await this.choose(target);
      } catch (error) {
        failure ??= error;
        this.trouble = this.troubleOf(target, error);
      }
    }
    throw failure;
  }

  private troubleOf(target: number, error: unknown): string {
    const name = this.known.find((one) => one.target === target)?.name ?? "";
    return `${name} cannot be read: ${error instanceof Error ? error.message : String(error)}`;
  }

  private wanted(): number {
    const number = Number(sessionStorage.getItem("target"));
    return this.known.some((target) => target.target === number) ? number : (this.known[0] as Target).target;
  }

  private async choose(target: number): Promise<void> {
    sessionStorage.setItem("target", String(target));
    this.following?.abort();
    this.waits = false;
    const before = this.source;
    const source = (this.source = new ServerSource(target));
    try {
      const block = await source.block();
      if (source !== this.source) return; // another one was chosen meanwhile
      this.show(block, false);
    } catch (error) {
      if (source === this.source) this.goBack(before, error);
      return;
    }
    this.follow(source);
  }

  // What was chosen cannot be read: what was shown before goes on to be shown. A page that shows nothing yet says why.
  private goBack(before: ServerSource, error: unknown): void {
    if (before.version === 0) throw error;
    this.trouble = this.troubleOf(this.source.target, error);
    this.source = before;
    sessionStorage.setItem("target", String(before.target));
    find<HTMLSelectElement>("target").value = String(before.target);
    this.mark();
    this.follow(before);
  }

  private follow(source: ServerSource): void {
    this.following = new AbortController();
    void source.follow((version, growing) => {
      if (source !== this.source) return;
      this.growing = growing;
      this.heard = version;
      this.waits = this.waits || version !== source.version;
      this.mark();
      void this.renew();
    }, this.following.signal);
  }

  private show(block: Block, again: boolean): void {
    const focused = document.activeElement?.id ?? "";
    lifetime.renew();
    document.body.replaceChildren(...this.markup.map((node) => node.cloneNode(true)));
    find("app").hidden = false;
    this.controls();
    this.put(block, again);
    showSql(this.source);
    if (focused !== "") document.getElementById(focused)?.focus({ preventScroll: true });
    document.documentElement.dataset["version"] = String(Number(document.documentElement.dataset["version"] ?? "0") + 1);
  }

  private async renew(): Promise<void> {
    if (!this.waits || this.paused || this.busy || this.pressed || isWritten()) return;
    const source = this.source;
    this.busy = true;
    this.waits = false;
    const failed = await this.showAgain(source);
    this.busy = false;
    if (source !== this.source) return void this.renew(); // news of the one that was chosen meanwhile
    if (failed) {
      this.waits = true; // the next event tries again
      return;
    }
    this.waits = this.waits && this.heard !== source.version;
    void this.renew(); // what came meanwhile
  }

  // True: it could not be read. What is of another one by now is not shown.
  private async showAgain(source: ServerSource): Promise<boolean> {
    try {
      const block = await source.block();
      if (source === this.source) this.show(block, true);
      return false;
    } catch {
      return true;
    }
  }

  // ---- controls ----------------------------------------------------------------------------------------------------

  private controls(): void {
    const select = find<HTMLSelectElement>("target");
    this.offer(select);
    for (const event of ["focus", "pointerenter"]) select.addEventListener(event, () => void this.lookAgain(select));
    find("served").hidden = this.known.length < 2;
    select.addEventListener("change", () => {
      history.replaceState(null, "", "#");
      this.trouble = "";
      void this.choose(Number(select.value));
    });
    find("live").addEventListener("click", () => {
      this.paused = !this.paused;
      this.mark();
      void this.renew();
    });
    this.mark();
  }

  private offer(select: HTMLSelectElement): void {
    select.replaceChildren(...this.known.map((target) => make("option", { value: target.target }, target.name)));
    select.value = String(this.source.target);
  }

  // Recordings come and go; those of now are offered to whoever is about to choose.
  private async lookAgain(select: HTMLSelectElement): Promise<void> {
    const now = await targets().catch(() => this.known);
    const same = now.length === this.known.length && now.every((target, i) => target.target === this.known[i]?.target);
    if (same) return;
    this.known = now;
    this.offer(select);
  }

  private mark(): void {
    find("unreadable").hidden = this.trouble === "";
    find("unreadable").textContent = this.trouble;
    const button = find("live");
    button.hidden = !this.growing && !this.paused;
    button.setAttribute("aria-pressed", String(!this.paused));
    button.textContent = this.paused ? "Paused" : "Live";
  }
}
