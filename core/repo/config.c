/* config - DVC's four levels of settings. See config.h. */
#include "core/repo/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <strings.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/own.h"
#include "core/base/proc.h"
#include "core/repo/configobj.h"
#include "core/repo/configschema.h"
#include "core/repo/ownconf.h"

#define CONFIG_MAX (256u << 10)         /* thousands of remotes; duplicates are looked for one by one */
#define LOCK_POLL_MS 10
#define LOCK_PATIENCE_MS 30000

struct level {
	char *file;             /* NULL: outside a repository */
	char *dir;
	int lock;               /* the directory, flocked; -1: it is not */
	struct cobj obj;
};
struct config {
	char *dvc_dir;
	struct level level[CONFIG_LEVELS];
	struct ownconf *own;
};

/* --- files --------------------------------------------------------------------------------------------------------- */

static char *home_dir(void)
{
	const char *home = getenv("HOME");
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (home && *home)
		return xstrdup(home);
	if (!getpwuid_r(getuid(), &pw, buf, sizeof(buf), &found) && found)
		return xstrdup(found->pw_dir);
	return xstrdup("/");
}

static char *user_dir(const char *env_name, const char *app)
{
	const char *env = env_name ? getenv(env_name) : NULL, *xdg = getenv("XDG_CONFIG_HOME");
	autofree char *home = home_dir();

	if (env && *env)
		return path_abs(env);
	if (xdg && *xdg)
		return path_join(xdg, app);
	return xasprintf("%s/.config/%s", home, app);
}

static char *system_dir(const char *env_name, const char *app)
{
	const char *env = env_name ? getenv(env_name) : NULL, *xdg = getenv("XDG_CONFIG_DIRS");
	autofree char *first = NULL;

	if (env && *env)
		return path_abs(env);
	if (xdg && *xdg) {
		first = xstrndup(xdg, strcspn(xdg, ":"));
		return path_join(first, app);
	}
	return xasprintf("/etc/xdg/%s", app);
}

static void set_level(struct level *l, char *dir, const char *name)
{
	l->dir = dir;
	l->file = dir ? path_join(dir, name) : NULL;
	l->lock = -1;
}

/* DVC looks for paths before it checks anything: a list where one belongs, a value where a section belongs. */
static int check_option(const struct cobj_sec *s, const struct cobj_opt *o, struct err *e)
{
	static const char *const maps[] = { "remote", "machine", "cache" };

	if (o->is_list && configschema_is_path(s->name, o->name))
		return err_set(e, ERR_FAIL, "unexpected error - expected string or bytes-like object, got 'list'");
	for (size_t i = 0; i < ARRAY_LEN(maps) && !o->is_section; i++)
		if (!strcmp(*s->name ? s->name : o->name, maps[i]) && (!*s->name || i < 2))
			return err_set(e, ERR_FAIL, "unexpected error - expected a dictionary for dictionary value @ data"
				       "['%s']%s%s%s", maps[i], *s->name ? "['" : "", *s->name ? o->name : "",
				       *s->name ? "']" : "");
	return 0;
}

static int check_paths(const struct level *l, struct err *e)
{
	for (size_t i = 0; i < l->obj.n; i++)
		for (size_t k = 0; k < l->obj.sec[i].n; k++)
			if (check_option(&l->obj.sec[i], &l->obj.sec[i].v[k], e))
				return -1;
	return 0;
}

static int read_level(struct level *l, struct err *e)
{
	autostr struct str s = STR_INIT;
	autoerr struct err why = ERR_INIT;

	cobj_release(&l->obj);
	if (l->file && fs_read(&s, l->file, CONFIG_MAX, &why)) {
		if (why.code != ERR_NOTFOUND) {
			err_move(e, &why);
			return err_in(e, "cannot read the configuration");
		}
		str_reset(&s);
	}
	return cobj_parse(&l->obj, str_cstr(&s), s.len, e) || check_paths(l, e) ? -1 : 0;
}

static int read_all(struct config *c, struct err *e)
{
	for (int l = 0; l < CONFIG_LEVELS; l++)
		if (read_level(&c->level[l], e))
			return -1;
	ownconf_close(c->own);
	c->own = ownconf_open(system_dir(NULL, "git-data"), user_dir(NULL, "git-data"), c->dvc_dir, e);
	return c->own ? 0 : -1;
}

int config_open(struct config **out, const char *dvc_dir, struct err *e)
{
	struct config *c = xcalloc(1, sizeof(*c));

	c->dvc_dir = xstrdup(dvc_dir);
	set_level(&c->level[CONFIG_SYSTEM], system_dir("DVC_SYSTEM_CONFIG_DIR", "dvc"), "config");
	set_level(&c->level[CONFIG_GLOBAL], user_dir("DVC_GLOBAL_CONFIG_DIR", "dvc"), "config");
	set_level(&c->level[CONFIG_REPO], xstrdup(dvc_dir), "config");
	set_level(&c->level[CONFIG_LOCAL], xstrdup(dvc_dir), "config.local");
	if (read_all(c, e)) {
		config_close(c);
		return -1;
	}
	*out = c;
	return 0;
}

void config_close(struct config *c)
{
	if (!c)
		return;
	for (int l = 0; l < CONFIG_LEVELS; l++) {
		cobj_release(&c->level[l].obj);
		if (c->level[l].lock >= 0)
			close(c->level[l].lock);
		free(c->level[l].file);
		free(c->level[l].dir);
	}
	ownconf_close(c->own);
	free(c->dvc_dir);
	free(c);
}

/* Where directories cannot be locked (some network file systems) it goes on without. */
static int lock_level(struct level *l, struct err *e)
{
	int fd = open(l->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int ms = 0; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK; ms += LOCK_POLL_MS) {
		struct timespec pause = { 0, LOCK_POLL_MS * 1000000L };

		if (proc_check(e) || ms >= LOCK_PATIENCE_MS) {
			close(fd);
			return proc_cancelled() ? -1 :
				err_set(e, ERR_LOCKED, "'%s' is being changed by another process", l->file);
		}
		nanosleep(&pause, NULL);
	}
	l->lock = fd;
	return 0;
}

/* Always in the order of the levels: two writers cannot wait for each other. */
int config_lock(struct config *c, enum config_level from, struct err *e)
{
	for (int l = (int)from; l < CONFIG_LEVELS; l++) {
		struct level *lv = &c->level[l];
		bool same = l > (int)from && lv->dir && c->level[l - 1].dir && !strcmp(lv->dir, c->level[l - 1].dir);

		if (lv->dir && lv->lock < 0 && !same && lock_level(lv, e))
			return -1;
	}
	return read_all(c, e);
}

const char *config_file(const struct config *c, enum config_level l)
{
	return c->level[l].file;
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

static const struct cobj_opt *find_at(const struct config *c, int l, const char *section, const char *option)
{
	return cobj_option(cobj_section(&c->level[l].obj, section), option);
}

static const struct cobj_opt *find_below(const struct config *c, int upto, const char *section, const char *option,
					 int *level)
{
	for (int l = upto; l-- > 0;) {
		const struct cobj_opt *o = find_at(c, l, section, option);

		if (o) {
			*level = l;
			return o;
		}
	}
	return NULL;
}

static const struct strvec *opt_value(const struct cobj_opt *o, bool *is_list)
{
	if (!o || o->is_section)
		return NULL;
	*is_list = o->is_list;
	return &o->v;
}

const struct strvec *config_value_at(const struct config *c, enum config_level l, const char *section, const char *option,
				     bool *is_list)
{
	return opt_value(find_at(c, (int)l, section, option), is_list);
}

const struct strvec *config_value_below(const struct config *c, int upto, const char *section, const char *option,
					bool *is_list)
{
	int l;

	return opt_value(find_below(c, upto, section, option, &l), is_list);
}

/* A list has no single value; it counts as its first item where one is asked for. */
static const char *opt_text(const struct cobj_opt *o)
{
	return o && !o->is_section && o->v.n ? o->v.v[0] : NULL;
}

const char *config_get(const struct config *c, const char *section, const char *option)
{
	int l;

	return opt_text(find_below(c, CONFIG_LEVELS, section, option, &l));
}

const char *config_get_at(const struct config *c, enum config_level l, const char *section, const char *option)
{
	return opt_text(find_at(c, (int)l, section, option));
}

bool config_bool(const struct config *c, const char *section, const char *option, bool otherwise)
{
	const char *v = config_get(c, section, option);

	return !v ? otherwise : !strcasecmp(v, "true");
}

int64_t config_int(const struct config *c, const char *section, const char *option, int64_t otherwise)
{
	const char *v = config_get(c, section, option);
	autostr struct str digits = STR_INIT;
	int64_t i;

	for (const char *p = v; p && *p; p++)
		if (!strchr("_+ \t", *p))
			str_addc(&digits, *p);
	return v && str_to_i64(str_cstr(&digits), &i) ? i : otherwise;
}

void config_list(const struct config *c, const char *section, const char *option, struct strvec *out)
{
	int l;
	const struct cobj_opt *o = find_below(c, CONFIG_LEVELS, section, option, &l);
	autostrvec struct strvec parts = STRVEC_INIT;

	if (!opt_text(o))
		return;
	if (o->is_list)
		for (size_t i = 0; i < o->v.n; i++)
			strvec_push(&parts, o->v.v[i]);
	else
		strvec_split(&parts, o->v.v[0], ',');
	for (size_t i = 0; i < parts.n; i++) {
		autofree char *t = str_trim_dup(parts.v[i]);

		if (*t)
			strvec_push(out, t);
	}
}

static bool has_scheme(const char *v)
{
	size_t n = 0;

	while ((v[n] >= '0' && v[n] <= '9') || (v[n] >= 'A' && v[n] <= 'Z') || (v[n] >= 'a' && v[n] <= 'z') ||
	       v[n] == '_' || (unsigned char)v[n] >= 0x80)
		n++;
	return n && !strncmp(v + n, "://", 3);
}

/* As os.path.expanduser; NULL when nothing expands. */
static char *expand_user(const char *v)
{
	size_t n = strcspn(v, "/");
	autofree char *home = NULL, *name = NULL;
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (*v != '~')
		return NULL;
	if (n == 1) {
		home = home_dir();
	} else {
		name = xstrndup(v + 1, n - 1);
		if (getpwnam_r(name, &pw, buf, sizeof(buf), &found) || !found)
			return NULL;
		home = xstrdup(found->pw_dir);
	}
	while (*home && home[strlen(home) - 1] == '/')
		home[strlen(home) - 1] = 0;
	return *home || v[n] ? xasprintf("%s%s", home, v + n) : xstrdup("/");
}

char *config_resolve(const struct config *c, enum config_level l, const char *value)
{
	autofree char *user = NULL, *full = NULL;

	if (has_scheme(value) || *value == '/')
		return xstrdup(value);
	user = expand_user(value);
	if (user && *user == '/')
		return take(user);
	full = path_join(c->level[l].dir, value);
	return path_abs(full);
}

char *config_path(const struct config *c, const char *section, const char *option)
{
	int l;
	const char *v = opt_text(find_below(c, CONFIG_LEVELS, section, option, &l));

	if (!v)
		return NULL;
	return configschema_is_path(section, option) ? config_resolve(c, (enum config_level)l, v) : xstrdup(v);
}

static void push_once(struct strvec *out, const char *s)
{
	if (!strvec_has(out, s))
		strvec_push(out, s);
}

static void level_sections(const struct config *c, int l, struct strvec *out)
{
	const struct cobj *o = &c->level[l].obj;

	for (size_t i = 0; i < o->n; i++) {
		bool named = str_starts(o->sec[i].name, "remote \"") || str_starts(o->sec[i].name, "db \"");

		if (!i)         /* stray options before any section: unknown names, or ignored as DVC does */
			for (size_t k = 0; k < o->sec[0].n; k++) {
				const char *const *s = configschema_sections;

				while (*s && strcmp(*s, o->sec[0].v[k].name))
					s++;
				if (!*s)
					push_once(out, o->sec[0].v[k].name);
			}
		else if (o->sec[i].depth == 1 || named)
			push_once(out, o->sec[i].name);
	}
}

void config_sections_below(const struct config *c, int upto, struct strvec *out)
{
	for (int l = 0; l < upto; l++)
		level_sections(c, l, out);
}

void config_sections(const struct config *c, enum config_level l, struct strvec *out)
{
	if (l == CONFIG_MERGED)
		config_sections_below(c, CONFIG_LEVELS, out);
	else
		level_sections(c, (int)l, out);
}

static void level_options(const struct config *c, int l, const char *section, struct strvec *out)
{
	const struct cobj_sec *s = *section ? cobj_section(&c->level[l].obj, section) : NULL;

	for (size_t i = 0; s && i < s->n; i++)
		if (!s->v[i].is_section || strcmp(section, "remote"))
			push_once(out, s->v[i].name);
}

void config_options_below(const struct config *c, int upto, const char *section, struct strvec *out)
{
	for (int l = 0; l < upto; l++)
		level_options(c, l, section, out);
}

void config_options(const struct config *c, enum config_level l, const char *section, struct strvec *out)
{
	if (l == CONFIG_MERGED)
		config_options_below(c, CONFIG_LEVELS, section, out);
	else
		level_options(c, (int)l, section, out);
}

bool config_has_section_at(const struct config *c, enum config_level l, const char *section)
{
	return *section && cobj_section(&c->level[l].obj, section);
}

void config_remotes(const struct config *c, struct strvec *names)
{
	autostrvec struct strvec all = STRVEC_INIT;

	config_sections_below(c, CONFIG_LEVELS, &all);
	for (size_t i = 0; i < all.n; i++)
		if (str_starts(all.v[i], "remote \""))
			strvec_take(names, xstrndup(all.v[i] + 8, strlen(all.v[i]) - 9));
}

bool config_has_remote(const struct config *c, const char *name)
{
	autofree char *section = xasprintf("remote \"%s\"", name);

	str_lower(&section);
	for (int l = 0; l < CONFIG_LEVELS; l++)
		if (cobj_section(&c->level[l].obj, section))
			return true;
	return false;
}

static const char *past_head(const char *msg)
{
	static const char head[] = "configuration error - ";

	return str_starts(msg, head) ? msg + sizeof(head) - 1 : msg;
}

int config_check_options(const struct config *c, const char *url, const struct map *options, struct err *e)
{
	autofree char *name = NULL, *section = NULL, *scheme = NULL, *msg = NULL;

	if (str_starts(url, "remote://")) {
		name = xstrndup(url + 9, strcspn(url + 9, "/"));
		section = xasprintf("remote \"%s\"", name);
		url = c ? config_get(c, section, "url") : NULL;
	}
	if (!url)                       /* whoever opens it says so */
		return 0;
	scheme = configschema_scheme(url);
	if (!configschema_check_options(scheme, options, e))
		return 0;
	msg = xstrdup(past_head(e->msg));
	err_release(e);
	return err_set(e, ERR_CONFIG, "%s", msg);
}

int config_check_remote(struct config *c, const char *section, struct err *e)
{
	autofree char *name = xstrndup(section + 8, strlen(section) - 9);
	autofree char *where = xasprintf("data['remote']['%s']", name), *msg = NULL;
	const char *msg0, *at;

	if (!configschema_check(c, CONFIG_LEVELS, false, e))
		return 0;
	msg0 = past_head(e->msg);
	at = strstr(msg0, where);
	msg = at ? xasprintf("%.*sdata%s", (int)(at - msg0), msg0, at + strlen(where)) : xstrdup(msg0);
	err_release(e);
	return err_set(e, ERR_CONFIG, "%s", msg);
}

int config_need_default(const struct config *c, struct err *e)
{
	const char *name = config_get(c, "core", "remote");
	autonode struct node *n = NULL;
	autostr struct str s = STR_INIT;

	if (!name || config_has_remote(c, name))
		return 0;
	n = node_str(name);
	node_py_repr(&s, n);
	err_set(e, ERR_FAIL, "unexpected error - %s", s.buf);
	e->exit_status = 255;
	return -1;
}

int config_validate(struct config *c, struct err *e)
{
	return configschema_check(c, CONFIG_LEVELS, true, e);
}

/* --- writing ------------------------------------------------------------------------------------------------------- */

static int need_level(const struct config *c, enum config_level l, struct err *e)
{
	if (c->level[l].file)
		return 0;
	return err_set(e, ERR_CONFIG, "configuration error - config file error: Not inside a DVC repo");
}

/* A path as DVC keeps it: URLs, absolute and ~ paths as given, others relative to the file. */
static char *stored_path(const struct level *l, const char *value)
{
	autofree char *user = expand_user(value), *full = NULL;

	if (has_scheme(value) || user || *value == '/')
		return xstrdup(value);
	full = path_abs(*value ? value : ".");
	return path_rel(full, l->dir);
}

int config_set(struct config *c, enum config_level l, const char *section, const char *option, const char *value,
	       struct err *e)
{
	autofree char *path = NULL;

	if (need_level(c, l, e))
		return -1;
	if (configschema_is_path(section, option))
		value = path = stored_path(&c->level[l], value);
	return cobj_set(&c->level[l].obj, section, option, value, e);
}

int config_unset(struct config *c, enum config_level l, const char *section, const char *option, struct err *e)
{
	if (need_level(c, l, e))
		return -1;
	return option ? cobj_unset(&c->level[l].obj, section, option, e) : cobj_drop(&c->level[l].obj, section, e);
}

int config_rename(struct config *c, enum config_level l, const char *section, const char *new_section, struct err *e)
{
	if (need_level(c, l, e))
		return -1;
	return cobj_rename(&c->level[l].obj, section, new_section, e);
}

/* DVC writes a relative path anew, in its shortest form. */
static char *kept_value(const void *ctx, const char *section, const char *option, const char *value)
{
	const struct level *l = ctx;
	autofree char *user = NULL, *full = NULL, *abs = NULL;

	if (!configschema_is_path(section, option) || has_scheme(value) || *value == '/' ||
	    (user = expand_user(value)))
		return xstrdup(value);
	full = path_join(l->dir, value);
	abs = path_abs(full);
	return path_rel(abs, l->dir);
}

/* As DVC: what the levels up to this one say must be valid before the write, everything after it. */
int config_save(struct config *c, enum config_level l, struct err *e)
{
	struct level *lv = &c->level[l];
	autofree char *root = NULL, *file = NULL;
	autostr struct str s = STR_INIT;
	autoerr struct err none = ERR_INIT;

	if (need_level(c, l, e) || check_paths(lv, e) || configschema_check(c, (int)l + 1, true, e))
		return -1;
	if (!cobj_is_plain(&lv->obj) || cobj_write(&lv->obj, kept_value, lv, &s, &none)) {
		str_reset(&s);
		cobj_text(&lv->obj, &s);
	}
	if (!s.len)
		str_addc(&s, '\n');
	root = l >= CONFIG_REPO ? path_dir(c->dvc_dir) : NULL;
	file = fs_follow(lv->file, root);       /* a link into somebody's dotfiles stays one */
	if (fs_mkdirs(lv->dir, 0777, e) || fs_replace(file, s.buf, s.len, 0, e))
		return err_in(e, "cannot write the configuration");
	return configschema_check(c, CONFIG_LEVELS, false, e);
}

/* --- ours ---------------------------------------------------------------------------------------------------------- */

const char *config_own(const struct config *c, const char *key)
{
	return ownconf_get(c->own, key);
}

const char *config_own_at(const struct config *c, enum config_level l, const char *key)
{
	return ownconf_get_at(c->own, (int)l, key);
}

const char *config_own_file(const struct config *c, enum config_level l)
{
	return ownconf_file(c->own, (int)l);
}

int config_own_set(struct config *c, enum config_level l, const char *key, const char *value, struct err *e)
{
	return ownconf_set(c->own, (int)l, key, value, e);
}
