/*
 * repolock - the locks shared with DVC: .dvc/tmp/lock (flock) and the path locks in .dvc/tmp/rwlock.
 *
 *  K1  BSD flock, never fcntl; the lock file is never unlinked; "<blank>pid\n" is written after it was obtained.
 *  K2  Waiting is the default and names the holder (pid and command) once; a dead holder's path locks are removed.
 *  K3  rwlock is edited only under rwlock.lock and never written empty (a power cut may leave it so: it then holds nothing);
 *      its keys are absolute paths.
 *  K4  Path locks never wait while the repository lock is held (two waiters would hold each other up): taking them fails
 *      with ERR_LOCKED and DVC's words.
 *  K5  A repository from somebody else may hold links where the locks lie: none is followed, and a file there that does not
 *      look like a lock is locked but not written to.
 *
 * Source: format notes 2.11.
 */
#ifndef REPO_REPOLOCK_H
#define REPO_REPOLOCK_H

#include "core/base/compat.h"

struct repo;
struct strvec;
struct err;
struct repolock;

int  repolock_take(struct repolock **out, struct repo *r, struct err *e);
void repolock_release(struct repolock *l);              /* NULL is fine */
/* For the runner: give the repository lock back while a command runs, take it again after. */
void repolock_pause(struct repolock *l);
int  repolock_resume(struct repolock *l, struct err *e);

void repolock_host(char out[9]);                        /* a mark of this machine: process numbers mean nothing on another */

struct pathlock;
int  pathlock_take(struct pathlock **out, struct repo *r, const struct strvec *read, const struct strvec *write,
		   const char *cmd, struct err *e);     /* absolute paths */
/* Gives *before back (NULL is fine) and takes these in one go; *before is NULL after that, or not given back on failure. */
int  pathlock_exchange(struct pathlock **out, struct pathlock **before, struct repo *r, const struct strvec *read,
		       const struct strvec *write, const char *cmd, struct err *e);
void pathlock_release(struct pathlock *l);              /* NULL is fine */
/* Numbers of the killed processes whose locks on these paths were removed. */
const struct strvec *pathlock_dead(const struct pathlock *l);

#endif
