/*
 * unsynced_own - the facts that unsynced remembers, read, joined and written. Outside unsynced*.c nobody includes it.
 *
 *  Joining two sets of facts loses none of either: spans are united, what is good stays good for its spans.
 *
 * Ownership: facts_release() frees what a struct facts holds. Threads: one struct belongs to one thread at a time.
 */
#ifndef CACHE_UNSYNCED_OWN_H
#define CACHE_UNSYNCED_OWN_H

#include "core/base/map.h"
#include "core/cache/oid.h"

#include <sys/stat.h>

struct str;

#define BOOT_ID_MAX 40

/* fresh: made of an earlier boot's mark just now; another process may have made the same one a moment before. */
struct span { int64_t from, to; bool fresh; };
struct good { int64_t upto; struct binset ids; };      /* verified when no span ended later */

struct facts {
	char boot[BOOT_ID_MAX];         /* the running one */
	bool dirty;                     /* its mark stands */
	int64_t since, last;
	struct span *span;              /* in order of age */
	size_t nspans, spans_cap;
	struct good *good;              /* sorted by upto */
	size_t ngood, good_cap;
};

#define FACTS_INIT { .dirty = false }

void facts_init(struct facts *f, const char boot[BOOT_ID_MAX]);
void facts_release(struct facts *f);
#define autofacts __attribute__((cleanup(facts_release)))
/* Into empty facts what the file, or the text on the directory, says: 0; 1 when there is none; -1 when it cannot be read, or
 * is none of ours. */
int  facts_load(struct facts *f, int dirfd, const char *name);
int  facts_load_mark(struct facts *f, int dirfd, const char *name);
int  facts_read(struct facts *f, const char *text, size_t n);           /* the same of a text: 0 or -1 */
bool facts_join_spans(struct facts *f, const struct facts *more);       /* without its mark; true: it had news */
bool facts_join_good(struct facts *f, const struct facts *more);
void facts_suspect_all(struct facts *f);                                /* U3; nothing when all were suspect before */
/* The latest end of a span that holds such a file, 0 when none does; the second asks if it was verified since. */
int64_t facts_suspect(const struct facts *f, const struct stat *st);
bool facts_is_good(const struct facts *f, const struct oid *id, int64_t upto);
bool facts_add_good(struct facts *f, const struct oid *id, int64_t upto);       /* true: it was not listed with this end */
int64_t facts_newest(const struct facts *f);                            /* the latest end of a span; 0: there is none */
bool facts_any_fresh(const struct facts *f);
void facts_text(struct str *out, const struct facts *f);                /* of the file */
void facts_mark_text(struct str *out, struct facts *f); /* of the directory: no 'ok', the oldest spans joined until it fits */
/* The mark as it stands in a file: always the first line and always as long. */
void facts_mark_line(struct str *out, const struct facts *f);
size_t facts_last_at(const struct facts *f);                            /* where its last field begins */
int64_t facts_now(void);

#endif
