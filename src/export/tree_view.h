/* tree_view.h: the call tree for people and for programs.
 *
 * Decides: which nodes are shown: the `rows` largest (a parent is never smaller than its child, so they hang together);
 * what is left out is said where it is missing. A child that carries (nearly) all of its parent and has no shown
 * sibling is drawn without a further indent, so that a deep chain reads like a stack. JSON is flat, parents before
 * children, because recursive parsers give up at a depth of about a thousand and stacks do not. Context: [tool].
 */
#ifndef MT_EXPORT_TREE_VIEW_H
#define MT_EXPORT_TREE_VIEW_H

#include "analysis/tree.h"
#include "export/report.h"

/* tree->count >= 1. */
void mt_tree_view_write(struct mt_out *out, const struct mt_report *report, const struct mt_tree *tree);

#endif
