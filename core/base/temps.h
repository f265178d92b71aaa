/*
 * temps - temporaries that a killed process left behind are found and removed by the next one.
 *
 *  V1  Only what is disposable is ever removed: a regular file or link whose name fs_temp_scratch() made (the name carries
 *      the maker's pid and a mark), in a directory that the maker had listed, after the maker has died. A user's bytes
 *      never stand under such a name alone: they are copies, or text about to replace a metadata file.
 *  V2  A directory is listed before the first temporary is made in it.
 *
 * One journal a process, "git-data.temps.<pid>" in the repository's tmp directory; it is removed by temps_close().
 * Threads: temps_note_fd() from any thread; the rest from the main thread. The journal is process-wide state, as signals are.
 */
#ifndef BASE_TEMPS_H
#define BASE_TEMPS_H

#include "core/base/compat.h"

/* Cleans up after dead processes and begins our own journal (nothing is written before the first note). Failures are
 * silent: the worst is a temporary that stays. */
void temps_open(const char *dir);
void temps_note_fd(int dirfd);
void temps_note(const char *dir);       /* the same by path */
void temps_close(void);

#endif
