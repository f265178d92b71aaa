#include "cmd/level.h"

#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/repo/configschema.h"

#include <ctype.h>

struct config_args {
	struct level_args level;
	bool unset, list, show_origin;
	const char *name, *value;
};

/* "remote.name.option", "db.name.option" or "section.option". */
struct option_name {
	char *kind;             /* "remote", "db" or NULL */
	char *plain;            /* as typed: "core", or the remote's name */
	char *section;          /* "core", 'remote "name"' */
	char *option;
};

static void name_release(struct option_name *n)
{
	free(n->kind);
	free(n->plain);
	free(n->section);
	free(n->option);
}

static const char *name_check(const char *text)
{
	autostrvec struct strvec parts = STRVEC_INIT;

	strvec_split(&parts, text, '.');
	if (parts.n == 2 || (parts.n == 3 && (!strcmp(parts.v[0], "remote") || !strcmp(parts.v[0], "db"))))
		return NULL;
	return "name argument should look like remote.name.option or db.name.option or section.option";
}

static void name_parse(struct option_name *n, const char *text)
{
	autostrvec struct strvec parts = STRVEC_INIT;
	size_t at;

	strvec_split(&parts, text, '.');
	at = parts.n == 3;
	n->kind = at ? xstrdup(parts.v[0]) : NULL;
	n->plain = xstrdup(parts.v[at]);
	n->option = xstrdup(parts.v[at + 1]);
	str_lower(&n->plain);
	str_lower(&n->option);
	n->section = at ? xasprintf("%s \"%s\"", n->kind, n->plain) : xstrdup(n->plain);
}

/* --- reading ------------------------------------------------------------------------------------------------------- */

/* Sections DVC's schema names exist at every level, if only empty. */
static bool section_exists(const struct config *c, enum config_level l, const struct option_name *n)
{
	if (!n->kind)
		for (const char *const *s = configschema_sections; *s; s++)
			if (!strcmp(*s, n->section))
				return true;
	return config_has_section_at(c, l, n->section);
}

static int check_exists(const struct config *c, enum config_level l, const struct option_name *n, struct err *e)
{
	const char *kind = n->kind ? n->kind : "section";
	bool is_list;

	if (!section_exists(c, l, n))
		return level_error(e, "%s '%s' doesn't exist", kind, n->plain);
	if (!*n->option)
		return err_set(e, ERR_FAIL, "unexpected error - ''");
	if (!config_value_at(c, l, n->section, n->option, &is_list))
		return level_error(e, "option '%s' doesn't exist in %s '%s'", n->option, kind, n->plain);
	return 0;
}

/* DVC names repository files relative to the root, the others as they are; a tab follows. */
static char *origin(const struct config *c, enum config_level l, const char *root, bool show)
{
	autofree char *rel = NULL;

	if (!show)
		return xstrdup("");
	if (l >= CONFIG_REPO && root) {
		rel = path_rel(config_file(c, l), root);
		return xasprintf("%s\t", rel);
	}
	return xasprintf("%s\t", config_file(c, l));
}

/* "remote.name" without an option means the whole remote. NULL: there is none. */
static char *whole_section(const struct config *c, enum config_level l, const struct option_name *n)
{
	autofree char *section = xasprintf("%s \"%s\"", n->plain, n->option);

	return !n->kind && config_has_section_at(c, l, section) ? take(section) : NULL;
}

/* Python's picture of it. */
static char *section_text(const struct config *c, enum config_level l, const char *section)
{
	autostrvec struct strvec options = STRVEC_INIT;
	autonode struct node *map = node_map();
	autostr struct str s = STR_INIT;

	config_options(c, l, section, &options);
	for (size_t i = 0; i < options.n; i++) {
		autofree char *v = level_value(c, l, section, options.v[i]);

		node_set(map, options.v[i], node_str(v ? v : ""));
	}
	node_py_str(&s, map);
	return str_take(&s);
}

static int get_option(const struct config *c, const char *root, const struct config_args *a, const struct option_name *n,
		      struct err *e)
{
	bool given = level_given(&a->level);

	for (int l = CONFIG_LEVELS; l-- > 0;) {
		enum config_level at = (enum config_level)l;
		autofree char *value = NULL, *from = NULL, *whole = NULL;

		if (given ? at != level_of(&a->level) : !config_file(c, at))
			continue;
		value = level_value(c, at, n->section, n->option);
		if (!value && (whole = whole_section(c, at, n)))
			value = section_text(c, at, whole);
		if (value) {
			from = origin(c, at, root, a->show_origin);
			ui_out("%s%s\n", from, value);
			return 0;
		}
		if (given || (!*n->option && section_exists(c, at, n)))
			return check_exists(c, at, n, e);
	}
	return 0;
}

static int section_rank(const char *section)
{
	return str_starts(section, "remote \"") ? 0 : str_starts(section, "machine \"") ? 1 :
		str_starts(section, "db \"") ? 2 : 3;
}

static void list_section(const struct config *c, enum config_level l, const char *section, const char *from)
{
	autostrvec struct strvec options = STRVEC_INIT;
	autofree char *shown = NULL, *stray = config_has_section_at(c, l, section) ? NULL : level_value(c, l, "", section);
	const char *q = section_rank(section) < 3 ? strchr(section, '"') : NULL;

	if (stray)      /* an option before the first section */
		ui_out("%s%s=%s\n", from, section, stray);
	config_options(c, l, section, &options);
	shown = q ? xasprintf("%.*s.%.*s", (int)strcspn(section, " "), section, (int)strlen(q) - 2, q + 1) : xstrdup(section);
	for (size_t i = 0; i < options.n; i++) {
		autofree char *v = level_value(c, l, section, options.v[i]);

		if (v)
			ui_out("%s%s.%s=%s\n", from, shown, options.v[i], v);
	}
}

static void list_own(const struct config *c, enum config_level l, const char *root, bool show)
{
	for (const struct own_key *k = config_own_keys(); k->key; k++) {
		const char *v = config_own_at(c, l, k->key);
		autofree char *rel = NULL;

		if (!v)
			continue;
		rel = l == CONFIG_REPO && root ? path_rel(config_own_file(c, l), root) : xstrdup(config_own_file(c, l));
		ui_out("%s%s%s=%s\n", show ? rel : "", show ? "\t" : "", k->key, v);
	}
}

static void list_level(const struct config *c, enum config_level l, const char *root, bool show)
{
	autostrvec struct strvec sections = STRVEC_INIT;
	autofree char *from = origin(c, l, root, show);

	config_sections(c, l, &sections);
	for (int rank = 0; rank < 4; rank++)
		for (size_t i = 0; i < sections.n; i++)
			if (section_rank(sections.v[i]) == rank)
				list_section(c, l, sections.v[i], from);
	list_own(c, l, root, show);
}

static int list_all(const struct config *c, const char *root, const struct config_args *a)
{
	for (int l = 0; l < CONFIG_LEVELS; l++) {
		enum config_level at = (enum config_level)l;

		if (level_given(&a->level) ? at == level_of(&a->level) : config_file(c, at) != NULL)
			list_level(c, at, root, a->show_origin);
	}
	return 0;
}

/* --- writing ------------------------------------------------------------------------------------------------------- */

static int set_option(struct config *c, const struct config_args *a, const struct option_name *n, struct err *e)
{
	enum config_level l = level_of(&a->level);
	autofree char *whole = NULL;

	if (level_need(c, &a->level, e) || config_lock(c, l, e))
		return -1;
	whole = whole_section(c, l, n);
	if (a->unset) {
		if (!whole && check_exists(c, l, n, e))
			return -1;
		if (config_unset(c, l, whole ? whole : n->section, whole ? NULL : n->option, e))
			return -1;
	} else if (!*n->section) {
		return level_error(e, "extra keys not allowed @ data['']");
	} else if (!n->kind && strchr(n->section, '"')) {
		return level_error(e, "extra keys not allowed @ data['%s']", n->section);
	} else if (config_set(c, l, n->section, n->option, a->value, e)) {
		return -1;
	}
	if (config_save(c, l, e))
		return -1;
	if (!a->unset)
		level_warn_secret(l, n->section, n->option);
	return 0;
}

/* Settings that DVC does not know live in files of their own. */
static int own_option(struct config *c, const char *root, const struct config_args *a, const struct own_key *k, struct err *e)
{
	enum config_level l = level_of(&a->level);
	const char *v = NULL;

	if (a->value || a->unset)
		return config_lock(c, l, e) ? -1 : config_own_set(c, l, k->key, a->unset ? NULL : a->value, e);
	for (int i = CONFIG_LEVELS; i-- > 0 && !v;) {
		if (level_given(&a->level) && (enum config_level)i != l)
			continue;
		v = config_own_at(c, (enum config_level)i, k->key);
		if (v && a->show_origin) {
			const char *file = config_own_file(c, (enum config_level)i);
			autofree char *rel = i == CONFIG_REPO && root ? path_rel(file, root) : xstrdup(file);

			ui_out("%s\t", rel);
		}
	}
	if (v)
		ui_out("%s\n", v);
	return 0;
}

static int run_with(struct config *c, const char *root, const struct config_args *a, const struct option_name *n,
		    struct err *e)
{
	const struct own_key *own = a->name ? config_own_key(a->name) : NULL;

	if (level_given(&a->level) && level_need(c, &a->level, e))
		return -1;
	if (a->list)
		return list_all(c, root, a);
	if (own)
		return own_option(c, root, a, own, e);
	if (!a->value && !a->unset)
		return get_option(c, root, a, n, e);
	return set_option(c, a, n, e);
}

static int complain(const char *text)
{
	ui_error("%s", text);
	return 1;
}

static int config_run(struct session *s, void *args, struct err *e)
{
	struct config_args *a = args;
	struct option_name n = { 0 };
	struct config *c = NULL;
	autofree char *root = NULL;
	int rc;

	(void)s;
	if (a->name)
		name_parse(&n, a->name);
	rc = level_open(&c, &root, e);
	if (rc)
		;
	else if (a->show_origin && (a->value || a->unset))
		rc = complain("--show-origin can't be used together with any of these options: -u/--unset, value");
	else if (a->list && (a->name || a->value || a->unset))
		rc = complain("-l/--list can't be used together with any of these options: -u/--unset, name, value");
	else if (!a->list && !a->name)
		rc = complain("name argument is required");
	else
		rc = run_with(c, root, a, &n, e);
	config_close(c);
	name_release(&n);
	return rc;
}

static const struct opt config_opts[] = {
	LEVEL_OPTS(config_args),
	OPT_COMMON,
	OPT_FLAG('u', "unset", config_args, unset, "Unset option."),
	OPT_FLAG('l', "list", config_args, list, "List all defined config values."),
	OPT_FLAG(0, "show-origin", config_args, show_origin, "Show the source file containing each config value."),
	OPT_END
};
static const struct pos config_pos[] = {
	{ "name", '?', offsetof(struct config_args, name), "Option name (section.option or remote.name.option)." },
	{ "value", '?', offsetof(struct config_args, value), "Option value." },
	POS_END
};

const struct cmd cmd_config = {
	.name = "config", .run = config_run, .args_size = sizeof(struct config_args), .opts = config_opts,
	.pos = config_pos, .check = name_check, .summary = "Get or set config options.", .help = "Get or set config options.",
};
