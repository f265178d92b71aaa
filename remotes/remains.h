/*
 * remains - the temporaries that killed pushes left in a directory remote are removed by a later one.
 *
 *  D1  A journal in the remote's own directory names the directories in which its maker makes temporaries, each before the first
 *      one. Paths in it are relative to the remote: other machines and containers see it elsewhere.
 *  D2  The maker holds an flock on its journal while it works. The same running kernel and the same mounted file system as ours
 *      (the journal's first line): the lock says whether the maker lives. Elsewhere a lock may not be seen (NFS without
 *      locks), so a free one counts only once the journal and the temporary were not written to for a day.
 *  D3  Only regular files are removed, whose name is of that very maker (fs_temp_scratch()); and a part (local.c P1) that nobody
 *      has locked and that nobody wrote to for a week, since a later push of that file goes on with it.
 *  D4  Nothing grows with the remote: what is looked at is its top directory and, after a death, the directories listed.
 *  D5  A journal goes when all that it listed is gone; what cannot be removed (another user's) stays listed.
 *
 * DVC looks only below "files", "runs" and the 256 prefixes, and passes the journal over. Failures are silent: the worst is a
 * temporary that stays, as it does where files cannot be locked or the remote's directory cannot be written to.
 *
 * Threads: open and close in one; the rest from any.
 */
#ifndef REMOTES_REMAINS_H
#define REMOTES_REMAINS_H

#include "core/base/compat.h"

struct remains;

struct remains *remains_open(const char *dir);          /* cleans up after the dead; makes nothing */
/* A directory (D1), "." for the remote's own. False: that one does not exist; make it and note again. */
bool remains_note(struct remains *r, const char *rel);
void remains_note_part(struct remains *r, const char *rel);
void remains_keep(struct remains *r);                   /* something that was noted is left behind: a later push looks again */
void remains_close(struct remains *r);                  /* NULL is fine */

#endif
