/*
 * init - makes a repository, and takes one down.
 *
 *  A repository exists once .dvc does; everything in it is written before its directory gets its name, so that a killed
 *  init leaves either nothing or a whole one.
 */
#ifndef REPO_INIT_H
#define REPO_INIT_H

#include "core/base/compat.h"

struct err;

struct init_opts { bool no_scm, subdir, force; };
int  repo_init(const char *dir, const struct init_opts *o, struct err *e);

#endif
