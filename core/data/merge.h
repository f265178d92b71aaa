/*
 * merge - git's merge driver for .dvc files and dvc.lock.
 *
 *  J1  Three-way on the documents: what one side left as it was takes the other side's value; maps merge by key, outputs
 *      by path, stages by name. Two tracked directories merge by their manifests.
 *  J2  A conflict changes nothing: the file stays "ours" and git marks it.
 *  J3  The merged manifest is in the cache before the file names it.
 */
#ifndef DATA_MERGE_H
#define DATA_MERGE_H

struct project;
struct err;

/* Reads the three versions and writes the result over 'our'. A conflict exits 1. */
int  merge_driver(struct project *p, const char *ancestor, const char *our, const char *their, struct err *e);

#endif
