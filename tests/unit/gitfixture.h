/* gitfixture - a git repository below the scratch directory, made by the git program. Include after scratch.h. */
#ifndef UNIT_GITFIXTURE_H
#define UNIT_GITFIXTURE_H

#include <stdlib.h>

static void git_here(const char *dir, const char *commands)
{
	autofree char *line = xasprintf("cd '%s' && export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org "
					"GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org && { %s ; } >/dev/null 2>&1",
					in_scratch(dir), commands);

	if (system(line))
		fail_msg("git: %s", commands);
}

#endif
