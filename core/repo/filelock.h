/*
 * filelock - one lock file in DVC's two manners: flock, or a hard link for file systems without it.
 *
 *  Waits without a limit, in steps that notice an interrupt; after a moment it names the holder.
 */
#ifndef REPO_FILELOCK_H
#define REPO_FILELOCK_H

#include "core/base/compat.h"

struct err;
struct filelock;

int  filelock_take(struct filelock **out, const char *path, bool hardlink, struct err *e);
void filelock_release(struct filelock *l);              /* NULL is fine */
char *filelock_command(long pid);                           /* its command line; NULL when it cannot be told */

#endif
