/*
 * yaml_rt - what a value remembers of its text for a round trip: anchor, style, comments. Private to yaml_*.c and to
 * node.c, which frees it.
 */
#ifndef BASE_YAML_RT_H
#define BASE_YAML_RT_H

#include "core/base/compat.h"

struct yaml_rt;
void yaml_rt_free(struct yaml_rt *rt);

#endif
