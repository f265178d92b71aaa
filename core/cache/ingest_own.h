/*
 * ingest_own - what the engine's own files share. Outside core/cache nobody includes it.
 */
#ifndef CACHE_INGEST_OWN_H
#define CACHE_INGEST_OWN_H

#include "core/cache/ingest.h"

#include <sys/stat.h>

void walk_file_stat(struct walk_file *f, const struct stat *st);

#endif
