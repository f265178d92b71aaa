/*
 * datasets - the 'datasets' sections of all dvc.yaml files with what the dvc.lock beside each says of them.
 *
 *  D1  A lock counts only while it is of the same name, address and kind as the declaration.
 *  D2  What a stage records of a dataset is the lock's content in DVC's order of keys, defaults left out.
 */
#ifndef STAGE_DATASETS_H
#define STAGE_DATASETS_H

#include <stdbool.h>

struct repo;
struct srctree;
struct node;
struct err;

/* {name: {"spec": ..., "lock": ...}} of a tree. */
int datasets_collect(struct repo *r, struct srctree *t, struct node **out, struct err *e);
/*
 * The lock of the dataset that 'ds://name' names, as a stage records it; *lock NULL: there is none that counts, *stale
 * tells whether there is one of another declaration. An unknown name or kind is an error.
 */
int datasets_lock(const struct node *all, const char *url, struct node **lock, bool *stale, struct err *e);
/* The same form of what a stage had recorded; NULL when it had nothing that can be read. */
struct node *datasets_recorded(const struct node *was);

#endif
