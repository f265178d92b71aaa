/*
 * movelog - a note of the move that is being made, so that one that was killed half way is taken back or completed.
 *
 *  V1  It is written before the data moves and removed when everything is done, both under the repository lock: who has
 *      the lock and finds one looks at the work of a dead process.
 *  V2  While the old pointer stands as it was, the move is taken back; without it, it is completed.
 *  V3  What is moved back never covers anything, and no link leads out of the repository.
 */
#ifndef DATA_MOVELOG_H
#define DATA_MOVELOG_H

struct err;
struct item;
struct repo;
struct stage;

int  movelog_begin(struct repo *r, const struct item *from, const struct stage *to, struct err *e);
void movelog_end(struct repo *r);
/* Failures are silent: the state is that of the kill, and the note stays. */
void movelog_recover(struct repo *r);

#endif
