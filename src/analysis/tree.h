/* tree.h: the call tree of a profile.
 *
 * Decides: how stacks become a tree. Nodes are frames in their context; node 0 is the root with the sum. Inverted trees
 * start at the allocating frame. Frames that differ in line only are one node when by_function. Children are sorted by
 * bytes, largest first; a node's amount holds its subtree. Nodes are in one array, parents before children.
 * Context: [tool], pure given a resolver.
 */
#ifndef MT_ANALYSIS_TREE_H
#define MT_ANALYSIS_TREE_H

#include "analysis/profile.h"
#include "model/frames.h"

#define MT_TREE_NONE UINT32_MAX

struct mt_tree_node {
    uint32_t frame;        /* id of the resolver; root: MT_TREE_NONE */
    uint32_t parent;       /* root: MT_TREE_NONE */
    uint32_t first_child;  /* MT_TREE_NONE: leaf */
    uint32_t next_sibling; /* MT_TREE_NONE: last */
    uint32_t depth;        /* root 0 */
    uint32_t child_count;
    struct mt_amount amount; /* subtree */
    struct mt_amount self;   /* stacks that end here */
};

struct mt_tree_options {
    bool inverted;
    bool by_function; /* lines do not matter */
    const struct mt_trace_set *labels_of; /* the calls of each label hang on a node of its own below the root; NULL: no such nodes */
    bool tasks; /* of each task instead */
};

struct mt_tree {
    struct mt_tree_node *nodes;
    size_t count;
};

/* options may be NULL. ret to mt_tree_fini. */
mt_status mt_tree_make(const struct mt_profile *profile, struct mt_frames *frames,
                       const struct mt_tree_options *options, struct mt_tree *ret) MT_CHECKED;
void mt_tree_fini(struct mt_tree *tree);

#endif
