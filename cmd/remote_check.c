/* remote check - connects, and says in plain words what works there and with whose credentials. */
#include "cmd/remote_check.h"

#include "core/base/fs.h"
#include "core/data/remote.h"

#define LISTED_ENOUGH 1000
#define PROBE_TEXT "git data remote check\n"

struct count { uint64_t n; };

static int count_one(const char *key, uint64_t size, const char *etag, void *data, struct err *e)
{
	struct count *c = data;

	(void)key;
	(void)size;
	(void)etag;
	(void)e;
	c->n++;
	return 0;
}

static int say(const char *what, int rc, const char *good, struct err *why)
{
	if (!rc)
		ui_info("%-8s %s", what, good);
	else
		ui_info("%-8s failed: %s", what, why->msg ? why->msg : "unknown reason");
	if (rc && why->hint)
		ui_info("         %s", why->hint);
	err_release(why);
	return rc ? 1 : 0;
}

static int check_list(struct remote *r)
{
	autoerr struct err why = ERR_INIT;
	autofree char *good = NULL;
	struct count c = { 0 };
	int rc;

	if (!(r->caps & REMOTE_LIST)) {
		ui_info("list     not offered by this kind of remote: objects are asked for one by one");
		return 0;
	}
	r->names_only = true;
	rc = r->ops->list(r, "files/md5/00/", count_one, &c, &why);
	good = xasprintf("works (about %llu objects)", (unsigned long long)c.n * 256);
	return say("list", rc, good, &why);
}

/* Whether the object is there or not. */
static int check_one(struct remote *r, const char *what, enum rop_kind kind, const char *key)
{
	autoerr struct err why = ERR_INIT;
	struct rop op = { .kind = kind, .key = key, .fd = -1 };
	enum rclass c = remote_do(r, &op, &why);

	err_release(&op.err);
	return say(what, c != RC_OK && c != RC_ABSENT, "works", &why);
}

static int check_write(struct remote *r, const char *key)
{
	autoerr struct err why = ERR_INIT;
	autostr struct str back = STR_INIT;
	int bad;

	if (!(r->caps & REMOTE_DELETE)) {
		ui_info("write    not tried: what is written to this kind of remote could not be deleted");
		return 0;
	}
	bad = say("write", remote_write_all(r, key, PROBE_TEXT, strlen(PROBE_TEXT), &why), "works", &why);
	if (bad)
		return bad;
	bad = remote_read_all(r, key, 4096, &back, &why);
	if (!bad && strcmp(str_cstr(&back), PROBE_TEXT))
		bad = err_set(&why, ERR_CORRUPT, "other bytes came back than were written");
	return say("read", bad, "works", &why) | check_one(r, "delete", ROP_DELETE, key);
}

int remote_check_run(struct session *s, const char *name, struct err *e)
{
	struct remote *r, *in;
	autofree char *key = NULL;
	char temp[32];
	int bad;

	if (remote_open_named(&r, s->repo, name, 0, e))
		return -1;
	fs_temp_name(temp);
	key = xasprintf(".git-data-check/%.22s", temp + 1);
	ui_info("remote   '%s' at %s", r->name ? r->name : "", r->url);
	bad = check_one(r, "ask", ROP_STAT, key) | check_list(r) | check_write(r, key);
	for (in = r; in->inner; in = in->inner)
		;
	if (in->identity)
		ui_info("as       keys from %s", in->identity);
	remote_close(r);
	if (bad)
		return err_set(e, ERR_FAIL, "the remote is not fully usable");
	return 0;
}
