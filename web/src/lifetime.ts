// lifetime.ts: how long what a page listens to lasts. A page that follows a recording is put together anew for new data; what the old one
// listened to outside its own elements ends with it.

let controller = new AbortController();

export const lifetime = {
  get signal(): AbortSignal {
    return controller.signal;
  },
  renew(): void {
    controller.abort();
    controller = new AbortController();
  },
};
