/*
 * source - content outside the repository: a local path, or what a server has behind a URL.
 *
 *  O1  Names below a directory that would leave it are refused before anything is written.
 *  O2  The destination appears by one rename, whole; a failed fetch leaves nothing.
 *
 * Threads: main thread only.
 */
#ifndef DATA_SOURCE_H
#define DATA_SOURCE_H

#include "core/stage/stage.h"

struct config;
struct map;
struct project;
struct remote;
struct err;

struct source_file { char *rel; uint64_t size; char *etag; };
struct source {
	char *url;              /* as given */
	char *abs;              /* local: absolute path; NULL behind a server */
	struct remote *remote;  /* of the URL's parent; 'key' is the name in it */
	char *key;
	bool looked, present, is_dir;
	uint64_t size;
	char *etag, *version;
	struct source_file *v;  /* members of a directory behind a server, sorted by name */
	size_t n, cap;
};

/* abs: for local paths. c may be NULL outside a repository. over: options for the server, or NULL. */
int  source_open(struct source **out, const struct config *c, const char *url, const char *abs, const struct map *over,
		 unsigned jobs, struct err *e);
void source_close(struct source *s);
int  source_look(struct source *s, struct err *e);      /* fills present, is_dir and the members */
/* Hash and metadata as the entry of a dependency; p for local paths. Looks first. */
int  source_hash(struct project *p, struct source *s, struct hashinfo *h, struct meta *m, struct err *e);
/* Copies all to 'to' (absolute, must not exist), through a temporary in 'tmp_dir' or, when NULL, beside it. */
int  source_fetch(struct source *s, const char *to, const char *tmp_dir, struct err *e);
/* The same where something may be already: a file is replaced, directories are merged (DVC's download). */
int  source_fetch_over(struct source *s, const char *to, struct err *e);
/* Moves 'from' over 'to' file by file in that way. */
int  merge_over(const char *from, const char *to, struct err *e);

#endif
