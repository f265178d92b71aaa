#include "cmd/cmd.h"

#include "core/base/fs.h"
#include "core/base/node.h"
#include "core/base/proc.h"
#include "core/base/yaml.h"
#include "core/repo/gitconf.h"
#include "core/repo/gitrepo.h"
#include "core/repo/repo.h"

#include <sys/stat.h>
#include <unistd.h>

#define PRE_COMMIT_MAX (4u << 20)

struct install_args { bool use_pre_commit_tool; };

static const char *const hooks[] = { "post-checkout", "pre-commit", "pre-push" };

/* How the user called this program is how its hooks call it. */
static const char *own_command(const struct session *s)
{
	return !strcmp(path_base(s->argv0), "dvc") ? "dvc" : "git data";
}

static int git_config(const struct repo *r, const char *key, const char *value, struct err *e)
{
	const char *const argv[] = { "git", "config", key, value, NULL };
	autostr struct str out = STR_INIT;
	int status = 0;

	if (proc_run(argv, r->scm_root, NULL, 0, &out, NULL, &status, e))
		return -1;
	return status ? err_set(e, ERR_FAIL, "cannot set '%s' in git's configuration", key) : 0;
}

static int install_merge_driver(const struct session *s, struct err *e)
{
	autofree char *driver = xasprintf("%s git-hook merge-driver --ancestor %%O --our %%A --their %%B ", own_command(s));

	return git_config(s->repo, "merge.dvc.name", "DVC merge driver", e) ||
		git_config(s->repo, "merge.dvc.driver", driver, e) ? -1 : 0;
}

/* --- hooks --------------------------------------------------------------------------------------------------------- */

static char *find_shell(void)
{
	autostrvec struct strvec dirs = STRVEC_INIT;

	strvec_split(&dirs, getenv("PATH") ? getenv("PATH") : "", ':');
	for (size_t i = 0; i < dirs.n; i++) {
		autofree char *sh = path_join(dirs.v[i], "sh");

		if (*dirs.v[i] == '/' && !access(sh, X_OK))
			return take(sh);
	}
	return xstrdup("/bin/sh");
}

static char *hook_text(const char *name, const char *command)
{
	autofree char *sh = find_shell();

	return xasprintf("#!%s\nexec %s git-hook %s %s\n", sh, command, name, !strcmp(command, "dvc") ? "$@" : "\"$@\"");
}

static int write_hook(const char *dir, const char *name, const char *command, struct err *e)
{
	autofree char *path = path_join(dir, name), *text = hook_text(name, command);

	if (fs_replace(path, text, strlen(text), 0777, e))
		return -1;
	return chmod(path, 0777) ? err_sys(e, "cannot make '%s' executable", path) : 0;
}

/* A hook that an install which did not come to its end left: to be made again, if others are still missing. */
static bool is_our_hook(const char *path, const char *name, const char *command)
{
	autofree char *text = hook_text(name, command);
	autostr struct str s = STR_INIT;
	autoerr struct err none = ERR_INIT;

	return !fs_read(&s, path, PRE_COMMIT_MAX, &none) && !strcmp(str_cstr(&s), text);
}

/* Of a linked work tree: the main one's, where git looks for them. */
static char *hooks_dir(const char *root)
{
	autofree char *git = git_find_dir(root), *common = git ? git_common_dir(git) : path_join(root, ".git");

	return path_join(common, "hooks");
}

static int install_hooks(const struct session *s, struct err *e)
{
	autofree char *dir = hooks_dir(s->repo->scm_root);
	bool whole = true;

	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		autofree char *path = path_join(dir, hooks[i]);

		whole &= fs_exists(path);
	}
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		autofree char *path = path_join(dir, hooks[i]);

		if (fs_exists(path) && (whole || !is_our_hook(path, hooks[i], own_command(s))))
			return err_set(e, ERR_EXISTS, "Hook '%s' already exists. Please refer to "
				       "<https://man.dvc.org/install> for more info.", hooks[i]);
	}
	if (fs_mkdirs(dir, 0777, e))
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++)
		if (write_hook(dir, hooks[i], own_command(s), e))
			return -1;
	return 0;
}

/* --- the pre-commit tool ------------------------------------------------------------------------------------------- */

static struct node *one_item(const char *text)
{
	struct node *seq = node_seq();

	node_push(seq, node_str(text));
	return seq;
}

static struct node *tool_hook(const char *name, bool always)
{
	struct node *h = node_map();
	autofree char *id = xasprintf("dvc-%s", name);

	node_set(h, "id", node_str(id));
	node_set(h, "additional_dependencies", one_item(".[all]"));
	node_set(h, "language_version", node_str("python3"));
	node_set(h, "stages", one_item(name));
	if (always)
		node_set(h, "always_run", node_bool(true));
	return h;
}

static struct node *tool_entry(void)
{
	struct node *entry = node_map(), *list = node_seq();

	node_set(entry, "repo", node_str("https://github.com/treeverse/dvc"));
	node_set(entry, "rev", node_str("3.67.1"));
	node_push(list, tool_hook("pre-commit", false));
	node_push(list, tool_hook("pre-push", false));
	node_push(list, tool_hook("post-checkout", true));
	node_set(entry, "hooks", list);
	return entry;
}

static int read_tool_config(const char *path, struct node **out, struct err *e)
{
	autoerr struct err why = ERR_INIT;

	if (yaml_load(out, path, PRE_COMMIT_MAX, YAML_KEEP, &why)) {
		if (why.code != ERR_NOTFOUND) {
			err_move(e, &why);
			return -1;
		}
		*out = node_map();
	}
	if ((*out)->kind == NODE_NULL) {
		node_free(*out);
		*out = node_map();
	}
	return (*out)->kind == NODE_MAP ? 0 : err_set(e, ERR_PARSE, "'%s' is not a map", path);
}

static int install_tool(const struct session *s, struct err *e)
{
	autofree char *path = path_join(s->repo->scm_root, ".pre-commit-config.yaml"), *file = NULL;
	autonode struct node *doc = NULL, *entry = tool_entry();
	autostr struct str text = STR_INIT;
	struct node *repos;
	bool have = false;

	if (read_tool_config(path, &doc, e))
		return -1;
	repos = node_get(doc, "repos");
	if (repos && !node_is(repos, NODE_SEQ))
		return err_set(e, ERR_FAIL, "unexpected error - 'repos' in '%s' is not a list", path);
	if (!repos) {
		node_set(doc, "repos", node_seq());
		repos = node_get(doc, "repos");
	}
	for (size_t i = 0; i < repos->n; i++)
		have |= node_equal(repos->v[i], entry);
	if (!have)
		node_push(repos, take(entry));
	yaml_dump(&text, doc);
	file = fs_follow(path, s->repo->scm_root);
	return fs_replace(file, text.buf, text.len, 0, e);
}

static int install_run(struct session *s, void *args, struct err *e)
{
	const struct install_args *a = args;
	char *msg;

	if (!s->repo->scm_root)
		return 0;
	if (!install_merge_driver(s, e) && !(a->use_pre_commit_tool ? install_tool(s, e) : install_hooks(s, e)))
		return 0;
	msg = xasprintf("failed to install DVC Git hooks - %s", e->msg);
	free(e->msg);
	e->msg = msg;
	return -1;
}

static const struct opt install_opts[] = {
	OPT_FLAG(0, "use-pre-commit-tool", install_args, use_pre_commit_tool,
		 "Install DVC hooks using pre-commit (https://pre-commit.com) if it is installed."),
	OPT_END
};

const struct cmd cmd_install = {
	.name = "install", .run = install_run, .needs = NEED_REPO | FAIL_IS_1, .args_size = sizeof(struct install_args),
	.opts = install_opts, .summary = "Install DVC git hooks into the repository.",
	.help = "Install DVC git hooks into the repository.",
};
