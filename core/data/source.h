/*
 * source - content outside the repository: a local path, or what a server has behind a URL.
 *
 *  O1  Names below a directory that would leave it are refused before anything is written.
 *  O2  The destination appears by one rename, whole; a failed fetch leaves nothing.
 *  O3  What a version-aware source says to be its content is what it fetches, whatever is written there meanwhile.
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

struct source_file { char *rel; uint64_t size; char *etag, *version; };
struct source {
	char *url;              /* as given */
	char *abs;              /* local: absolute path; NULL behind a server */
	struct remote *remote;  /* of the URL's parent; 'key' is the name in it */
	char *key;
	char *why;              /* a web server that did not answer: to DVC its files are not there; or NULL */
	bool looked, present, is_dir;
	bool versioned;         /* versions are looked for, and exactly those are fetched (O3) */
	char *want;             /* the version of a file to look at; NULL: the newest */
	uint64_t size;
	char *etag, *version;
	bool made;              /* 'etag' is no header but what DVC makes of the others */
	bool summed;            /* source_is_read(): 'etag' is the MD5 of what was read, the members' too */
	struct source_file *v;  /* members of a directory behind a server, sorted by name */
	size_t n, cap;
};

/* abs: for local paths. c may be NULL outside a repository. over: options for the server, or NULL. */
int  source_open(struct source **out, const struct config *c, const char *url, const char *abs, const struct map *over,
		 unsigned jobs, struct err *e);
/* What a dependency names, with the options of its pointer. */
int  source_open_item(struct project *p, const struct item *d, unsigned jobs, struct source **out, struct err *e);
/* The same as it was recorded, versions and all: there is nothing to look at. */
int  source_open_recorded(struct project *p, const struct item *d, unsigned jobs, struct source **out, struct err *e);
void source_close(struct source *s);
int  source_look(struct source *s, struct err *e);      /* fills present, is_dir and the members */
/* Is it the content behind a server that tells it apart (SSH), as with local files? What was fetched is not read again. */
bool source_is_read(const struct source *s);
/* Hash and metadata as the entry of a dependency; p for local paths. Looks first, and reads what must be read. */
int  source_hash(struct project *p, struct source *s, struct hashinfo *h, struct meta *m, struct err *e);
/* source_hash() into the dependency itself, with the versions of a version-aware source. */
int  source_record(struct project *p, struct source *s, struct item *d, struct err *e);
/* Does it, looked at, have another version of the file than the dependency records? */
bool source_is_newer(const struct source *s, const struct item *d);
/* The error that it is not there; paths in the repository are shown relative to the user's directory. Always -1. */
int  source_missing(struct project *p, const struct source *s, struct err *e);
/* Copies all to 'to' (absolute, must not exist), through a temporary in 'tmp_dir' or, when NULL, beside it. */
int  source_fetch(struct source *s, const char *to, const char *tmp_dir, struct err *e);
/* The same where something may be already: a file is replaced, directories are merged (DVC's download). */
int  source_fetch_over(struct source *s, const char *to, struct err *e);
/* Moves 'from' over 'to' file by file in that way. */
int  merge_over(const char *from, const char *to, struct err *e);

#endif
