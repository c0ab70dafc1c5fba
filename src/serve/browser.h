/* browser.h: shows a page in the person's browser, by what the desktop has for that (xdg-open). Context: [tool]. */
#ifndef MT_SERVE_BROWSER_H
#define MT_SERVE_BROWSER_H

/* Does not wait; says where there is none. */
void mt_browser_open(const char *url);

#endif
