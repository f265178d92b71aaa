#include "cmd/level.h"

#include "core/data/migrate.h"

struct cache_dir_args { struct level_args level; bool unset; const char *value; };
struct cache_migrate_args { bool dvc_files, dry; };

static int not_set(struct err *e)
{
	return level_error(e, "option 'dir' doesn't exist in section 'cache'");
}

static int show_dir(const struct config *c, const char *root, const struct cache_dir_args *a, struct err *e)
{
	bool given = level_given(&a->level);
	autofree char *dir = given ? level_value(c, level_of(&a->level), "cache", "dir") : config_path(c, "cache", "dir");

	if (!dir && (given || !root))
		return not_set(e);
	if (!dir)
		dir = xasprintf("%s/.dvc/cache", root);
	ui_out("%s\n", dir);
	return 0;
}

static int change_dir(struct config *c, const struct cache_dir_args *a, struct err *e)
{
	enum config_level l = level_of(&a->level);

	if (level_need(c, &a->level, e) || config_lock(c, l, e))
		return -1;
	if (a->unset && !config_get_at(c, l, "cache", "dir"))
		return not_set(e);
	if (a->unset ? config_unset(c, l, "cache", "dir", e) : config_set(c, l, "cache", "dir", a->value, e))
		return -1;
	return config_save(c, l, e);
}

static int cache_dir_run(struct session *s, void *args, struct err *e)
{
	const struct cache_dir_args *a = args;
	struct config *c = NULL;
	autofree char *root = NULL;
	int rc = level_open(&c, &root, e);

	(void)s;
	if (!rc)
		rc = a->value || a->unset ? change_dir(c, a, e) : show_dir(c, root, a, e);
	config_close(c);
	return rc;
}

static int cache_migrate_run(struct session *s, void *args, struct err *e)
{
	const struct cache_migrate_args *a = args;
	struct migrate_result r = { 0 };
	int rc = migrate_cache(s->project, a->dry, &r, e);

	if (!rc && a->dry)
		ui_out("%zu files will be re-hashed and migrated to the DVC 3.0 cache location.\n", r.objects);
	else if (!rc)
		ui_out("Migrated %zu files to DVC 3.0 cache location.\n", r.objects);
	if (!rc && a->dvc_files) {
		rc = migrate_files(s->project, a->dry, &r, e);
		if (!rc && !r.files.n)
			ui_out("No DVC files in the repo to migrate to the 3.0 format.\n");
		else if (!rc && a->dry)
			ui_out("Entries in following DVC files will be migrated to the 3.0 format:\n");
		strvec_sort(&r.files);
		for (size_t i = 0; !rc && a->dry && i < r.files.n; i++)
			ui_out("\t%s\n", r.files.v[i]);
	}
	strvec_release(&r.files);
	return rc;
}

static const struct opt dir_opts[] = {
	LEVEL_OPTS(cache_dir_args),
	OPT_FLAG('u', "unset", cache_dir_args, unset, "Unset option."),
	OPT_END
};
static const struct pos dir_pos[] = {
	{ "value", '?', offsetof(struct cache_dir_args, value), "Path to cache directory. Relative paths are resolved "
	  "relative to the current directory and saved to config relative to the config file location. If no path is "
	  "provided, it returns the current cache directory." },
	POS_END
};
static const struct opt migrate_opts[] = {
	OPT_FLAG(0, "dvc-files", cache_migrate_args, dvc_files,
		 "Migrate entries in all existing DVC files in the repository to the DVC 3.0 format."),
	OPT_FLAG(0, "dry", cache_migrate_args, dry,
		 "Only print actions which would be taken without actually migrating any data."),
	OPT_END
};

static const struct cmd cache_dir = {
	.name = "dir", .run = cache_dir_run, .args_size = sizeof(struct cache_dir_args), .opts = dir_opts, .pos = dir_pos,
	.summary = "Configure cache directory location.", .help = "Manage cache settings.",
};
static const struct cmd cache_migrate = {
	.name = "migrate", .run = cache_migrate_run, .needs = NEED_REPO | NEED_LOCK,
	.args_size = sizeof(struct cache_migrate_args), .opts = migrate_opts,
	.summary = "Migrate cached files to the DVC 3.0 cache location.", .help = "Manage cache settings.",
};
static const struct cmd *const cache_subs[] = { &cache_dir, &cache_migrate, NULL };

const struct cmd cmd_cache = {
	.name = "cache", .subs = cache_subs, .summary = "Manage cache settings.", .help = "Manage cache settings.",
};
