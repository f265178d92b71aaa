/* What template.c and expand.c share. Not for others. */
#ifndef STAGE_TEMPLATE_PRIV_H
#define STAGE_TEMPLATE_PRIV_H

#include "core/base/str.h"
#include "core/stage/template.h"

struct tctx;

/* The class of the last failure: it decides the layout of the message. */
enum tmpl_fail { TMPL_FAIL_OTHER, TMPL_FAIL_PARSE, TMPL_FAIL_MERGE, TMPL_FAIL_LOADED, TMPL_FAIL_KEY, TMPL_FAIL_RAW };

/* Where a value stands: the root-relative file (NULL or "": in none) and the keys to it, joined by dots. */
struct tmpl_origin { const char *file; struct str path; const struct node *value; };

struct tmpl {
	struct tmpl_env env;
	char *show;                     /* the dvc.yaml as people see it */
	const struct node *doc;         /* borrowed */
	struct tctx *ctx;
	struct node **docs;
	size_t ndocs, docs_cap;
	struct strvec sources;
	enum tmpl_fail fail;
	const struct node *item, *key;  /* of the group being expanded */
	struct tmpl_origin item_at;
	struct node *used;              /* file -> key -> value, of what stages used; NULL: nobody asked */
	const char *reserved[2];
	uint64_t made;                  /* bytes of text made so far: bounded */
};

struct tctx *tctx_new(void);
void tctx_free(struct tctx *c);
struct tctx *tctx_clone(const struct tctx *from);
bool tctx_has(const struct tctx *c, const char *key);
int  tctx_load(struct tmpl *t, struct tctx *c, const struct node *vars, const char *dir, const char *stage,
	       bool with_default, struct err *e);

bool tmpl_is_expression(const struct node *n);          /* one ${...} and nothing else */
int  tmpl_unexpected(struct tmpl *t, struct err *e, const char *words);         /* where Python trips; "": wordless */
int  tmpl_check_syntax(struct tmpl *t, const struct node *n, struct err *e);
int  tmpl_add_text(struct tmpl *t, struct str *out, const struct node *v, struct err *e);
void tmpl_origin_of(struct tmpl *t, const struct node *src, struct tmpl_origin *o);     /* of "${...}", else nothing */
int  tmpl_resolve_str(struct tmpl *t, const struct tctx *c, const struct node *src, const char *key, bool checked,
		      struct node **out, struct err *e);
int  tmpl_resolve(struct tmpl *t, const struct tctx *c, const struct node *src, const char *key, bool checked,
		  struct node **out, struct err *e);

#endif
