/*
 * temps - temporaries that a killed process left behind are found and removed by the next one.
 *
 *  V1  Only what is disposable is ever removed: a file, link or tree whose name fs_temp_scratch() made (the name carries
 *      the maker's number and random mark), in a directory that the maker had listed, after the maker has died. A user's bytes
 *      never stand under such a name alone: they are copies, downloads, or text about to replace a metadata file.
 *  V2  A directory is listed before the first temporary is made in it.
 *  V3  The maker holds a lock on its journal, and that alone says that it lives: process numbers repeat in containers.
 *      Where files cannot be locked there is no journal.
 *
 * One journal a process, "git-data.temps.<pid>.<mark>" in the repository's tmp directory, or, for commands that lock none, in a
 * directory of the user's among the machine's temporary files; it is removed by temps_close().
 * Threads: temps_note_fd() from any thread; the rest from the main thread. The journal is process-wide state, as signals are.
 */
#ifndef BASE_TEMPS_H
#define BASE_TEMPS_H

#include "core/base/compat.h"

struct err;

/* Cleans up after dead processes and begins our own journal (nothing is written before the first note). Failures are
 * silent: the worst is a temporary that stays. */
void temps_open(const char *dir);
void temps_note_fd(int dirfd);
void temps_note(const char *dir);       /* the same by path */
/* A name in dir for a temporary tree or file, listed. Main thread. */
char *temps_path(const char *dir);
/* A new directory among the machine's temporary files, listed; NULL when there is no place for one. Main thread. */
char *temps_tree(struct err *e);
/* Removes a temporary of a directory that was noted; one that cannot be stays listed. errno stays. Any thread. */
void temps_remove(int dirfd, const char *name);
void temps_close(void);

#endif
