/*
 * table - all commands, from commands.def.
 */
#include "cmd/cmd.h"

#define CMD(name) extern const struct cmd cmd_##name;
#include "cmd/commands.def"
#undef CMD

const struct cmd *const all_commands[] = {
#define CMD(name) &cmd_##name,
#include "cmd/commands.def"
#undef CMD
	NULL
};
