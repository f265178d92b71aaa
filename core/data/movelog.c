#include "core/data/movelog.h"

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/hash.h"
#include "core/base/notice.h"
#include "core/base/own.h"
#include "core/base/str.h"
#include "core/repo/ignore.h"
#include "core/repo/repo.h"
#include "core/stage/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define NOTE_MAX (1u << 16)
#define POINTER_MAX (64u << 20)

/* Fields of the note, each with a NUL behind it; paths are relative to the root. */
enum field { FROM, TO, OLD_FILE, NEW_FILE, OLD_MD5, IGNORED, FIELDS };

static char *note_path(const struct repo *r)
{
	return path_join(r->tmp_dir, "git-data.move");
}

static int pointer_md5(const struct repo *r, const char *file, char hex[33], struct err *e)
{
	autofree char *abs = repo_abs(r, file);
	autostr struct str text = STR_INIT;
	unsigned char digest[16];

	if (fs_read(&text, abs, POINTER_MAX, e))
		return -1;
	md5_once(text.buf, text.len, digest);
	hex_encode(hex, digest, sizeof(digest));
	return 0;
}

int movelog_begin(struct repo *r, const struct item *from, const struct stage *to, struct err *e)
{
	autofree char *path = note_path(r);
	const char *fields[FIELDS] = { from->path, to->outs[0]->path, from->stage->file, to->file };
	autostr struct str text = STR_INIT;
	char hex[33];

	if (!from->path)
		return 0;
	if (pointer_md5(r, from->stage->file, hex, e))
		return -1;
	fields[OLD_MD5] = hex;
	fields[IGNORED] = from->cache ? "1" : "0";
	for (size_t i = 0; i < FIELDS; i++)
		str_add(&text, fields[i], strlen(fields[i]) + 1);
	return fs_replace(path, text.buf, text.len, 0, e);
}

void movelog_end(struct repo *r)
{
	autofree char *path = note_path(r);

	unlink(path);
}

static bool parse(const struct str *text, const char *field[FIELDS])
{
	const char *at = str_cstr(text), *end = at + text->len;
	size_t n = 0;

	for (; n < FIELDS && at < end; n++) {
		field[n] = at;
		at += strlen(at) + 1;
		if (n <= NEW_FILE && !path_is_safe(field[n]))
			return false;
	}
	return n == FIELDS && at == end && str_ends(field[OLD_FILE], ".dvc") && str_ends(field[NEW_FILE], ".dvc");
}

static bool there(int root, const char *rel)
{
	autoerr struct err none = ERR_INIT;
	const char *base;
	autoclose int dir = fs_parent_beneath(root, rel, false, &base, &none);

	return dir >= 0 && !faccessat(dir, base, F_OK, AT_SYMLINK_NOFOLLOW);
}

static int put_back(int root, const char *to, const char *from, struct err *e)
{
	const char *a, *b;
	autoclose int now = fs_parent_beneath(root, to, false, &a, e);
	autoclose int then = now < 0 ? -1 : fs_parent_beneath(root, from, true, &b, e);

	if (then < 0)
		return -1;
	if (renameat2(now, a, then, b, RENAME_NOREPLACE) && (errno != EINVAL || renameat(now, a, then, b)))
		return err_sys(e, "cannot rename '%s' to '%s'", to, from);
	return 0;
}

static int forget_pointer(int root, const char *rel, struct err *e)
{
	const char *base;
	autoclose int dir = fs_parent_beneath(root, rel, false, &base, e);

	return dir < 0 || (unlinkat(dir, base, 0) && errno != ENOENT) ? -1 : 0;
}

static int ignore(struct repo *r, const char *rel, bool add, struct err *e)
{
	autofree char *abs = repo_abs(r, rel), *file = NULL;

	if (!r->scm_root)
		return 0;
	return add ? gitignore_add(abs, r->scm_root, &file, e) : gitignore_remove(abs, r->scm_root, &file, e);
}

static int take_back(struct repo *r, int root, const char *const *f, struct err *e)
{
	bool old = there(root, f[FROM]), new = there(root, f[TO]);

	if (old && new)                 /* somebody has got it again: two of them, each with its pointer */
		return 0;
	if ((strcmp(f[OLD_FILE], f[NEW_FILE]) && forget_pointer(root, f[NEW_FILE], e)) || (new && put_back(root, f[TO], f[FROM], e)))
		return -1;
	return *f[IGNORED] == '1' ? ignore(r, f[TO], false, e) : 0;
}

static int complete(struct repo *r, const char *const *f, struct err *e)
{
	return *f[IGNORED] == '1' && (ignore(r, f[TO], true, e) || ignore(r, f[FROM], false, e)) ? -1 : 0;
}

void movelog_recover(struct repo *r)
{
	autofree char *path = note_path(r), *from = NULL, *to = NULL;
	autostr struct str text = STR_INIT;
	autoerr struct err none = ERR_INIT, why = ERR_INIT;
	autoclose int root = -1;
	const char *f[FIELDS];
	char hex[33] = "";
	bool back;

	if (access(path, F_OK) || fs_read(&text, path, NOTE_MAX, &none) || !parse(&text, f))
		return;
	root = open(r->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || (pointer_md5(r, f[OLD_FILE], hex, &why) && why.code != ERR_NOTFOUND))
		return;
	back = !strcmp(hex, f[OLD_MD5]);
	if (back ? take_back(r, root, f, &none) : complete(r, f, &none))
		return;
	movelog_end(r);
	from = repo_show(r, f[FROM]);
	to = repo_show(r, f[TO]);
	notice(NOTICE_WARN, "an interrupted move of '%s' to '%s' was %s", from, to, back ? "taken back" : "completed");
}
