/*
 * What the tables of schema.h are written with; for the files that hold one.
 *
 *	LIST_OF(paths, schema_str);
 *	MAP_WITH(out, { "path", &schema_str, true }, ROW("files", paths));
 */
#ifndef STAGE_SCHEMA_TABLE_H
#define STAGE_SCHEMA_TABLE_H

#include "core/stage/schema.h"

#define ROW(name, sub) { name, &sub, false }
#define ONE_OF(name, ...) \
	static const struct schema *const name##_of[] = { __VA_ARGS__, NULL }; \
	static const struct schema name = { .kind = SCHEMA_EITHER, .of = name##_of }
#define LIST_OF(name, sub) \
	static const struct schema *const name##_of[] = { &sub, NULL }; \
	static const struct schema name = { .kind = SCHEMA_SEQ, .of = name##_of }
#define MAP_WITH(name, ...) \
	static const struct schema_key name##_keys[] = { __VA_ARGS__, SCHEMA_KEYS_END }; \
	static const struct schema name = { .kind = SCHEMA_MAP, .keys = name##_keys }

#endif
