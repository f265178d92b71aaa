#include "cmd/cmd.h"
#include "cmd/pairs.h"

#include "core/data/import.h"
#include "core/repo/repo.h"

struct get_url_args {
	const char *url, *out;
	bool force;
	int64_t jobs;
	struct strvec fs_config;
};

static int get_url_run(struct session *s, void *args, struct err *e)
{
	struct get_url_args *a = args;
	struct map over = MAP_INIT;
	int rc = pairs_map(&a->fs_config, "--fs-config", &over, e);

	if (!rc)
		rc = get_url(s->repo ? s->repo->config : NULL, a->url, a->out, &over, (unsigned)a->jobs, a->force, e);
	map_release(&over, NULL);
	if (rc && e->code == ERR_USAGE)
		return -1;
	return rc ? fail_with(e, "failed to get '%s'", a->url) : 0;
}

static const struct opt get_url_options[] = {
	OPT_INT('j', "jobs", "<number>", get_url_args, jobs, "Number of jobs to run simultaneously."),
	OPT_FLAG('f', "force", get_url_args, force, "Override local file or folder if exists."),
	OPT_PAIRS(0, "fs-config", "<name>=<value>", get_url_args, fs_config, "Config options for the target url."),
	OPT_END
};
static const struct pos get_url_pos[] = {
	{ "url", '1', offsetof(struct get_url_args, url), "Location of the data to download: a path or a URL." },
	{ "out", '?', offsetof(struct get_url_args, out), "Destination path to put data to." },
	POS_END
};

const struct cmd cmd_get_url = {
	.name = "get-url", .run = get_url_run, .needs = WANT_REPO | FAIL_IS_1,
	.args_size = sizeof(struct get_url_args), .opts = get_url_options, .pos = get_url_pos,
	.summary = "Download or copy files from URL.",
	.help = "Download or copy files from URL.",
};
