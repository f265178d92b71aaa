/*
 * wtree - one path of the work tree as it is now: absent, a file, or a directory with all its members.
 *
 *  V1  Files ignored by .dvcignore are not members; an ignored path itself counts as absent.
 *  V2  The id of a directory whose members all have the stats of its last reading is answered from the state: no member
 *      is looked up. The racy rule holds: a member changed at the time of that reading, or after it, is never trusted.
 *  V3  Nothing is stored but private state.
 *
 * Ownership: a wtree owns everything below it.
 */
#ifndef DATA_WTREE_H
#define DATA_WTREE_H

#include "core/base/str.h"
#include "core/cache/ingest.h"
#include "core/cache/oid.h"

#include <sys/stat.h>

struct project;
struct tree;
struct err;

struct wtree {
	bool present, is_dir;
	bool is_link;                   /* the path itself is a symlink */
	bool has_exec;                  /* some member has an exec bit */
	bool has_id, has_ids;           /* id is set; every member's id is set */
	char *ignore_file;              /* a .dvcignore that lies inside, or NULL: add, commit and status refuse that */
	bool legacy;
	struct stat st;                 /* of what the path leads to */
	struct oid id;
	struct walk_file self;          /* a file: its own stat, as members have it */
	struct walk walk;               /* members of a directory */
	struct strvec broken;           /* links that lead nowhere: no members */
	struct strvec dirs;             /* directories below it, sorted by bytes, empty ones and links to directories too */
	uint64_t size;
	struct project *p;              /* borrowed */
	char *abs;
};
#define WTREE_INIT { .walk = { 0 }, .broken = STRVEC_INIT, .dirs = STRVEC_INIT }
#define autowtree __attribute__((cleanup(wtree_release))) struct wtree

enum {
	WTREE_ID = 1,                   /* the id of the whole is wanted */
	WTREE_IDS = 2,                  /* every member's id as well */
	WTREE_DEPENDENCY = 4,           /* the path itself may be ignored (DVC's rule for dependencies) */
};
/* rel: root-relative; an absolute path for what lies outside (no ignore rules there). */
int  wtree_read(struct project *p, const char *rel, bool legacy, unsigned want, struct wtree *out, struct err *e);
/* Fills the members' ids when only WTREE_ID was asked for. */
int  wtree_ids(struct wtree *w, struct err *e);
void wtree_release(struct wtree *w);
/* The manifest of what is there; needs the ids. */
struct tree *wtree_tree(const struct wtree *w);
/* The path exists for DVC: there, not a broken link, not ignored. */
int  wtree_exists(struct project *p, const char *rel, bool *out, struct err *e);

#endif
