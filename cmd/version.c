#include "cmd/cmd.h"

#include "core/base/fs.h"
#include "core/data/project.h"
#include "core/repo/config.h"
#include "core/repo/configschema.h"
#include "core/repo/repo.h"

#include <fcntl.h>
#include <gnu/libc-version.h>
#include <linux/fs.h>
#include <mntent.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

/* --- links --------------------------------------------------------------------------------------------------------- */

static bool can_reflink(const char *from, const char *to)
{
	autoclose int a = open(from, O_RDONLY | O_CLOEXEC);
	autoclose int b = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return a >= 0 && b >= 0 && !ioctl(b, FICLONE, a);
}

static bool can_link(const char *kind, const char *from, const char *to)
{
	bool ok = *kind == 'r' ? can_reflink(from, to) : *kind == 'h' ? !link(from, to) : !symlink(from, to);

	unlink(to);
	return ok;
}

/* Tries each kind from the cache to the work tree, as DVC's report does. */
static char *link_types(const char *cache, const char *root)
{
	static const char *const kinds[] = { "reflink", "hardlink", "symlink" };
	autostrvec struct strvec ok = STRVEC_INIT;
	autofree char *from = NULL, *to = NULL;
	autoclose int fd = -1;
	char name[32];

	fs_temp_name(name);
	from = path_join(cache, name);
	fs_temp_name(name);
	to = path_join(root, name);
	fd = open(from, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(kinds); i++)
		if (can_link(kinds[i], from, to))
			strvec_push(&ok, kinds[i]);
	unlink(from);
	return strvec_join(&ok, ", ");
}

/* "ext4 on /dev/sda1": the mount with the longest path that holds this one. */
static char *fs_type(const char *path)
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	autofree char *real = realpath(path, NULL), *best = NULL;
	struct mntent m;
	char buf[8192];
	size_t len = 0;

	while (f && getmntent_r(f, &m, buf, sizeof(buf))) {
		size_t n = strlen(m.mnt_dir);

		if (n < len || !path_is_inside(real ? real : path, m.mnt_dir))
			continue;
		len = n;
		free(best);
		best = xasprintf("%s on %s", m.mnt_type, m.mnt_fsname);
	}
	if (f)
		endmntent(f);
	return best ? take(best) : xstrdup("('unknown', 'none')");
}

/* --- the report ---------------------------------------------------------------------------------------------------- */

static void report_head(void)
{
	struct utsname u = { 0 };
	autofree char *head = xasprintf("DVC version: 3.67.1 (git-data %s)", GIT_DATA_VERSION);

	uname(&u);
	ui_force("%s\n", head);
	for (size_t i = 0; i < strlen(head); i++)
		ui_force("-");
	ui_force("\nPlatform: git-data %s on %s-%s-%s-with-glibc%s\n", GIT_DATA_VERSION, u.sysname, u.release, u.machine,
		 gnu_get_libc_version());
	ui_force("Supports:\n\tazure,\n\tgs,\n\thttp,\n\thttps,\n\ts3,\n\tssh,\n\twebdav,\n\twebdavs\n");
}

static void report_config(void)
{
	autoerr struct err e = ERR_INIT;
	struct config *c;

	if (config_open(&c, NULL, &e))
		return;
	for (int l = CONFIG_GLOBAL; l >= CONFIG_SYSTEM; l--) {
		autofree char *dir = path_dir(config_file(c, (enum config_level)l));

		ui_force("%s\t%s: %s\n", l == CONFIG_GLOBAL ? "Config:\n" : "", l == CONFIG_GLOBAL ? "Global" : "System", dir);
	}
	config_close(c);
}

static char *remote_schemes(const struct config *c)
{
	autostrvec struct strvec names = STRVEC_INIT, schemes = STRVEC_INIT;

	config_remotes(c, &names);
	for (size_t i = 0; i < names.n; i++) {
		autofree char *section = xasprintf("remote \"%s\"", names.v[i]), *scheme = NULL;
		const char *url = config_get(c, section, "url");

		scheme = configschema_scheme(url ? url : "");
		strvec_push(&schemes, *scheme ? scheme : "local");
	}
	return schemes.n ? strvec_join(&schemes, ", ") : xstrdup("None");
}

static void report_repo(struct session *s)
{
	struct repo *r = s->repo;
	autofree char *cache = project_cache_dir(s->project), *links = NULL, *type = NULL;
	autofree char *remotes = remote_schemes(r->config), *work = fs_type(r->root), *site = repo_site_cache_dir(r);

	if (fs_exists(cache)) {
		links = link_types(cache, r->root);
		type = fs_type(cache);
		ui_force("Cache types: %s\nCache directory: %s\n", links, type);
	} else {
		ui_force("Cache types: <https://error.dvc.org/no-dvc-cache>\n");
	}
	ui_force("Caches: local\nRemotes: %s\nWorkspace directory: %s\n", remotes, work);
	ui_force("Repo: %s\n", !r->scm_root ? "dvc (no_scm)" : strcmp(r->scm_root, r->root) ? "dvc (subdir), git" : "dvc, git");
	ui_force("Repo.site_cache_dir: %s\n", site);
}

static int version_run(struct session *s, void *args, struct err *e)
{
	(void)args;
	(void)e;
	report_head();
	report_config();
	if (s->repo)
		report_repo(s);
	return 0;
}

const struct cmd cmd_version = {
	.name = "version", .alias = "doctor", .run = version_run, .needs = WANT_REPO,
	.summary = "Display the DVC version and system/environment information.",
	.help = "Display the DVC version and system/environment information.",
};
