/*
 * clone - private copies of git repositories, made and refreshed with the git program.
 *
 *  K1  A copy is kept for the next time and belongs to one process at a time, which holds the lock beside it. When another
 *      process has it, or it can be kept nowhere, the clone is a temporary one.
 *  K2  Its work tree is the commit and nothing else, whatever an earlier process left there when it was killed.
 *  K3  A copy that git cannot work with is made anew before anything is reported.
 *  K4  The work tree has no symbolic links: a link of the commit is a file of its target's name, which is what DVC reads
 *      out of git, so that a repository of others cannot name the user's own files.
 */
#ifndef DATA_CLONE_H
#define DATA_CLONE_H

#include "core/base/compat.h"

struct err;

struct clone {
	char *root;             /* work tree, absolute */
	bool temporary;
	int lock;               /* of the copy that is kept; -1 */
};
#define CLONE_INIT { NULL, false, -1 }

/* A work tree of url at rev (NULL: its default branch). DVC's words when it cannot be had. */
int  clone_get(struct clone *c, const char *url, const char *rev, struct err *e);
void clone_release(struct clone *c);

#endif
