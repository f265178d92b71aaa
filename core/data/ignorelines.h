/*
 * ignorelines - .gitignore entries of many outputs: each file is read and written once, each rule compiled once.
 */
#ifndef DATA_IGNORELINES_H
#define DATA_IGNORELINES_H

struct project;
struct strvec;
struct err;

/* abs: outputs, absolute. As gitignore_add() for each. */
int  ignorelines_add(struct project *p, const struct strvec *abs, struct err *e);

#endif
