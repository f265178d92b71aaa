#include "cmd/level.h"
#include "cmd/remote_check.h"

#include "core/base/node.h"
#include "core/repo/configschema.h"

#include <ctype.h>

struct remote_args {
	struct level_args level;
	bool is_default, force, unset;
	const char *name, *url, *option, *value, *to;
};

/* One sub-command: the configuration is open, name is folded. */
struct remote_job {
	struct config *c;
	const struct remote_args *a;
	enum config_level l;
	char *name, *section;
};
typedef int remote_fn(struct remote_job *j, struct err *e);

static int with_config(struct remote_args *a, remote_fn *fn, bool writes, struct err *e)
{
	struct remote_job j = { .a = a, .l = level_of(&a->level) };
	autofree char *root = NULL;
	int rc = level_open(&j.c, &root, e);

	if (!rc && a->name) {
		j.name = xstrdup(a->name);
		str_lower(&j.name);
		j.section = xasprintf("remote \"%s\"", j.name);
	}
	if (!rc && a->is_default)
		ui_out("Setting '%s' as a default remote.\n", j.name);
	if (!rc && (writes || level_given(&a->level)))
		rc = level_need(j.c, &a->level, e);
	if (!rc && writes)
		rc = config_lock(j.c, j.l, e);
	if (!rc)
		rc = fn(&j, e);
	config_close(j.c);
	free(j.name);
	free(j.section);
	return rc;
}

static int no_remote(const struct remote_job *j, struct err *e)
{
	return level_error(e, "remote '%s' doesn't exist.", j->name);
}

/* core.remote of a level. */
static bool is_default_at(const struct remote_job *j, enum config_level l)
{
	const char *v = config_get_at(j->c, l, "core", "remote");

	return v && !strcmp(v, j->name);
}

/* --- add ----------------------------------------------------------------------------------------------------------- */

/* -f starts the remote anew: nothing but the address stays. */
static int drop_options(struct remote_job *j, struct err *e)
{
	autostrvec struct strvec options = STRVEC_INIT;

	config_options(j->c, j->l, j->section, &options);
	for (size_t i = 0; i < options.n; i++)
		if (strcmp(options.v[i], "url") && config_unset(j->c, j->l, j->section, options.v[i], e))
			return -1;
	return 0;
}

static int add(struct remote_job *j, struct err *e)
{
	bool there = config_has_section_at(j->c, j->l, j->section);

	if (there && !j->a->force)
		return level_error(e, "remote '%s' already exists. Use `-f|--force` to overwrite it.", j->name);
	if (config_set(j->c, j->l, j->section, "url", j->a->url, e) || (there && drop_options(j, e)))
		return -1;
	if (j->a->is_default && config_set(j->c, j->l, "core", "remote", j->name, e))
		return -1;
	return config_save(j->c, j->l, e);
}

static int add_run(struct session *s, void *args, struct err *e)
{
	(void)s;
	return with_config(args, add, true, e);
}

/* --- default ------------------------------------------------------------------------------------------------------- */

static const char *current_default(const struct remote_job *j)
{
	return level_given(&j->a->level) ? config_get_at(j->c, j->l, "core", "remote") : config_get(j->c, "core", "remote");
}

/* Known at this level or a weaker one; without a level given, anywhere. */
static bool is_known(const struct remote_job *j)
{
	int upto = level_given(&j->a->level) ? (int)j->l + 1 : CONFIG_LEVELS;

	for (int l = 0; l < upto; l++)
		if (config_has_section_at(j->c, (enum config_level)l, j->section))
			return true;
	return false;
}

static int set_default(struct remote_job *j, struct err *e)
{
	if (j->a->unset) {
		if (config_unset(j->c, j->l, "core", "remote", e))
			return -1;
	} else {
		if (!is_known(j) && j->l == CONFIG_SYSTEM)
			return err_set(e, ERR_FAIL, "unexpected error - 'remote'");
		if (!is_known(j))
			return level_error(e, "default remote must be present in remote list.");
		if (config_set(j->c, j->l, "core", "remote", j->name, e))
			return -1;
	}
	return config_save(j->c, j->l, e);
}

static int show_default(struct remote_job *j, struct err *e)
{
	const char *v = current_default(j);

	(void)e;
	ui_out("%s\n", v ? v : "No default remote set");
	return v ? 0 : 1;
}

static int default_run(struct session *s, void *args, struct err *e)
{
	struct remote_args *a = args;
	bool writes = a->name || a->unset;

	(void)s;
	return with_config(a, writes ? set_default : show_default, writes, e);
}

/* --- modify -------------------------------------------------------------------------------------------------------- */

/* "modify name option" without a value: DVC checks None against the option's type. */
static int no_value(const struct remote_job *j, const char *option, struct err *e)
{
	const char *url = config_get(j->c, j->section, "url");
	autofree char *scheme = configschema_scheme(url ? url : "");
	const struct confopt *o = configschema_remote(scheme);
	const char *what = "expected str";

	if (configschema_is_path(j->section, option))
		return err_set(e, ERR_FAIL, "unexpected error - expected string or bytes-like object, got 'NoneType'");
	while (o && o->name && strcmp(o->name, option))
		o++;
	if (!o || !o->name)
		return level_error(e, "extra keys not allowed @ data['remote']['%s']['%s']", j->name, option);
	switch (o->type) {
	case CT_BOOL:
	case CT_BOOL_OR_STR: what = "expected true or false"; break;
	case CT_INT:
	case CT_REAL_INT: what = "expected int"; break;
	case CT_FLOAT: what = "expected float"; break;
	case CT_REAL_BOOL: what = "expected bool"; break;
	case CT_LINKS: return 0;
	case CT_CHOICE:
		return level_error(e, "expected one of %s for dictionary value @ data['remote']['%s']['%s']", o->choices,
				   j->name, option);
	default: break;
	}
	return level_error(e, "%s for dictionary value @ data['remote']['%s']['%s']", what, j->name, option);
}

/* DVC leaves an empty section behind when the level had none. */
static int unset_option(struct remote_job *j, const char *option, struct err *e)
{
	if (!config_has_section_at(j->c, j->l, j->section) &&
	    (config_set(j->c, j->l, j->section, "jobs", "1", e) || config_unset(j->c, j->l, j->section, "jobs", e)))
		return -1;
	return config_unset(j->c, j->l, j->section, option, e) ? -1 : config_save(j->c, j->l, e);
}

static int modify(struct remote_job *j, struct err *e)
{
	const char *option = j->a->option;
	bool known = false;

	for (int l = 0; l <= (int)j->l; l++)
		known |= config_has_section_at(j->c, (enum config_level)l, j->section);
	if (!level_given(&j->a->level))
		known = config_has_remote(j->c, j->name);
	if (!known)
		return no_remote(j, e);
	for (const char *p = option; *p && !j->a->unset; p++)
		if (isupper((unsigned char)*p))
			return level_error(e, "extra keys not allowed @ data['remote']['%s']['%s']", j->name, option);
	if (j->a->unset)
		return unset_option(j, option, e);
	if (!j->a->value)
		return no_value(j, option, e);
	if (config_set(j->c, j->l, j->section, option, j->a->value, e) || config_save(j->c, j->l, e))
		return -1;
	level_warn_secret(j->l, j->section, option);
	return 0;
}

static int modify_run(struct session *s, void *args, struct err *e)
{
	(void)s;
	return with_config(args, modify, true, e);
}

/* --- remove, rename ------------------------------------------------------------------------------------------------ */

/* Levels that outrank the one written may name the remote as their default too. DVC rewrites each of them. */
static int fix_defaults(struct remote_job *j, const char *to, bool own_level, struct err *e)
{
	for (int l = CONFIG_LOCAL; l >= (int)j->l; l--) {
		enum config_level at = (enum config_level)l;

		if (l == (int)j->l && !own_level)
			break;
		if (!config_file(j->c, at))
			return level_error(e, "Not inside a DVC repo");
		if (is_default_at(j, at) && (to ? config_set(j->c, at, "core", "remote", to, e) :
					     config_unset(j->c, at, "core", "remote", e)))
			return -1;
		if (config_save(j->c, at, e))
			return -1;
	}
	return 0;
}

static int drop(struct remote_job *j, struct err *e)
{
	if (!config_has_section_at(j->c, j->l, j->section))
		return no_remote(j, e);
	if (config_unset(j->c, j->l, j->section, NULL, e) || config_save(j->c, j->l, e))
		return -1;
	return fix_defaults(j, NULL, true, e);
}

static int remove_run(struct session *s, void *args, struct err *e)
{
	(void)s;
	return with_config(args, drop, true, e);
}

static int change_name(struct remote_job *j, struct err *e)
{
	const char *to = j->a->to;
	autofree char *section = xasprintf("remote \"%s\"", to);

	if (config_has_remote(j->c, to))
		return level_error(e, "Rename failed. Remote name '%s' already exists.", to);
	if (!config_has_section_at(j->c, j->l, j->section))
		return no_remote(j, e);
	if (config_rename(j->c, j->l, j->section, section, e))
		return -1;
	if (is_default_at(j, j->l) && config_set(j->c, j->l, "core", "remote", to, e))
		return -1;
	if (config_save(j->c, j->l, e))
		return -1;
	return fix_defaults(j, to, false, e);
}

static int rename_run(struct session *s, void *args, struct err *e)
{
	(void)s;
	return with_config(args, change_name, true, e);
}

/* --- list ---------------------------------------------------------------------------------------------------------- */

static size_t columns(const char *s, size_t bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < bytes; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

/* Bytes of the first n characters. */
static size_t bytes_of(const char *s, size_t n)
{
	size_t i = 0;

	while (s[i] && (n || ((unsigned char)s[i] & 0xc0) == 0x80)) {
		if (((unsigned char)s[i] & 0xc0) != 0x80)
			n--;
		i++;
		if (!n && ((unsigned char)s[i] & 0xc0) != 0x80)
			break;
	}
	return i;
}

/* DVC prints this list through a library that folds lines at the console's width, 80 on a pipe. */
static void out_folded(const char *s)
{
	const char *env = getenv("COLUMNS");
	uint64_t width = 80;
	size_t at = 0;

	if (ui_is_tty() || (env && (!str_to_u64(env, &width) || !width))) {
		ui_out("%s\n", s);
		return;
	}
	for (size_t start = 0; s[start];) {
		size_t word = start, end, len;

		while (s[word] == ' ')
			word++;
		word += strcspn(s + word, " ");
		end = word + strspn(s + word, " ");
		len = columns(s + start, word - start);
		if (len <= width - at) {
			ui_out("%.*s", (int)(end - start), s + start);
			at += columns(s + start, end - start);
		} else if (len > width) {
			for (size_t p = start; p < end;) {
				size_t n = bytes_of(s + p, width);

				if (p + n > end)
					n = end - p;
				if (p)
					ui_out("\n");
				ui_out("%.*s", (int)n, s + p);
				at = columns(s + p, n);
				p += n;
			}
		} else {
			ui_out("%s%.*s", at && start ? "\n" : "", (int)(end - start), s + start);
			at = columns(s + start, end - start);
		}
		if (at > width)
			at = width;
		start = end;
	}
	ui_out("\n");
}

static void add_tabbed(struct str *s, const char *cell)
{
	str_adds(s, cell);
	str_addn(s, ' ', 8 - columns(s->buf, s->len) % 8);
}

static char *shown_url(const struct remote_job *j, const char *section)
{
	return level_given(&j->a->level) ? level_value(j->c, j->l, section, "url") : config_path(j->c, section, "url");
}

static int list(struct remote_job *j, struct err *e)
{
	autostrvec struct strvec all = STRVEC_INIT;
	const char *def = current_default(j);

	config_sections(j->c, level_given(&j->a->level) ? j->l : CONFIG_MERGED, &all);
	for (size_t i = 0; i < all.n; i++) {
		autofree char *name = NULL, *url = NULL;
		autostr struct str s = STR_INIT;

		if (!str_starts(all.v[i], "remote \""))
			continue;
		name = xstrndup(all.v[i] + 8, strlen(all.v[i]) - 9);
		url = shown_url(j, all.v[i]);
		if (!url)
			return err_set(e, ERR_FAIL, "unexpected error - 'url'");
		add_tabbed(&s, name);
		if (def && !strcmp(def, name)) {
			add_tabbed(&s, url);
			str_adds(&s, "(default)");
		} else {
			str_adds(&s, url);
		}
		out_folded(s.buf);
	}
	return 0;
}

static int list_run(struct session *s, void *args, struct err *e)
{
	(void)s;
	return with_config(args, list, false, e);
}

/* --- tables -------------------------------------------------------------------------------------------------------- */

#define NAME(nargs, help) { "name", nargs, offsetof(struct remote_args, name), help }

static const struct opt level_only[] = { LEVEL_OPTS(remote_args), OPT_COMMON, OPT_END };
static const struct opt add_opts[] = {
	LEVEL_OPTS(remote_args),
	OPT_COMMON,
	OPT_FLAG('d', "default", remote_args, is_default, "Set as default remote."),
	OPT_FLAG('f', "force", remote_args, force, "Force overwriting existing configs"),
	OPT_END
};
static const struct pos add_pos[] = {
	NAME('1', "Name of the remote"),
	{ "url", '1', offsetof(struct remote_args, url), "Remote location." },
	POS_END
};
static const struct opt default_opts[] = {
	LEVEL_OPTS(remote_args), OPT_COMMON, OPT_FLAG('u', "unset", remote_args, unset, "Unset default remote."), OPT_END
};
static const struct pos default_pos[] = { NAME('?', "Name of the remote"), POS_END };
static const struct opt modify_opts[] = {
	LEVEL_OPTS(remote_args), OPT_COMMON, OPT_FLAG('u', "unset", remote_args, unset, "Unset option."), OPT_END
};
static const struct pos modify_pos[] = {
	NAME('1', "Name of the remote"),
	{ "option", '1', offsetof(struct remote_args, option), "Name of the option to modify." },
	{ "value", '?', offsetof(struct remote_args, value), "(optional) Value of the option." },
	POS_END
};
static const struct pos remove_pos[] = { NAME('1', "Name of the remote to remove."), POS_END };
static const struct pos rename_pos[] = {
	NAME('1', "Remote to be renamed"),
	{ "new", '1', offsetof(struct remote_args, to), "New name of the remote" },
	POS_END
};

static const struct cmd remote_add = {
	.name = "add", .run = add_run, .args_size = sizeof(struct remote_args), .opts = add_opts, .pos = add_pos,
	.summary = "Add a new data remote.", .help = "Add a new data remote.",
};
static const struct cmd remote_default = {
	.name = "default", .run = default_run, .args_size = sizeof(struct remote_args), .opts = default_opts,
	.pos = default_pos, .summary = "Set/unset the default data remote.", .help = "Set/unset the default data remote.",
};
static const struct cmd remote_modify = {
	.name = "modify", .run = modify_run, .args_size = sizeof(struct remote_args), .opts = modify_opts,
	.pos = modify_pos, .summary = "Modify the configuration of a data remote.",
	.help = "Modify the configuration of a data remote.",
};
static const struct cmd remote_list = {
	.name = "list", .run = list_run, .args_size = sizeof(struct remote_args), .opts = level_only,
	.summary = "List all available data remotes.", .help = "List all available data remotes.",
};
static const struct cmd remote_remove = {
	.name = "remove", .run = remove_run, .args_size = sizeof(struct remote_args), .opts = level_only,
	.pos = remove_pos, .summary = "Remove a data remote.", .help = "Remove a data remote.",
};
static const struct cmd remote_rename = {
	.name = "rename", .run = rename_run, .args_size = sizeof(struct remote_args), .opts = level_only,
	.pos = rename_pos, .summary = "Rename a DVC remote", .help = "Rename a DVC remote",
};
static int check_run(struct session *s, void *argp, struct err *e)
{
	return remote_check_run(s, ((struct remote_args *)argp)->name, e);
}

static const struct cmd remote_check = {
	.name = "check", .run = check_run, .needs = NEED_REPO | FAIL_IS_1 | NO_SCM_NOTE,
	.args_size = sizeof(struct remote_args), .pos = default_pos,
	.summary = "Say whether a data remote works, and as whom.",
	.help = "Connects and tries to ask, list, write, read and delete. What it writes it deletes again.",
};
static const struct cmd *const remote_subs[] = {
	&remote_add, &remote_default, &remote_modify, &remote_list, &remote_remove, &remote_rename,
	&remote_check, NULL
};

const struct cmd cmd_remote = {
	.name = "remote", .subs = remote_subs, .summary = "Set up and manage data remotes.",
	.help = "Set up and manage data remotes.",
};
