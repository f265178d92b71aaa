/*
 * yaml - YAML in (libyaml, within limits) and out (our own emitter, byte-equal to ruamel.yaml as DVC sets it up).
 *
 *  Y1  Scalars resolve by YAML 1.2 core plus ruamel's leftovers (timestamps, '=' and '<<'); %YAML 1.1 is honoured.
 *  Y2  Duplicate keys, several documents, tabs as indentation and bare '=' are refused; anchors and aliases expand
 *      within a limit on the total number of nodes (billion-laughs), depth is at most 256.
 *  Y3  An error names file, line and column and can show the line.
 *  Y4  yaml_dump() gives the bytes DVC gives for a fresh document. A document read with YAML_KEEP and written back by
 *      yaml_dump() keeps comments, key order, flow style and scalar quoting exactly as far as ruamel keeps them.
 *
 * Source: shared format notes 1.4, 1.5; ruamel.yaml 0.19 is the oracle of the tests.
 */
#ifndef BASE_YAML_H
#define BASE_YAML_H

#include "core/base/compat.h"

struct node;
struct str;
struct err;

#define YAML_MAX_DEFAULT (256ull << 20)
enum { YAML_KEEP = 1 };         /* keep what a round trip needs (comments, styles) */

/* An empty document gives NODE_NULL... the caller decides what that means. */
int  yaml_parse(struct node **out, const char *text, size_t len, const char *name, unsigned flags, struct err *e);
int  yaml_load(struct node **out, const char *path, uint64_t max, unsigned flags, struct err *e);
void yaml_dump(struct str *out, const struct node *n);
/* Lists and mappings that were one object of a YAML document, being read from one place, are written as an anchor and
 * aliases to it, as Python's writer does. *count: of anchors given so far. */
void yaml_mark_shared(struct node *n, unsigned *count);
/* Gives the anchors that bear such a writer's names (id001 ...) of a document read with YAML_KEEP the names from
 * 'first' on, in their order. The number of them. */
unsigned yaml_number_anchors(struct node *n, unsigned first);
/* Makes 'dest' (read with YAML_KEEP) equal to 'src', touching only what differs, as DVC's apply_diff does. */
void yaml_apply(struct node *dest, const struct node *src);

/* Why yaml_parse() refused a text, in ruamel's words; lines and columns from 1 (0: no place is told), context NULL when
 * there is none. False: nothing to say (the text is no YAML for reasons of our own limits). */
struct yaml_fault { char *context, *problem; int context_line, context_col, line, col; };
bool yaml_explain(const char *text, size_t len, struct yaml_fault *out);
/* The same as a text of several lines with excerpts, as ruamel's exception prints itself. */
void yaml_fault_text(struct str *out, const struct yaml_fault *f, const char *text, size_t len);
void yaml_fault_release(struct yaml_fault *f);

#endif
